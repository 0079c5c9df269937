package harness

import (
	"io"
	"net/http"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
)

// Forget makes the edge's upstream and access log keep nothing of what comes from
// now on, for suites of very many requests and very long bodies. A request's body is
// left to its answer, which h makes for all.
func (e *WasmEdge) Forget(h http.HandlerFunc) {
	e.Upstream.mu.Lock()
	e.Upstream.all = h
	e.Upstream.mu.Unlock()
	e.Memgate.mu.Lock()
	e.Memgate.entries = make(map[string]*accesslogdata.HTTPAccessLogEntry)
	e.Memgate.forget = true
	e.Memgate.mu.Unlock()
}

// Repeated is a body of n bytes that has text again and again.
func Repeated(text string, n int64) io.Reader {
	return io.LimitReader(&repeated{text: text}, n)
}

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		m := copy(buf[n:], r.text[r.at:])
		n += m
		r.at = (r.at + m) % len(r.text)
	}
	return n, nil
}
