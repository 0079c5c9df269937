package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search/corpus"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// recallBudget is for the median of a recall over the largest tenant.
const recallBudget = 10 * time.Millisecond

// heldTenant is whose memories are measured.
const heldTenant = "acme"

// held is a store of memories on the disk, encrypted or not.
type held struct {
	dir   string
	store *sqlite.Store
	say   func(words int) string
	added int
}

// kindsOfStores are measured side by side, the first against the second.
var kindsOfStores = []string{"encrypted", "plain"}

// open opens the stores of two directories, of which the first is encrypted as `memory-backend serve --data` does.
func (b *bench) open(dirs [2]string) (both [2]*held) {
	for i, dir := range dirs {
		h := &held{dir: dir, say: corpus.Sentences(2)}
		c := sqlite.Config{Dir: dir, MaxOpen: 64, Now: time.Now, Random: rand.Reader}
		if i == 0 {
			master, err := crypt.OpenFile(filepath.Join(dir, "master-key.json"), true)
			if err == nil {
				c.Keys, err = crypt.OpenKeyring(crypt.Config{Dir: filepath.Join(dir, "keys"), Masters: []crypt.Master{master}, Now: time.Now})
			}
			if err != nil {
				b.t.Fatalf("%v", err)
			}
		}
		var err error
		if h.store, err = sqlite.Open(c); err != nil {
			b.t.Fatalf("%v", err)
		}
		both[i] = h
	}
	return both
}

func (b *bench) close(both [2]*held) {
	for _, h := range both {
		if err := h.store.Close(); err != nil {
			b.t.Fatalf("%v", err)
		}
	}
}

