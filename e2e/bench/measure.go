package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cpuOf is the time that a process has spent on processors, of its threads that
// live. It is precise to the nanosecond, unlike that of getrusage.
func cpuOf(pid int) (total time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		total += time.Duration(n)
	}
	return total
}

// mallocs is the metric of all allocations of a Go process.
const mallocs = "go_memstats_mallocs_total"

// allocationsOf reads that metric; 0 without one.
func allocationsOf(url string) float64 {
	if url == "" {
		return 0
	}
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), mallocs+" "); ok {
			n, _ := strconv.ParseFloat(value, 64)
			return n
		}
	}
	return 0
}

// sample is what was measured of one variant in one cell of a table.
type sample struct {
	latencies   []time.Duration
	elapsed     time.Duration
	cpu         time.Duration
	allocations float64
}

func (s *sample) calls() float64 { return float64(max(len(s.latencies), 1)) }

// quantile is that of the latencies; they are sorted by it.
func (s *sample) quantile(q float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	slices.Sort(s.latencies)
	return s.latencies[min(int(q*float64(len(s.latencies))), len(s.latencies)-1)]
}

func (s *sample) rate() float64 { return s.calls() / max(s.elapsed.Seconds(), 1e-9) }

func (s *sample) cpuPerCall() float64 { return float64(s.cpu.Microseconds()) / s.calls() }

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// budgets are the rows of the verdict.
type budgets struct{ rows []budget }

type budget struct {
	what       string
	got, limit float64
}

func (b *budgets) add(what string, got, limit float64) {
	b.rows = append(b.rows, budget{what: what, got: got, limit: limit})
}

func (b *budgets) print() {
	fmt.Printf("\nBudgets\n%-86s %8s %8s\n", "", "ratio", "budget")
	for _, r := range b.rows {
		verdict := "PASS"
		if r.got > r.limit {
			verdict = "over budget"
		}
		fmt.Printf("%-86s %8.2f %8.2f  %s\n", r.what, r.got, r.limit, verdict)
	}
}
