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

// AnswerHeader is the request header that names the answer of the [Upstream],
// so that tests that share one can run side by side.
const AnswerHeader = "X-Test-Answer"

// Upstream stands for the protected service. It keeps each request by its
// x-request-id and answers as the test says.
type Upstream struct {
	Addr string // host:port

	mu       sync.Mutex
	received map[string]*Received
	answers  map[string]http.HandlerFunc
	all      http.HandlerFunc // instead, once it is told to forget
}

// StartUpstream runs until the test ends. Without [Upstream.Answer] it answers
// 200 with {"ok":true}.
func StartUpstream(t T) *Upstream {
	t.Helper()
	u := &Upstream{received: make(map[string]*Received), answers: make(map[string]http.HandlerFunc)}
	u.Answer("", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	server := httptest.NewServer(http.HandlerFunc(u.serve))
	t.Cleanup(server.Close)
	u.Addr = server.Listener.Addr().String()
	return u
}

// Answer says how the upstream answers requests whose [AnswerHeader] is name,
// and with "" those without one. The request's body was read before.
func (u *Upstream) Answer(name string, h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answers[name] = h
}

// Received returns the request with an id, or nil if it never came.
func (u *Upstream) Received(requestID string) *Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received[requestID]
}

// Count is how many requests came, by their ids.
func (u *Upstream) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.received)
}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	all := u.all
	u.mu.Unlock()
	if all != nil {
		all(w, r)
		return
	}
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
	answer := u.answers[r.Header.Get(AnswerHeader)]
	u.mu.Unlock()
	if answer == nil {
		http.Error(w, "no such answer", http.StatusNotImplemented)
		return
	}
	answer(w, r)
}
