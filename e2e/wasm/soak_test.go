package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/wasm/inspect/cases"
)

const mib = 1 << 20

// soak is how much the soak tests send.
type soak struct {
	requests int   // small ones, after a tenth of as many to warm up
	stream   int64 // bytes of a body, after a quarter of as many to warm up
}

// load is the short soak unless MEMGATE_SOAK is full.
func load() soak {
	if os.Getenv("MEMGATE_SOAK") == "full" {
		return soak{requests: 1_000_000, stream: 1 << 30}
	}
	return soak{requests: 20_000, stream: 64 * mib}
}

const (
	// samples is how often memory is looked at during a run.
	samples = 20
	// maxGrowth is how many bytes Envoy may have more at the end of a run: two VMs
	// and their collectors come to rest at a slightly different place each time. In the
	// full run it is less than half of what 100 bytes lost in each request add up to.
	maxGrowth = 32 * mib
)

// growth is how many bytes the last quarter of the samples is above the first, by
// their medians, so that one sample in the middle of a collection is not taken for a
// trend. It is negative when memory shrank.
func growth(resident []int64) int64 {
	n := max(1, len(resident)/4)
	return median(resident[len(resident)-n:]) - median(resident[:n])
}

func median(list []int64) int64 {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// The check of the soak finds what it is for: a leak of 100 bytes in each of a million
// requests, one of a thirtieth of a long stream, and nothing else.
func TestGrowth(t *testing.T) {
	run := func(total, noise int64) []int64 {
		var list []int64
		for i := range int64(samples) {
			list = append(list, 200*mib+total*i/(samples-1)+noise*(i%3))
		}
		return list
	}
	spike := run(0, 0)
	spike[samples-1] += 500 * mib
	for name, test := range map[string]struct {
		resident []int64
		leak     bool
	}{
		"flat":                            {run(0, 0), false},
		"flat, with collections":          {run(0, 8*mib), false},
		"a spike at the end":              {spike, false},
		"shrinking":                       {run(-100*mib, 0), false},
		"100 bytes in a million requests": {run(1_000_000*100, 0), true},
		"100 bytes, with collections":     {run(1_000_000*100, 8*mib), true},
		"3 KiB in 20,000 requests":        {run(20_000*3<<10, 0), true},
		"a stream of 64 MiB that is kept": {run(64*mib, 0), true},
	} {
		if got := growth(test.resident); (got > maxGrowth) != test.leak {
			t.Errorf("%s: growth %d, a leak: %v", name, got, test.leak)
		}
	}
}

// resident is Envoy's memory, in bytes, as the kernel counts it, 0 if it cannot be told:
// the linear memory of the VMs is a part of it.
func resident(e *harness.Envoy) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.PID()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	number, _, _ := strings.Cut(rest, "kB")
	kib, _ := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	return kib << 10
}

func checkGrowth(t *testing.T, list []int64) {
	t.Helper()
	if len(list) != samples || slices.Contains(list, 0) {
		t.Fatalf("the memory of Envoy is not known: %d", list)
	}
	got := growth(list)
	t.Logf("Envoy has %d MiB at first, %d MiB at last, growth %d KiB", list[0]/mib, list[len(list)-1]/mib, got>>10)
	if got > maxGrowth {
		t.Errorf("memory grew by %d KiB: %d", got>>10, list)
	}
}

