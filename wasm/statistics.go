package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/wasm/inspect"
)

// statistics are the counters of the proxy that have names from fixed lists: an entity,
// a problem's slug. Each is defined when it is first counted.
type statistics struct {
	counters map[string]proxywasm.MetricCounter
	bytes    [2]proxywasm.MetricCounter // of requests and of responses, defined when defined is true
	defined  [2]bool
	pending  [2]uint64 // bytes that were not counted yet
}

// body counts the bytes of a body. There is one in nearly every message, so that they
// are told to the proxy by flush only.
func (s *statistics) body(response bool, n uint64) {
	if response {
		s.pending[1] += n
	} else {
		s.pending[0] += n
	}
}

// flushPeriod is after how long flush is called again, in milliseconds.
const flushPeriod = 1000

// flush tells the proxy what was counted since it was called last.
func (s *statistics) flush() {
	for i, name := range [...]string{"memgate.request_bytes", "memgate.response_bytes"} {
		if s.pending[i] == 0 {
			continue
		}
		if !s.defined[i] {
			s.bytes[i], s.defined[i] = proxywasm.DefineCounterMetric(name), true
		}
		s.bytes[i].Increment(s.pending[i])
		s.pending[i] = 0
	}
}

func (s *statistics) add(name string, n uint64) {
	counter, known := s.counters[name]
	if !known {
		if s.counters == nil {
			s.counters = make(map[string]proxywasm.MetricCounter)
		}
		counter = proxywasm.DefineCounterMetric(name)
		s.counters[name] = counter
	}
	counter.Increment(n)
}

// found counts what was found since before.
func (s *statistics) found(before, now *inspect.Findings) {
	for e, n := range now {
		if d := n - before[e]; d > 0 {
			s.add("memgate.findings."+pii.Entity(e).String(), uint64(d))
		}
	}
}
