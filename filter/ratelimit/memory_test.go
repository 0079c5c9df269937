package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that tests set.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time           { return time.Unix(1_000_000, c.ns.Load()) }
func (c *clock) advance(d time.Duration)  { c.ns.Add(int64(d)) }
func newMemory(max int) (*Memory, *clock) { c := &clock{}; return NewMemory(c.now, max), c }
func ask(m *Memory, key string, r Rate) bool {
	d, err := m.Allow(context.Background(), key, r)
	if err != nil {
		panic(err)
	}
	return d.Allowed
}

func TestMemoryRefuses(t *testing.T) {
	m, _ := newMemory(10)
	for key, r := range map[string]Rate{"a": {}, "b": {1, time.Second, -1}} {
		if d, err := m.Allow(context.Background(), key, r); !errors.Is(err, ErrRate) || d.Allowed {
			t.Errorf("%+v: %+v, %v", r, d, err)
		}
	}
	for _, key := range []string{"", strings.Repeat("k", MaxKey+1)} {
		if d, err := m.Allow(context.Background(), key, Rate{1, time.Second, 0}); !errors.Is(err, ErrKey) || d.Allowed {
			t.Errorf("key of %d bytes: %+v, %v", len(key), d, err)
		}
	}
	if n := m.Stats().Keys; n != 0 {
		t.Errorf("%d keys are held", n)
	}
}

func TestKeysAreApart(t *testing.T) {
	m, c := newMemory(10)
	r := Rate{2, time.Minute, 0}
	for _, key := range []string{"a", "b"} {
		for n := range 3 {
			if got := ask(m, key, r); got != (n < 2) {
				t.Fatalf("%s, request %d: allowed = %v", key, n, got)
			}
		}
	}
	c.advance(30 * time.Second)
	for n := range 2 {
		if got := ask(m, "a", r); got != (n < 1) {
			t.Errorf("half a minute later, request %d: allowed = %v", n, got)
		}
	}
}

func TestClockGoesBackwards(t *testing.T) {
	m, c := newMemory(10)
	r := Rate{60, time.Minute, 5}
	for range 5 {
		ask(m, "a", r)
	}
	c.advance(-24 * time.Hour)
	if ask(m, "a", r) {
		t.Fatal("a clock that falls back admits more")
	}
	c.advance(time.Second)
	if !ask(m, "a", r) {
		t.Error("a clock that falls back locks a key out for longer than one request takes to refill")
	}
	if !ask(m, "new", r) {
		t.Error("a new key is refused")
	}
}

func TestRateChanges(t *testing.T) {
	m, c := newMemory(10)
	for range 100 {
		ask(m, "a", Rate{100, time.Hour, 0})
	}
	if ask(m, "a", Rate{10, time.Second, 0}) {
		t.Error("a new rate forgets what was used")
	}
	c.advance(100 * time.Millisecond)
	if !ask(m, "a", Rate{10, time.Second, 0}) {
		t.Error("the old rate's time binds the new one")
	}
}

