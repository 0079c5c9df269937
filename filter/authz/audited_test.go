package authz

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
)

// While a request could not be audited it is refused before anything else is
// looked at, preflights and anonymous routes included, and is let through again
// afterwards.
func TestUnauditedIsRefused(t *testing.T) {
	f := newFixture(t, testPolicy)
	s := NewService(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), time.Now)
	var fault error
	s.Guard(func() error { return fault })
	s.Use(f.chain)
	ask := func(method, path string, header map[string]string) *authv3.CheckResponse {
		t.Helper()
		r, err := s.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
			Http: &authv3.AttributeContext_HttpRequest{Id: "r1", Method: method, Path: path, Headers: header},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	preflight := map[string]string{"origin": "https://app.example.com", "access-control-request-method": "GET"}
	fault = errors.New("no space left on device")
	for _, r := range []*authv3.CheckResponse{ask("GET", "/healthz", nil), ask("OPTIONS", "/healthz", preflight), ask("GET", "/nowhere", nil)} {
		said := logged(t, r)
		if r.GetDeniedResponse().GetStatus().GetCode() != 503 || said.Stage != string(StageAudit) || said.Reason != string(ReasonAudit) {
			t.Errorf("%v", r)
		}
	}
	fault = nil
	if r := ask("GET", "/healthz", nil); r.GetOkResponse() == nil {
		t.Errorf("%v", r)
	}
}
