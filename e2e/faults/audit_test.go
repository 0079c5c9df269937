package faults

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

// Nothing of these may stand in the audit log or in any process's own log.
const (
	auditEmail   = "john.roe@example.org"
	auditContent = "windmill"
	auditPath    = "zeppelin" // of an agent, in the path
	auditQuery   = "quicksand"
	auditHeader  = "hurricane"
)

// One line tells of each request who asked, what was decided, why, and how it
// ended, and tells nothing of what was said.
func TestAudit(t *testing.T) {
	svc.answer("audit", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"contact":["`+auditEmail+`","`+auditEmail+`"],"host":"203.0.113.77"}`)
	})
	token := shared.TokenFor(dev.Claims{Tenant: "audit", Subject: "auditor", Scope: scopes, TTL: time.Hour})
	reader := shared.Token("audit", "memory:read")
	key := shared.APIKey("audit", scopes)
	bearer := map[string]string{"Authorization": "Bearer " + token}
	post := func(header map[string]string, body string) harness.Request {
		all := map[string]string{"Content-Type": "application/json", answerHeader: "audit"}
		for name, value := range header {
			all[name] = value
		}
		return harness.Request{Method: "POST", Path: "/api/v2/agents/" + auditPath + "/remember?q=" + auditQuery, Header: all, Body: body}
	}
	memory := `{"type":"fact","content":"` + auditContent + ` of ` + auditEmail + `"}`
	harness.Eventually(t, func() error {
		return harness.Want(shared.Do(t, post(map[string]string{"X-API-Key": key}, memory)), 200)
	})

	for name, c := range map[string]struct {
		request harness.Request
		want    event
	}{
		"allowed": {post(bearer, memory), event{Route: "remember", Method: "POST", Tenant: "audit", Subject: "auditor", Kind: "jwt",
			Decision: "allow", Status: 200, Findings: map[string]int{"EMAIL_ADDRESS": 3, "IP_ADDRESS": 1}}},
		"by API key": {post(map[string]string{"X-API-Key": key}, memory), event{Route: "remember", Method: "POST", Tenant: "audit", Kind: "api_key",
			Principal: strings.Split(key, "_")[2], Decision: "allow", Status: 200, Findings: map[string]int{"EMAIL_ADDRESS": 3, "IP_ADDRESS": 1}}},
		"forged headers": {post(map[string]string{"Authorization": "Bearer " + token, "X-Memgate-Tenant": auditHeader, "Txn-Token": auditHeader, "X-Memgate-Zzz": auditHeader}, memory),
			event{Route: "remember", Method: "POST", Tenant: "audit", Subject: "auditor", Kind: "jwt", Decision: "allow", Status: 200,
				Findings: map[string]int{"EMAIL_ADDRESS": 3, "IP_ADDRESS": 1}, SpoofedHeaders: []string{"txn-token", "x-memgate-tenant", "x-memgate-zzz"}}},
		"no credential": {post(nil, memory), event{Route: "remember", Method: "POST", Decision: "deny", Stage: "credential", Reason: "no_credentials", Status: 401}},
		"a scope is missing": {post(map[string]string{"Authorization": "Bearer " + reader}, memory), event{Route: "remember", Method: "POST", Tenant: "audit",
			Subject: "svc-audit", Kind: "jwt", Decision: "deny", Stage: "access", Reason: "insufficient_scope", Status: 403}},
		"no route": {harness.Request{Path: "/" + auditPath + "?" + auditQuery, Header: bearer}, event{Method: "GET", Decision: "deny", Stage: "route", Reason: "no_route", Status: 403}},
		"content refused": {post(bearer, `{"content":"`+auditContent), event{Route: "remember", Method: "POST", Tenant: "audit", Subject: "auditor", Kind: "jwt",
			Decision: "allow", Status: 400, Refusal: "malformed-json"}},
		"anonymous": {harness.Request{Path: "/healthz?" + auditQuery}, event{Route: "health", Method: "GET", Kind: "anonymous", Decision: "allow", Status: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now().Add(-time.Second)
			r := shared.Do(t, c.request)
			if r.Status != c.want.Status {
				t.Fatalf("status %d: %s", r.Status, r.Body)
			}
			got := audited(t, shared, r.ID)
			if got.Time.Before(began) || got.Time.After(time.Now()) || got.DurationMS <= 0 {
				t.Errorf("time %s, duration %v ms", got.Time, got.DurationMS)
			}
			if c.request.Body != "" && c.want.Refusal == "" && c.want.Decision == "allow" && got.Received != int64(len(c.request.Body)) {
				t.Errorf("%d bytes received, want %d", got.Received, len(c.request.Body))
			}
			if got.Sent != int64(len(r.Body)) {
				t.Errorf("%d bytes sent, want %d", got.Sent, len(r.Body))
			}
			same(t, got, c.want)
		})
	}

	t.Run("refused by Envoy", func(t *testing.T) {
		// Before it has given the request an id.
		log := filepath.Join(shared.Dir, "audit.log")
		before := len(eventsIn(t, log, ""))
		if r := shared.Do(t, harness.Request{Path: "/api/v2/agents/" + auditPath + "%2fx", Header: bearer}); r.Status != 400 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		var got []event
		harness.Eventually(t, func() error {
			if got = eventsIn(t, log, "")[before:]; len(got) == 0 {
				return errors.New("no event")
			}
			return nil
		})
		same(t, got[0], event{Method: "GET", Decision: "error", Stage: "envoy", Reason: "path_normalization_failed", Status: 400})
	})

	secrets := []string{token, reader, key, auditEmail, auditContent, auditPath, auditQuery, auditHeader, "203.0.113.77"}
	info, err := os.Stat(filepath.Join(shared.Dir, "audit.log"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("audit.log: %v, mode %v", err, info.Mode())
	}
	for name, text := range map[string]string{
		"audit.log": string(mustRead(t, filepath.Join(shared.Dir, "audit.log"))), "memgate's log": shared.Memgate.Log(0), "Envoy's log": shared.Envoy.Log(0),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%q stands in %s", secret, name)
			}
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// same compares what does not depend on the moment. A principal is compared
// only when the test knows it, and so are the reasons of an allowed request.
func same(t *testing.T, got, want event) {
	t.Helper()
	if want.Decision == "allow" {
		want.Stage, want.Reason = got.Stage, got.Reason
	}
	for _, f := range []struct{ name, got, want string }{
		{"route", got.Route, want.Route}, {"method", got.Method, want.Method}, {"tenant", got.Tenant, want.Tenant},
		{"kind", got.Kind, want.Kind}, {"decision", got.Decision, want.Decision}, {"stage", got.Stage, want.Stage},
		{"reason", got.Reason, want.Reason}, {"refusal", got.Refusal, want.Refusal},
	} {
		if f.got != f.want {
			t.Errorf("%s %q, want %q", f.name, f.got, f.want)
		}
	}
	if want.Subject != "" && got.Subject != want.Subject || want.Principal != "" && got.Principal != want.Principal {
		t.Errorf("subject %q, principal %q; want %q, %q", got.Subject, got.Principal, want.Subject, want.Principal)
	}
	if got.Status != want.Status {
		t.Errorf("status %d, want %d", got.Status, want.Status)
	}
	for entity, n := range want.Findings {
		if got.Findings[entity] != n {
			t.Errorf("%d findings of %s, want %d", got.Findings[entity], entity, n)
		}
	}
	if len(got.Findings) != len(want.Findings) {
		t.Errorf("findings %v, want %v", got.Findings, want.Findings)
	}
	slices.Sort(got.SpoofedHeaders)
	if !slices.Equal(got.SpoofedHeaders, want.SpoofedHeaders) {
		t.Errorf("spoofed headers %v, want %v", got.SpoofedHeaders, want.SpoofedHeaders)
	}
}

// The log is rotated as logrotate does it: renamed, then SIGHUP.
func TestAuditLogRotation(t *testing.T) {
	token := shared.Token("rotation", scopes)
	before := remember(t, shared, token, "x is y")
	audited(t, shared, before.ID)
	path := filepath.Join(shared.Dir, "audit.log")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	shared.Memgate.Signal(syscall.SIGHUP)
	harness.Eventually(t, func() error {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm() != 0o600 {
			err = errors.New("the new log has mode " + info.Mode().String())
		}
		return err
	})
	after := remember(t, shared, token, "x is y")
	audited(t, shared, after.ID)
	if len(eventsIn(t, path+".1", before.ID)) != 1 || len(eventsIn(t, path+".1", after.ID)) != 0 || len(eventsIn(t, path, before.ID)) != 0 {
		t.Error("lines are in the wrong file")
	}
}

func TestMetrics(t *testing.T) {
	svc.answer("metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"card":"4111 1111 1111 1111"}`)
	})
	token := shared.Token("metrics", scopes)
	remember(t, shared, token, "x is y")
	counters := []struct {
		name   string
		labels []string
		by     float64
	}{
		{"memgate_decisions_total", []string{`decision="allow"`, `stage="allow"`, `route="remember"`}, 3},
		{"memgate_decisions_total", []string{`decision="deny"`, `stage="credential"`, `reason="no_credentials"`, `route="agent-list"`}, 1},
		{"memgate_decisions_total", []string{`decision="deny"`, `reason="no_route"`}, 1},
		{"memgate_check_duration_seconds_count", []string{`decision="allow"`, `stage="allow"`}, 3},
		{"memgate_check_duration_seconds_count", []string{`decision="deny"`, `stage="credential"`}, 1},
		{"memgate_spoofed_requests_total", nil, 1},
		{"memgate_requests_total", []string{`route="remember"`, `status="2xx"`}, 2},
		{"memgate_requests_total", []string{`route="remember"`, `status="4xx"`}, 1},
		{"memgate_findings_total", []string{`entity="CREDIT_CARD"`}, 2},
		{"memgate_content_refusals_total", []string{`problem="malformed-json"`}, 1},
	}
	// Entries of the requests before have to be in first.
	last := remember(t, shared, token, "x is y")
	audited(t, shared, last.ID)
	start := make([]float64, len(counters))
	for i, c := range counters {
		start[i] = metric(t, shared, c.name, c.labels...)
	}

	remember(t, shared, token, "x is y", answerHeader, "metrics")
	remember(t, shared, token, "card 4111 1111 1111 1111", "X-Memgate-Tenant", "other")
	shared.JSON(t, "POST", "/api/v2/agents/a/remember", token, `{"content":`)
	shared.Do(t, harness.Request{Path: "/api/v2/agents"})
	shared.JSON(t, "GET", "/nowhere", token, "")
	for i, c := range counters {
		wantMetric(t, shared, start[i]+c.by, c.name, c.labels...)
	}
	r := harness.Do(t, shared.MemgateHTTP, harness.Request{Path: "/metrics"})
	for _, name := range []string{"memgate_build_info{", "memgate_policy_last_reload_successful 1", "memgate_audit_failures_total 0", "go_goroutines"} {
		if !strings.Contains(r.Body, name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, secret := range []string{token, "metrics\"", "svc-metrics", "4111"} {
		if strings.Contains(r.Body, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
}
