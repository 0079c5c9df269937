package ratelimit

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/headers"
)

func TestValidate(t *testing.T) {
	for _, r := range []Rate{
		{}, {0, time.Second, 1}, {1, 0, 0}, {-1, time.Second, 0}, {1, time.Second, -1},
		{1, time.Duration(math.MaxInt64), 0}, {1, time.Hour, math.MaxInt}, {math.MaxInt, 1, 0},
	} {
		if err := r.Validate(); !errors.Is(err, ErrRate) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	// A limit that does not divide the time is rounded against the caller.
	if interval, _, err := (Rate{7, time.Second, 0}).cell(); err != nil || interval*7 < int64(time.Second) {
		t.Errorf("seven requests take %d ns: %v", interval*7, err)
	}
}

// decide is GCRA for a request of cost 1. It returns the new tat.
func decide(tat, now, interval, burst int64) (int64, Decision) {
	c := cells{interval, interval * burst, interval}
	used := c.used(tat, now)
	d := c.decision(used, true, 1)
	if d.Allowed {
		used += c.cost
	}
	return now + used, d
}

// TestDecide walks through one key's life by hand.
func TestDecide(t *testing.T) {
	const s = int64(time.Second)
	steps := []struct {
		now  int64
		want Decision
	}{
		{0, Decision{true, 3, 2, time.Second, 0}},
		{0, Decision{true, 3, 1, time.Second, 0}},
		{0, Decision{true, 3, 0, time.Second, 0}},
		{0, Decision{false, 3, 0, time.Second, time.Second}},
		{s - 1, Decision{false, 3, 0, 1, 1}},
		{s, Decision{true, 3, 0, time.Second, 0}},
		{s + s/2, Decision{false, 3, 0, time.Second / 2, time.Second / 2}},
		{3*s + s/2, Decision{true, 3, 1, time.Second / 2, 0}},
		{100 * s, Decision{true, 3, 2, time.Second, 0}},
	}
	tat := int64(0)
	for i, step := range steps {
		var d Decision
		tat, d = decide(tat, step.now, s, 3)
		if d != step.want {
			t.Errorf("step %d: got %+v, want %+v", i, d, step.want)
		}
	}
}

// reference is the definition of the limit, kept as slowly as it reads: a
// request is allowed when no window that ends with it would hold more than a
// burst and what is refilled meanwhile.
type reference struct {
	interval, burst int64
	admitted        []int64
}

func (r *reference) allow(now int64) bool {
	for i, since := range r.admitted {
		inWindow := int64(len(r.admitted)-i) + 1
		if (inWindow-r.burst)*r.interval > now-since {
			return false
		}
	}
	r.admitted = append(r.admitted, now)
	return true
}

func TestAgainstReference(t *testing.T) {
	rates := []Rate{
		{60, time.Minute, 0}, {60, time.Minute, 1}, {60, time.Minute, 7}, {7, time.Second, 3}, {1, time.Second, 0},
		{1000, time.Second, 10}, {3, 7 * time.Nanosecond, 2}, {1, time.Nanosecond, 5},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, rate := range rates {
		interval, burst, err := rate.cell()
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			ref := reference{interval: interval, burst: burst}
			tat, now := int64(0), int64(0)
			for i := range 400 {
				switch random.IntN(5) {
				case 0:
					now += random.Int64N(2*interval + 1)
				case 1:
					now += random.Int64N(interval*burst + 1)
				case 2:
					now += interval
				}
				want := ref.allow(now)
				var d Decision
				tat, d = decide(tat, now, interval, burst)
				if d.Allowed != want {
					t.Fatalf("%v, request %d at %d: allowed = %v, the reference says %v", rate, i, now, d.Allowed, want)
				}
				checkDecision(t, tat, now, interval, burst, d)
			}
		}
	}
}

// checkDecision takes what a decision says at its word.
func checkDecision(t *testing.T, tat, now, interval, burst int64, d Decision) {
	t.Helper()
	next := func(after int64) bool { _, n := decide(tat, now+after, interval, burst); return n.Allowed }
	if d.Remaining < 0 || int64(d.Remaining) >= burst+1 || d.Reset <= 0 || int64(d.Reset) > interval {
		t.Fatalf("impossible decision %+v", d)
	}
	at, probe := tat, Decision{}
	for range d.Remaining {
		if at, probe = decide(at, now, interval, burst); !probe.Allowed {
			t.Fatalf("%d are said to remain and fewer do", d.Remaining)
		}
	}
	if _, probe = decide(at, now, interval, burst); probe.Allowed {
		t.Fatalf("%d are said to remain and more do", d.Remaining)
	}
	if _, probe = decide(at, now+int64(d.Reset), interval, burst); !probe.Allowed {
		t.Fatalf("none is there after the reset of %v", d.Reset)
	}
	if _, probe = decide(at, now+int64(d.Reset)-1, interval, burst); probe.Allowed {
		t.Fatalf("one is there before the reset of %v", d.Reset)
	}
	if !d.Allowed && (!next(int64(d.RetryAfter)) || next(int64(d.RetryAfter)-1)) {
		t.Fatalf("retry after %v is not the first moment", d.RetryAfter)
	}
}

// FuzzDecide checks the bound itself under any steps of the clock, backwards
// ones too: in real time no window holds more than the rate allows.
func FuzzDecide(f *testing.F) {
	f.Add(uint16(60), uint16(10), []byte{1, 0, 0, 0, 200, 0, 3})
	f.Add(uint16(1), uint16(1), []byte{255, 128, 0, 7})
	f.Fuzz(func(t *testing.T, perRequest, size uint16, steps []byte) {
		interval, burst := int64(perRequest)+1, int64(size%64)+1
		if len(steps) > 300 {
			return
		}
		tat, real, offset := int64(0), int64(1)<<40, int64(0)
		ref := reference{interval: interval, burst: burst}
		for _, step := range steps {
			if step < 240 {
				real += int64(step) * interval / 16
			} else {
				// The clock falls back while no time passes.
				offset -= int64(step-239) * interval * burst
			}
			var d Decision
			tat, d = decide(tat, real+offset, interval, burst)
			if d.Allowed && !ref.allow(real) {
				t.Fatalf("more than the rate is admitted with the clock %d behind", -offset)
			}
			if int64(d.RetryAfter) > interval {
				t.Fatalf("a key is locked out for %v", d.RetryAfter)
			}
		}
	})
}

func TestHeaders(t *testing.T) {
	minute := Rate{60, time.Minute, 0}
	tests := []struct {
		name string
		d    Decision
		r    Rate
		key  string
		want []headers.Header
	}{
		{"allowed", Decision{true, 60, 59, time.Second, 0}, minute, "write",
			[]headers.Header{{Name: "ratelimit-policy", Value: `"write";q=60;w=60`}, {Name: "ratelimit", Value: `"write";r=59;t=1`}}},
		{"refused", Decision{false, 60, 0, 1, 1}, minute, "write",
			[]headers.Header{{Name: "ratelimit-policy", Value: `"write";q=60;w=60`}, {Name: "ratelimit", Value: `"write";r=0;t=1`}, {Name: "retry-after", Value: "1"}}},
		{"rounded up", Decision{false, 1, 0, 90*time.Second + 1, 90*time.Second + 1}, Rate{1, time.Hour, 0}, "a",
			[]headers.Header{{Name: "ratelimit-policy", Value: `"a";q=1;w=3600`}, {Name: "ratelimit", Value: `"a";r=0;t=91`}, {Name: "retry-after", Value: "91"}}},
		{"burst", Decision{true, 10, 9, time.Second, 0}, Rate{60, time.Minute, 10}, "read",
			[]headers.Header{{Name: "ratelimit-policy", Value: `"read";q=60;w=60;memgate-burst=10`}, {Name: "ratelimit", Value: `"read";r=9;t=1`}}},
		{"window below a second", Decision{true, 3, 2, time.Millisecond, 0}, Rate{3, 500 * time.Millisecond, 3}, "x",
			[]headers.Header{{Name: "ratelimit-policy", Value: `"x";q=3`}, {Name: "ratelimit", Value: `"x";r=2;t=1`}}},
		{"name escaped", Decision{true, 60, 59, time.Second, 0}, minute, "a\"b\\c\r\nd\u00e9",
			[]headers.Header{{Name: "ratelimit-policy", Value: `"a\"b\\cd";q=60;w=60`}, {Name: "ratelimit", Value: `"a\"b\\cd";r=59;t=1`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Headers([]headers.Header{{Name: "kept"}}, []string{tt.key}, []Bucket{{Rate: tt.r}}, []Decision{tt.d})
			if len(got) != len(tt.want)+1 {
				t.Fatalf("got %q", got)
			}
			for i, h := range got[1:] {
				if h != tt.want[i] {
					t.Errorf("got %q, want %q", h, tt.want[i])
				}
				if !headers.ValidValue(h.Value) {
					t.Errorf("%q is not a header value", h.Value)
				}
			}
		})
	}
}