// Memory stays flat over many requests. Most are rewritten both ways, some are refused.
func TestSoakRequests(t *testing.T) {
	edge := harness.StartWasm(t, nil)
	answer := []byte(`{"to":"ann@example.com"}`)
	edge.Forget(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	digest := edge.Policies.Add(t, cases.Policy())
	n := load().requests
	warm := n / 10
	const connections = 8
	client := &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var next atomic.Int64
	send := func(i int64) error {
		text, status, want := body, 200, `{"to":"[EMAIL_ADDRESS]"}`
		if i%16 == 0 {
			text, status, want = `{"content":`, 400, ""
		}
		request, err := http.NewRequest(http.MethodPost, edge.URL+"/", strings.NewReader(text))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(harness.PolicyHeader, digest)
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		got, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != status || want != "" && string(got) != want) {
			err = fmt.Errorf("request %d: %s %s", i, response.Status, got)
		}
		return err
	}
	upTo := func(end int) {
		var group sync.WaitGroup
		for range connections {
			group.Go(func() {
				for !t.Failed() {
					i := next.Add(1)
					if i > int64(end) {
						return
					}
					if err := send(i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		next.Store(int64(end))
		if t.Failed() {
			t.FailNow()
		}
	}
	upTo(warm)
	var list []int64
	for i := range samples {
		upTo(warm + n*(i+1)/samples)
		list = append(list, resident(edge.Envoy))
	}
	checkGrowth(t, list)
}

// Memory stays flat along a body that is rewritten, or watched, as it passes: the
// response, and in shadow the request, which is else held until it was checked.
func TestSoakStream(t *testing.T) {
	const line = `{"to":"ann@example.com","text":"some words that nobody would look for"}` + "\n"
	size := load().stream / int64(len(line)) * int64(len(line))
	warm := size / 4 / int64(len(line)) * int64(len(line))
	edge := harness.StartWasm(t, nil)
	client := &http.Client{Timeout: 2 * time.Hour}

	// progress takes a sample each time another twentieth has passed.
	progress := func(list *[]int64) func(int) {
		passed, at := int64(0), warm
		return func(n int) {
			for passed += int64(n); passed >= at && at < size+warm; at += (size + samples - 1) / samples {
				*list = append(*list, resident(edge.Envoy))
			}
		}
	}
	stream := func(name string, policy *content.Policy, request io.Reader, answer http.HandlerFunc, read func(io.Reader) error) {
		t.Run(name, func(t *testing.T) {
			// A body that comes faster than its policy fills the proxy's buffer.
			edge.Forget(func(http.ResponseWriter, *http.Request) {})
			digest := edge.Policies.Add(t, policy)
			harness.Do(t, edge.URL, harness.Request{Header: map[string]string{harness.PolicyHeader: digest}})
			edge.Forget(answer)
			r, err := http.NewRequest(http.MethodPost, edge.URL+"/", request)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-ndjson")
			r.Header.Set(harness.PolicyHeader, digest)
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != 200 {
				t.Fatal(response.Status)
			}
			if err := read(response.Body); err != nil {
				t.Fatal(err)
			}
		})
	}

	var list []int64
	arrived := make(chan struct{})
	policy := cases.Policy()
	policy.Modes = content.Modes{Content: content.Off, PII: content.Shadow}
	policy.Request = content.Body{MaxBytes: content.NoLimit, Types: []string{"*/*"}, PII: policy.Request.PII}
	stream("request", policy, harness.Repeated(line, size+warm), func(w http.ResponseWriter, r *http.Request) {
		defer close(arrived)
		if n, err := pass(r.Body, []byte(line), progress(&list)); err != nil || n != size+warm {
			http.Error(w, fmt.Sprint(n, err), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{}`)
	}, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	if t.Failed() {
		return
	}
	<-arrived
	checkGrowth(t, list)

	list = nil
	policy = cases.Policy()
	policy.Request.Types = []string{"*/*"}
	rewritten := strings.Replace(line, "ann@example.com", "[EMAIL_ADDRESS]", 1)
	stream("response", policy, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = io.Copy(w, harness.Repeated(line, size+warm))
	}, func(r io.Reader) error {
		n, err := pass(r, []byte(rewritten), progress(&list))
		if want := (size + warm) / int64(len(line)) * int64(len(rewritten)); err == nil && n != want {
			err = fmt.Errorf("%d bytes, want %d", n, want)
		}
		return err
	})
	checkGrowth(t, list)
}

// pass reads a body that has to be line again and again, and tells how it goes.
func pass(r io.Reader, line []byte, tell func(int)) (total int64, err error) {
	buf := make([]byte, 64<<10)
	at := 0
	for {
		n, err := r.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			m := min(len(rest), len(line)-at)
			if !bytes.Equal(rest[:m], line[at:at+m]) {
				return total, fmt.Errorf("%q after %d bytes", rest[:m], total)
			}
			rest, at = rest[m:], (at+m)%len(line)
		}
		total += int64(n)
		tell(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
