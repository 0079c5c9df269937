package observe

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// event is what an audit event says of a decision.
type event struct {
	Decision, Stage, Reason, Tenant, Refusal string
	Shadow                                   []string
	RequestID                                string `json:"request_id"`
}

// audited waits for the audit event of a request.
func audited(t *testing.T, s *harness.Stack, id string) (e event) {
	t.Helper()
	s.Audited(t, id, &e)
	return e
}

// inMode sets the mode of sections of memgate.yaml.
func inMode(yaml, mode string, sections ...string) string {
	for _, section := range sections {
		set := "mode: " + mode
		switch {
		case strings.Contains(yaml, "\n"+section+": {"):
			yaml = strings.Replace(yaml, "\n"+section+": {", "\n"+section+": { "+set+",", 1)
		case strings.Contains(yaml, "\n"+section+":\n"):
			yaml = strings.Replace(yaml, "\n"+section+":\n", "\n"+section+":\n  "+set+"\n", 1)
		default:
			yaml += section + ": { " + set + " }\n"
		}
	}
	return yaml
}

// A service that does by itself what memgate would, with memgate in front of it in
// shadow: nothing changes for it and for its clients, and the operator sees stage
// by stage what would.
func TestAllInShadow(t *testing.T) {
	u := harness.StartUpstream(t)
	u.Answer("", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Access-Control-Allow-Origin", "https://own.example.com")
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
		w.Header().Set("Server", "own/1.0")
		_, _ = w.Write([]byte(`{"mail":"ann@example.com"}`))
	})
	all := []string{"cors", "headers", "identity", "tenant", "access", "limits", "content", "poison", "pii", "audit"}
	s := harness.StartStack(t, func(yaml string) string {
		start := strings.Index(yaml, "upstream: { address: ")
		yaml = yaml[:start] + `upstream: { address: "` + u.Addr + `"` + yaml[start+strings.Index(yaml[start:], ","):]
		yaml = strings.Replace(yaml, "\nroutes:\n", "\nroutes:\n  - name: of-tenant\n    match: { methods: [GET], path: \"/tenants/{tenant}\" }\n    require: { scopes: [\"memory:read\"] }\n", 1)
		return inMode(yaml, "shadow", all...)
	})
	good := "Bearer " + s.Token("acme", "memory:read")
	key := s.APIKey("acme", "memory:write")
	harness.Eventually(t, func() error { // the keys are read again once a second
		if r := s.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"X-API-Key": key}}); u.Received(r.ID).Header.Get("Txn-Token") == "" {
			return fmt.Errorf("the key is not known yet")
		}
		return nil
	})
	body := `{"content":"write to ann@example.com"}`
	post := func(body string, header ...string) harness.Request {
		h := map[string]string{"Content-Type": "application/json"}
		for i := 0; i < len(header); i += 2 {
			h[header[i]] = header[i+1]
		}
		return harness.Request{Method: "POST", Path: "/api/v2/agents/a/remember", Header: h, Body: body}
	}
	for name, c := range map[string]struct {
		r      harness.Request
		known  bool // the upstream learns who it is
		shadow string
	}{
		"no credential":     {post(body), false, "credential:no_credentials"},
		"the service's own": {post(body, "Authorization", "Basic "+basic), false, "credential:"},
		"an invalid token":  {post(body, "Authorization", "Bearer not.a.token"), false, "verify:"},
		"two credentials":   {post(body, "Authorization", good, "X-API-Key", key), false, "credential:ambiguous_credentials"},
		"without the scope": {post(body, "Authorization", good), true, "access:insufficient_scope"},
		"with the scope":    {post(body, "X-API-Key", key), true, "pii:not_rewritten"},
		"another tenant":    {harness.Request{Path: "/tenants/evil", Header: map[string]string{"Authorization": good}}, true, "tenant:tenant_mismatch"},
		"malformed":         {post(`{"content":`, "X-API-Key", key), true, "content:malformed-json"},
		"another type":      {post("hello", "X-API-Key", key, "Content-Type", "text/plain"), true, "content:unsupported-media-type"},
		"too large":         {post(`{"content":"`+strings.Repeat("x", 70<<10)+`"}`, "X-API-Key", key), true, "content:body-too-large"},
		"a preflight":       {harness.Request{Method: "OPTIONS", Path: "/api/v2/agents", Header: map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}}, false, "preflight:preflight_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Do(t, c.r)
			if got.Status != 200 || got.Body != `{"mail":"ann@example.com"}` {
				t.Fatalf("the client got %d %s", got.Status, got.Body)
			}
			for header, want := range map[string]string{"Access-Control-Allow-Origin": "https://own.example.com", "X-Frame-Options": "SAMEORIGIN", "Server": "own/1.0", "X-Content-Type-Options": "", "RateLimit": "", "Vary": ""} {
				if have := strings.Join(got.Header.Values(header), ","); have != want {
					t.Errorf("%s is %q, the service said %q", header, have, want)
				}
			}
			received := u.Received(got.ID)
			if received == nil || received.Body != c.r.Body {
				t.Fatalf("the service got %+v", received)
			}
			for _, header := range []string{"Authorization", "X-API-Key"} {
				if have := received.Header.Get(header); have != c.r.Header[header] {
					t.Errorf("the service got %s %q", header, have)
				}
			}
			if known := received.Header.Get("Txn-Token") != ""; known != c.known {
				t.Errorf("the service got a Txn-Token: %v", known)
			}
			e := audited(t, s, got.ID)
			said := slices.ContainsFunc(e.Shadow, func(entry string) bool { return strings.HasPrefix(entry, c.shadow) })
			if e.Decision != "allow" || e.Refusal != "" || !said || !slices.Contains(e.Shadow, "headers:not_set") {
				t.Errorf("want %s: %+v", c.shadow, e)
			}
		})
	}
	now := s.Metrics(t)
	for _, want := range []string{
		`memgate_shadow_denials_total{reason="no_credentials",route="remember",stage="credential"}`,
		`memgate_shadow_denials_total{reason="tenant_mismatch",route="of-tenant",stage="tenant"}`,
		`memgate_shadow_denials_total{reason="preflight_refused",route="agent-create",stage="preflight"}`,
		`memgate_shadow_denials_total{reason="malformed-json",route="remember",stage="content"}`,
		`memgate_findings_total{entity="EMAIL_ADDRESS"}`,
	} {
		if now[want] < 1 {
			t.Errorf("%s is %v", want, now[want])
		}
	}
	// memgate's own routes have nobody behind them who would decide.
	if r := s.Do(t, harness.Request{Path: "/api/v2/status"}); r.Status != 401 {
		t.Errorf("a route of memgate itself: %d", r.Status)
	}
	explain := s.CLI("explain", "--config", s.Config, "-X", "POST", "--path", "/api/v2/agents/a/remember")
	if !strings.Contains(explain, "credential  would deny") || strings.Contains(explain, "authorization") {
		t.Errorf("memgate explain: %s", explain)
	}
	if out := s.CLI("check", s.Config); strings.Count(out, "not enforced") < len(all) {
		t.Errorf("memgate check: %s", out)
	}

	// The same requests are refused when all is enforced.
	s.WritePolicy(strings.ReplaceAll(s.Policy(), "mode: shadow", "mode: enforce"))
	harness.Eventually(t, func() error { return harness.Want(s.Do(t, post(body)), 401) })
	if got := s.Do(t, post(body, "X-API-Key", key)); got.Status != 200 || got.Body != `{"mail":"[EMAIL_ADDRESS]"}` || got.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("enforced: %d %s", got.Status, got.Body)
	}
	if got := s.Do(t, harness.Request{Path: "/tenants/evil", Header: map[string]string{"Authorization": good}}); got.Status != 403 {
		t.Errorf("another tenant, enforced: %d", got.Status)
	}
	if got := s.Do(t, post(`{"content":`, "X-API-Key", key)); got.Status != 400 {
		t.Errorf("malformed, enforced: %d", got.Status)
	}
}

