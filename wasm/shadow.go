package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

	"github.com/memgate/memgate/wasm/inspect"
)

// shadowPath is for the access log wasm.memgate.shadow.
var shadowPath = []string{"memgate.shadow"}

// tolerates reports whether a message goes on although it was to be refused. A
// body is then not looked into any further.
func (s *stream) tolerates(of *side, p inspect.Refusal) bool {
	if s.rules == nil || !s.rules.Tolerates(&s.shadow, of == &s.response, p) {
		return false
	}
	s.reportShadow()
	s.release(of)
	of.plan = inspect.Pass // not done: the rest of the body is still to come
	return true
}

// watch looks into the next size bytes of a body that goes on as it is. read
// gets them from the proxy.
func (s *stream) watch(of *side, size int, end bool, read func(start, max int) ([]byte, error)) {
	var piece []byte
	if size > 0 {
		var err error
		if piece, err = read(0, size); err != nil || len(piece) != size {
			proxywasm.LogError("memgate: a body in shadow cannot be read")
			s.release(of)
			of.plan = inspect.Pass
			return
		}
	}
	if of.out == nil {
		of.out = s.plugin.buffers.get()
	}
	var refusal inspect.Refusal
	of.out, refusal = of.body.Next(of.out[:0], piece, end)
	if refusal != nil {
		s.tolerates(of, refusal)
		return
	}
	if end {
		of.done = true
		s.release(of)
		of.plan = inspect.Pass
	}
}

// reportShadow tells the access log what would have been done.
func (s *stream) reportShadow() {
	if s.shadow.Len() == s.shadowed {
		return
	}
	s.shadowed = s.shadow.Len()
	if err := proxywasm.SetProperty(shadowPath, s.shadow.Append(nil)); err != nil {
		proxywasm.LogError("memgate: what is in shadow cannot be logged: " + err.Error())
	}
}
