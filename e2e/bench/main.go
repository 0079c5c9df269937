// Command bench measures memgate against its budgets, each as a ratio to a peer
// that is measured in the same run, turn by turn, so that whatever else the machine
// does meets both:
//
//   - Check alone over gRPC, beside a service that allows everything and OPA's Envoy
//     plugin with a policy of equal effect;
//   - the whole chain through Envoy, beside Envoy alone, Envoy with such services, and
//     Envoy's own jwt_authn;
//   - the content guard in Envoy's V8, beside the same Envoy without it, and natively
//     beside Presidio;
//   - the memory backend, encrypted beside plain, alone and behind the edge.
//
// `make bench` builds what it needs and runs it; docs/benchmarks.md explains what it
// prints. Each process measured is one of its own, on loopback.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == roleFlag {
		serveRole(os.Args[2:])
		return
	}
	short := flag.Bool("short", false, "measure a quarter as long")
	opa := flag.String("opa", "", "binary of OPA's Envoy plugin; without it OPA is left out")
	presidio := flag.String("presidio", "", "Python that has Presidio; without it Presidio is left out")
	part := flag.String("part", "", "measure one alone: check, chain, content or memory")
	flag.Parse()
	r := &run{}
	code := r.do(func() {
		o := options{opa: *opa, presidio: *presidio, rounds: 8, turn: 600 * time.Millisecond, tokens: 600}
		if *short {
			o.rounds, o.turn, o.tokens = 4, 250*time.Millisecond, 160
		}
		if o.opa == "" {
			fmt.Println("OPA's Envoy plugin is not here: what it would be compared with is left out.")
		}
		b := start(r, o)
		b.agree()
		var report budgets
		for _, p := range []struct {
			name    string
			measure func(*budgets)
		}{{"check", b.checks}, {"chain", b.chain}, {"content", b.content}, {"memory", b.memories}} {
			if *part == "" || *part == p.name {
				p.measure(&report)
			}
		}
		report.print()
	})
	os.Exit(code)
}

// options say how much is measured.
type options struct {
	opa      string
	presidio string
	rounds   int           // in which every variant has its turn
	turn     time.Duration // of one variant through Envoy
	tokens   int           // that are new to the service, for each kind of them
}

// run is the [harness.T] of the program.
type run struct {
	mu      sync.Mutex
	cleanup []func()
	failed  bool
	folders int
	dir     string
}

type fatal struct{}

func (r *run) do(work func()) (code int) {
	code = 1
	var err error
	if r.dir, err = os.MkdirTemp("", "memgate-bench-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		problem := recover()
		r.failed = r.failed || code != 0
		for i := len(r.cleanup) - 1; i >= 0; i-- {
			r.cleanup[i]()
		}
		_ = os.RemoveAll(r.dir)
		if problem != nil && problem != (fatal{}) {
			panic(problem)
		}
	}()
	work()
	return 0
}

func (r *run) Helper() {}

func (r *run) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (r *run) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.failed = true
	panic(fatal{})
}

func (r *run) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanup = append(r.cleanup, f)
}

func (r *run) Failed() bool { return r.failed }

func (r *run) TempDir() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.folders++
	dir := filepath.Join(r.dir, fmt.Sprint(r.folders))
	if err := os.Mkdir(dir, 0o700); err != nil {
		r.Fatalf("%v", err)
	}
	return dir
}

var _ harness.T = (*run)(nil)