// In shadow a log that cannot be written refuses nothing and is counted; off there
// is none.
func TestAuditInShadow(t *testing.T) {
	var log string
	s := harness.StartStack(t, func(yaml string) string {
		log = filepath.Join(t.TempDir(), "gone", "audit.log")
		if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
			t.Fatal(err)
		}
		return strings.Replace(inMode(yaml, "shadow", "audit"), "file: audit.log", "file: "+log, 1)
	})
	if err := os.RemoveAll(filepath.Dir(log)); err != nil {
		t.Fatal(err)
	}
	const refused = `memgate_shadow_denials_total{reason="audit_unavailable",route="health",stage="audit"}`
	harness.Eventually(t, func() error {
		if r := s.Do(t, harness.Request{Path: "/healthz"}); r.Status != 200 {
			t.Fatalf("without the log: %d %s", r.Status, r.Body)
		}
		if s.Metrics(t)[refused] < 1 {
			return fmt.Errorf("no request would have been refused for want of the log")
		}
		return nil
	})
	s.WritePolicy(strings.Replace(s.Policy(), "mode: shadow", "mode: off", 1))
	harness.Eventually(t, func() error {
		if s.Metrics(t)["memgate_audit_available"] != 1 {
			return fmt.Errorf("the log is still missed")
		}
		return harness.Want(s.Do(t, harness.Request{Path: "/healthz"}), 200)
	})
	if _, err := os.Stat(log); err == nil {
		t.Error("there is a log although audit is off")
	}
	// What cannot be had again is not put in force.
	s.WritePolicy(strings.Replace(s.Policy(), "mode: off", "mode: enforce", 1))
	harness.Eventually(t, func() error {
		if s.Metrics(t)["memgate_policy_last_reload_successful"] != 0 {
			return fmt.Errorf("a policy without a place for its log is in force")
		}
		return nil
	})
}