// TestMemoryAgainstReference runs many keys of different rates at random
// against the slow definition.
func TestMemoryAgainstReference(t *testing.T) {
	m, c := newMemory(1000)
	random := rand.New(rand.NewPCG(3, 4))
	rates := []Rate{{60, time.Minute, 0}, {120, time.Minute, 5}, {7, time.Second, 2}}
	refs := map[string]*reference{}
	for range 20000 {
		c.advance(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		i := random.IntN(30)
		key, r := fmt.Sprint("tenant", i), rates[i%len(rates)]
		ref := refs[key]
		if ref == nil {
			interval, burst, _ := r.cell()
			ref = &reference{interval: interval, burst: burst}
			refs[key] = ref
		}
		if got, want := ask(m, key, r), ref.allow(c.ns.Load()); got != want {
			t.Fatalf("%s: allowed = %v, the reference says %v", key, got, want)
		}
	}
	checkHeaps(t, m)
}

func checkHeaps(t *testing.T, m *Memory) {
	t.Helper()
	total := 0
	for i := range m.shards {
		s := &m.shards[i]
		total += len(s.heap)
		if len(s.heap) != len(s.entries) {
			t.Errorf("shard %d: %d in the heap, %d in the map", i, len(s.heap), len(s.entries))
		}
		for j, e := range s.heap {
			if e.index != j || s.entries[e.key] != e || s.heap[(j-1)/2].tat > e.tat && j > 0 {
				t.Errorf("shard %d: the heap is broken at %d", i, j)
			}
		}
		if len(s.heap) > 0 && s.first.Load() != s.heap[0].tat {
			t.Errorf("shard %d: first is stale", i)
		}
	}
	if total != m.Stats().Keys {
		t.Errorf("%d keys are held and %d counted", total, m.Stats().Keys)
	}
}

func TestIdleKeysAreForgottenFirst(t *testing.T) {
	const capacity = 200
	m, c := newMemory(capacity)
	limited := Rate{1, time.Hour, 0}
	idle := Rate{1, time.Second, 0}
	for i := range capacity / 2 {
		if !ask(m, fmt.Sprint("limited", i), limited) {
			t.Fatal("a new key is refused")
		}
	}
	// Ten thousand keys come and go beside them.
	for i := range 10_000 {
		c.advance(50 * time.Millisecond)
		ask(m, fmt.Sprint("passing", i), idle)
		if n := m.Stats().Keys; n > capacity {
			t.Fatalf("%d keys are held", n)
		}
	}
	for i := range capacity / 2 {
		if ask(m, fmt.Sprint("limited", i), limited) {
			t.Fatalf("limited%d was forgotten while idle keys were there", i)
		}
	}
	if n := m.Stats().Forgotten; n != 0 {
		t.Errorf("%d keys were forgotten in use", n)
	}
	checkHeaps(t, m)
}

func TestNearestToIdleIsForgottenWhenAllAreInUse(t *testing.T) {
	m, _ := newMemory(3)
	r := Rate{10, time.Minute, 0}
	for i, key := range []string{"three", "one", "two"} {
		for range []int{3, 1, 2}[i] {
			ask(m, key, r)
		}
	}
	ask(m, "new", r)
	if s := m.Stats(); s.Forgotten != 1 || s.Keys != 3 {
		t.Fatalf("%+v", s)
	}
	for key, want := range map[string]int{"three": 6, "two": 7} {
		if d, _ := m.Allow(context.Background(), key, r); d.Remaining != want {
			t.Errorf("%s has %d left, want %d", key, d.Remaining, want)
		}
	}
}

func TestIdleKeysDoNotPileUp(t *testing.T) {
	m, c := newMemory(100_000)
	for i := range 5000 {
		ask(m, fmt.Sprint(i), Rate{1, time.Second, 0})
		c.advance(10 * time.Millisecond)
	}
	// A key is in use for one second, in which a hundred come.
	if n := m.Stats().Keys; n > 110 {
		t.Errorf("%d keys are held for 100 in use", n)
	}
}

func TestConcurrentCallsNeverExceedTheLimit(t *testing.T) {
	m, _ := newMemory(50)
	r := Rate{100, time.Hour, 0}
	const callers, calls, keys = 16, 400, 8
	var admitted [keys]atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for i := range calls {
				if k := i % keys; ask(m, fmt.Sprint(k), r) {
					admitted[k].Add(1)
				}
			}
		})
	}
	group.Wait()
	for k := range admitted {
		if n := admitted[k].Load(); n != 100 {
			t.Errorf("key %d was admitted %d times", k, n)
		}
	}
	checkHeaps(t, m)
}

// TestTwoCallsAdmitOneKey plays the race of two calls that both saw no key.
func TestTwoCallsAdmitOneKey(t *testing.T) {
	m, _ := newMemory(10)
	s := &m.shards[0]
	for n := range 3 {
		m.makeRoom(0)
		s.mu.Lock()
		d := m.count(s, "a", []Bucket{{}}, []cells{{10, 20, 10}}, 0, nil, 1, false)
		s.mu.Unlock()
		if d[0].Allowed != (n < 2) {
			t.Errorf("call %d: %+v", n, d)
		}
	}
	checkHeaps(t, m)
}

func TestConcurrentKeysStayBounded(t *testing.T) {
	const capacity, callers = 64, 8
	m, c := newMemory(capacity)
	var group sync.WaitGroup
	for g := range callers {
		group.Go(func() {
			for i := range 3000 {
				ask(m, fmt.Sprint(g, "-", i%500), Rate{5, time.Minute, 0})
				if i%100 == 0 {
					c.advance(time.Second)
				}
				if n := m.Stats().Keys; n > capacity+callers {
					t.Errorf("%d keys are held", n)
					return
				}
			}
		})
	}
	group.Wait()
	if n := m.Stats().Keys; n > capacity {
		t.Errorf("%d keys are held when all calls have ended", n)
	}
	checkHeaps(t, m)
}

func TestAllowDoesNotAllocate(t *testing.T) {
	m, _ := newMemory(10)
	r := Rate{60, time.Minute, 0}
	ask(m, "tenant/write", r)
	if n := testing.AllocsPerRun(100, func() { ask(m, "tenant/write", r) }); n != 0 {
		t.Errorf("Allow allocates %v times", n)
	}
}

// go test -bench=. -cpu=1,2 -count=10 ./filter/ratelimit | benchstat -
func BenchmarkAllow(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		b.Run(fmt.Sprint(keys, "keys"), func(b *testing.B) {
			m := NewMemory(time.Now, 100_000)
			names := make([]string, keys)
			for i := range names {
				names[i] = fmt.Sprint("tenant", i, "/write")
			}
			r := Rate{10_000, time.Hour, 0} // slow enough that keys stay in use
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := rand.IntN(keys)
				for pb.Next() {
					if i++; i >= keys {
						i = 0
					}
					ask(m, names[i], r)
				}
			})
		})
	}
}

func BenchmarkAllowNewKeys(b *testing.B) {
	m := NewMemory(time.Now, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ask(m, fmt.Sprint(i), Rate{60, time.Minute, 0})
	}
}

func BenchmarkHeaders(b *testing.B) {
	d := []Decision{{true, 60, 59, time.Second, 0}}
	names, buckets := []string{"write"}, []Bucket{{Rate: Rate{60, time.Minute, 0}}}
	b.ReportAllocs()
	for b.Loop() {
		Headers(nil, names, buckets, d)
	}
}
