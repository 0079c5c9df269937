package harness

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Received is a request as the upstream got it.
type Received struct {
	Method, Path  string // Path with the query
	Header        http.Header
	Trailer       http.Header
	ContentLength int64 // -1 if the request did not say
	Body          string
}

// Upstream stands for the protected service. It keeps each request by its
// x-request-id and answers as the suite says.
type Upstream struct {
	Addr string // host:port

	mu       sync.Mutex
	received map[string]*Received
	answer   http.HandlerFunc
}

// StartUpstream runs until the test ends. Until [Upstream.Answer] says otherwise it
// answers 200 with {"ok":true}.
func StartUpstream(t T) *Upstream {
	t.Helper()
	u := &Upstream{received: make(map[string]*Received)}
	u.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	server := httptest.NewServer(http.HandlerFunc(u.serve))
	t.Cleanup(server.Close)
	u.Addr = server.Listener.Addr().String()
	return u
}

// Answer replaces how the upstream answers. The request's body was read before.
func (u *Upstream) Answer(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = h
}

// Received returns the request with an id, or nil if it never came.
func (u *Upstream) Received(requestID string) *Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received[requestID]
}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		// The edge gave up in the middle of the request: it never was one.
		return
	}
	u.mu.Lock()
	u.received[r.Header.Get("X-Request-Id")] = &Received{
		Method: r.Method, Path: r.RequestURI, Header: r.Header.Clone(), Trailer: r.Trailer.Clone(),
		ContentLength: r.ContentLength, Body: string(body),
	}
	answer := u.answer
	u.mu.Unlock()
	answer(w, r)
}
