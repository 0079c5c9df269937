package harness

import (
	"net"
	"net/http"
	"sync"
)

// IDP is the issuer of a [Stack]'s tokens, which can be down for a while.
type IDP struct {
	URL string

	t       T
	addr    string
	mu      sync.Mutex
	handler http.Handler
	server  *http.Server // nil while it is down
}

// startIDP listens until the test ends. It has no documents until it is given
// a handler.
func startIDP(t T) *IDP {
	t.Helper()
	i := &IDP{t: t, addr: "127.0.0.1:0", handler: http.NotFoundHandler()}
	i.Start()
	i.URL = "http://" + i.addr
	t.Cleanup(i.Stop)
	return i
}

// ServeHTTP serves the issuer's documents.
func (i *IDP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	h := i.handler
	i.mu.Unlock()
	h.ServeHTTP(w, r)
}

func (i *IDP) serve(h http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handler = h
}

// Start listens at the issuer's address again.
func (i *IDP) Start() {
	i.t.Helper()
	l, err := net.Listen("tcp", i.addr)
	if err != nil {
		i.t.Fatalf("issuer: %v", err)
	}
	i.addr = l.Addr().String()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.server = &http.Server{Handler: i}
	server := i.server
	go func() { _ = server.Serve(l) }()
}

// Stop closes the issuer's port and all connections: it cannot be reached.
func (i *IDP) Stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.server != nil {
		_ = i.server.Close()
		i.server = nil
	}
}
