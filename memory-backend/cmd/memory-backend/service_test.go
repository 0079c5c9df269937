package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/txntoken"
)

// service is a running instance of the command.
type service struct {
	url    string
	dir    string
	signer *txntoken.Signer
	stop   context.CancelFunc
	code   chan int
	logs   *logBuffer
}

// logBuffer collects the log and tells when the service listens.
type logBuffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	address chan string
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var line struct{ Msg, Address string }
	if json.Unmarshal(b, &line) == nil && line.Msg == "listening" {
		l.address <- line.Address
	}
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs "memory-backend serve" in this process with a key of its own.
func start(t testing.TB, args ...string) *service {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := txntoken.NewSigner(key, "memgate", time.Minute, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{dir: folder(t), signer: signer, code: make(chan int, 1), logs: &logBuffer{address: make(chan string, 1)}}
	jwks := filepath.Join(s.dir, "jwks.json")
	if err := os.WriteFile(jwks, signer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, filepath.Join(s.dir, "data"), args...)
	return s
}

// folder is a temporary one. A pool of connections may still open one while it is closed, which
// makes a file beside the tenant's for a moment: removing it is tried again.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "memory-backend-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Error(err)
	})
	return dir
}

// startIn runs the service again on what another one left.
func startIn(t testing.TB, before *service, data string, args ...string) *service {
	t.Helper()
	s := &service{dir: before.dir, signer: before.signer, code: make(chan int, 1), logs: &logBuffer{address: make(chan string, 1)}}
	s.run(t, data, args...)
	return s
}

// run runs the service until the test ends or stops it.
func (s *service) run(t testing.TB, data string, args ...string) {
	t.Helper()
	jwks := filepath.Join(s.dir, "jwks.json")
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"MEMORY_BACKEND_LISTEN": "127.0.0.1:0", "MEMORY_BACKEND_TXN_JWKS": jwks}[name]
		return v, ok
	}
	go func() {
		s.code <- run(ctx, append([]string{"serve", "--data", data}, args...), env, io.Discard, s.logs)
	}()
	select {
	case a := <-s.logs.address:
		s.url = "http://" + a
	case code := <-s.code:
		t.Fatalf("exit code %d\n%s", code, s.logs)
	case <-time.After(time.Minute):
		t.Fatalf("does not listen\n%s", s.logs)
	}
	t.Cleanup(stop)
}

// token returns a Txn-Token for a tenant.
func (s *service) token(t testing.TB, tenant string) string {
	t.Helper()
	token, err := s.signer.Sign(txntoken.Claims{ID: "r-1", Audience: "upstream", Subject: "someone", Tenant: tenant, Kind: "api_key", Principal: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// edge starts what stands in for the edge: it takes the API key for the tenant and adds the token.
func (s *service) edge(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		// The proxy's own server closes the body at the first byte of an answer, while
		// what sends it on may still look for its end: it gets a copy.
		if body, err := io.ReadAll(r.In.Body); err == nil && len(body) > 0 {
			r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		tenant := strings.TrimPrefix(r.In.Header.Get("Authorization"), "Token ")
		r.Out.Header.Del("Authorization")
		r.Out.Header.Set(txntoken.Header, s.token(t, tenant))
	}}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return front.URL
}

// call sends a request and returns the status and the answer.
func (s *service) call(t testing.TB, tenant, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if tenant != "" {
		req.Header.Set(txntoken.Header, s.token(t, tenant))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(data, &answer) // some answers are no JSON
	return resp.StatusCode, answer
}