// fill stores n memories in both.
func (b *bench) fill(both [2]*held, n int) {
	const step = 10_000
	var wg sync.WaitGroup
	failures := make([]error, len(both))
	for i, h := range both {
		wg.Go(func() {
			for first := 0; first < n && failures[i] == nil; first += step {
				batch := corpus.Memories(int64(first), first, min(step, n-first))
				failures[i] = h.store.Add(context.Background(), heldTenant, memory.Write{By: "bench", At: batch[0].Created}, batch)
			}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			b.t.Fatalf("%v", err)
		}
	}
}

// add remembers one memory of 30 words, durably.
func (h *held) add(tenant string) error {
	h.added++
	now := time.Now()
	m := &memory.Memory{ID: fmt.Sprint("new", h.added), Agent: "agent-1", Content: h.say(30), Type: "fact", Status: memory.StatusActive, Created: now, Updated: now}
	return h.store.Add(context.Background(), tenant, memory.Write{By: "bench", At: now}, []*memory.Memory{m})
}

// recall asks for ten memories by eight words.
func (h *held) recall(tenant string, f memory.Filter) error {
	_, err := h.store.Search(context.Background(), tenant, memory.SearchQuery{Text: h.say(8), Filter: f, Limit: 10})
	return err
}

// turns measures an action on both, turn by turn.
func (b *bench) turns(both [2]*held, do func(*held) error) (samples [2]sample) {
	for round := -1; round < b.options.rounds; round++ {
		for turn := range both {
			i := (turn + round + 1) % len(both)
			for start := time.Now(); time.Since(start) < b.options.turn/2; {
				at := time.Now()
				if err := do(both[i]); err != nil {
					b.t.Fatalf("%s: %v", kindsOfStores[i], err)
				}
				if round >= 0 { // before, it gets warm
					samples[i].latencies = append(samples[i].latencies, time.Since(at))
				}
			}
		}
	}
	return samples
}

// compare prints a row of both.
func compare(what string, both [2]sample) {
	e, p := &both[0], &both[1]
	fmt.Printf("%-52s %12.2f %12.2f %12.2f %12.2f %8.2f\n", what, millis(e.quantile(0.5)), millis(e.quantile(0.99)),
		millis(p.quantile(0.5)), millis(p.quantile(0.99)), float64(e.quantile(0.5))/float64(p.quantile(0.5)))
}

func millis(d time.Duration) float64 { return micros(d) / 1000 }

// memories measures the memory backend: recall and write with tenants of several sizes and with many tenants, encrypted
// against plain; what both find; and recall through Envoy with the guard in front of the largest tenant.
func (b *bench) memories(report *budgets) {
	fmt.Printf("\nMemory backend: one caller in the process, memories of 30 words, queries of 8; times in ms\n%-52s %12s %12s %12s %12s %8s\n",
		"", "encrypted", "p99", "plain", "p99", "×plain")
	var largest string
	for _, n := range []int{1_000, 10_000, 100_000} {
		both := b.open([2]string{b.t.TempDir(), b.t.TempDir()})
		b.fill(both, n)
		size := fmt.Sprintf("%d memories of a tenant: ", n)
		byAgent := b.turns(both, func(h *held) error { return h.recall(heldTenant, memory.Eq(memory.FieldAgent, "agent-1")) })
		compare(size+"recall, agent", byAgent)
		byUser := b.turns(both, func(h *held) error { return h.recall(heldTenant, memory.Eq(memory.FieldUser, "user-7")) })
		compare(size+"recall, user", byUser)
		compare(size+"write", b.turns(both, func(h *held) error { return h.add(heldTenant) }))
		b.close(both)
		largest = both[0].dir
		if n == 100_000 {
			report.add("recall over 100,000 encrypted memories, of an agent with half of them: median, 10 ms", float64(byAgent[0].quantile(0.5))/float64(recallBudget), 1)
			report.add("recall over 100,000 encrypted memories, of a user with one in a hundred: median, 10 ms", float64(byUser[0].quantile(0.5))/float64(recallBudget), 1)
		}
	}
	b.manyTenants()
	b.quality(report)
	b.guardedRecall(report, largest)
}

// manyTenants measures 1,000 tenants in turn, of which 64 are open at a time: most have to be opened.
func (b *bench) manyTenants() {
	const tenants = 1000
	both := b.open([2]string{b.t.TempDir(), b.t.TempDir()})
	defer b.close(both)
	for i := range tenants {
		for _, h := range both {
			if err := h.add(fmt.Sprint("tenant-", i)); err != nil {
				b.t.Fatalf("%v", err)
			}
		}
	}
	next := make(map[*held]int)
	turn := func(h *held) string { next[h]++; return fmt.Sprint("tenant-", next[h]%tenants) }
	compare("1000 tenants, 64 open: recall", b.turns(both, func(h *held) error {
		return h.recall(turn(h), nil)
	}))
	compare("1000 tenants, 64 open: write", b.turns(both, func(h *held) error { return h.add(turn(h)) }))
}

// quality asks the labelled questions of both.
func (b *bench) quality(report *budgets) {
	memories, questions := corpus.Labelled()
	both := b.open([2]string{b.t.TempDir(), b.t.TempDir()})
	defer b.close(both)
	for _, h := range both {
		if err := h.store.Add(context.Background(), heldTenant, memory.Write{By: "bench", At: time.Now()}, memories); err != nil {
			b.t.Fatalf("%v", err)
		}
	}
	var first, among [2]int
	differ := 0
	for question, answer := range questions {
		var hits [2][]memory.Hit
		for i, h := range both {
			var err error
			if hits[i], err = h.store.Search(context.Background(), heldTenant, memory.SearchQuery{Text: question, Limit: 5, Filter: memory.Eq(memory.FieldAgent, corpus.Agent)}); err != nil {
				b.t.Fatalf("%v", err)
			}
			for rank, hit := range hits[i] {
				if hit.Memory.ID == answer {
					among[i]++
					if rank == 0 {
						first[i]++
					}
				}
			}
		}
		if !reflect.DeepEqual(hits[0], hits[1]) {
			differ++
		}
	}
	fmt.Printf("\nRecall quality: %d questions over %d memories, of each the one that answers it is known\n%-28s %12s %12s\n", len(questions), len(memories), "", "first", "among five")
	for i, kind := range kindsOfStores {
		fmt.Printf("%-28s %12d %12d\n", kind, first[i], among[i])
	}
	report.add("recall quality: questions for which encrypted and plain find other memories", float64(differ), 0)
}

// guardedRecall measures whole requests to a service that holds the largest tenant: to itself, and through Envoy with memgate
// and the Wasm filter, which searches both bodies for personal data.
func (b *bench) guardedRecall(report *budgets, dir string) {
	s := harness.StartStack(b.t, func(yaml string) string {
		return strings.Replace(yaml, "classes: { write: 60/m, read: 120/m }", "classes: { write: 900000000/s, read: 900000000/s }", 1)
	})
	s.Backend.Stop()
	data := filepath.Join(s.Dir, "data")
	if err := os.RemoveAll(data); err != nil {
		b.t.Fatalf("%v", err)
	}
	if err := os.Rename(dir, data); err != nil {
		b.t.Fatalf("%v", err)
	}
	s.StartBackend()
	path, say := "/api/v2/agents/agent-1/recall", corpus.Sentences(2)
	token, txn := s.Token(heldTenant, "memory:read"), s.TxnToken(b.t, heldTenant)
	ask := []func(body string) *harness.Response{
		func(body string) *harness.Response {
			return harness.Do(b.t, s.BackendURL, harness.Request{Method: "POST", Path: path, Body: body, Header: map[string]string{"Txn-Token": txn, "Content-Type": "application/json"}})
		},
		func(body string) *harness.Response { return s.JSON(b.t, "POST", path, token, body) },
	}
	samples := make([]sample, len(ask))
	for round := -1; round < b.options.rounds; round++ {
		for turn := range ask {
			i := (turn + round + 1) % len(ask)
			for start := time.Now(); time.Since(start) < b.options.turn/2; {
				body, _ := json.Marshal(map[string]string{"query": say(8)})
				at := time.Now()
				r := ask[i](string(body))
				took := time.Since(at)
				if r.Status != 200 || !strings.Contains(r.Body, `"content"`) {
					b.t.Fatalf("recall: %d %s", r.Status, r.Body)
				}
				if round >= 0 {
					samples[i].latencies = append(samples[i].latencies, took)
				}
			}
		}
	}
	fmt.Printf("\nRecall over HTTP: an agent with half of 100,000 encrypted memories, one caller; times in ms\n%-52s %12s %12s %8s\n", "", "median", "p99", "×alone")
	for i, name := range []string{"the service alone", "through Envoy with memgate and the content guard"} {
		fmt.Printf("%-52s %12.2f %12.2f %8.2f\n", name, millis(samples[i].quantile(0.5)), millis(samples[i].quantile(0.99)),
			float64(samples[i].quantile(0.5))/math.Max(float64(samples[0].quantile(0.5)), 1))
	}
	report.add("recall over 100,000 encrypted memories, through Envoy with the guard: median, 10 ms", float64(samples[1].quantile(0.5))/float64(recallBudget), 1)
}
