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
}

// body counts the bytes of a body, for which no name is looked up: there is one in
// nearly every message.
func (s *statistics) body(response bool, n uint64) {
	i, name := 0, "memgate.request_bytes"
	if response {
		i, name = 1, "memgate.response_bytes"
	}
	if !s.defined[i] {
		s.bytes[i], s.defined[i] = proxywasm.DefineCounterMetric(name), true
	}
	s.bytes[i].Increment(n)
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
