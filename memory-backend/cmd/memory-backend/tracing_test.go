package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/txntoken"
)

// A collector that is not there costs spans, and nothing else.
func TestTracesWithoutACollector(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	s := start(t, "--otlp", "http://"+nobody)
	r, err := http.NewRequest("GET", s.url+"/api/v2/agents", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(txntoken.Header, s.token(t, "acme"))
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		m, err := http.Get(s.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(m.Body)
		m.Body.Close()
		if strings.Contains(string(text), `memory_backend_trace_spans_total{outcome="lost"} 1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the span is not counted as lost\n%s", s.logs)
		}
	}
	refused(t, "--otlp must be", "serve", "--data", s.dir, "--txn-jwks", s.dir, "--otlp", nobody)
}
