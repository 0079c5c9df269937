package edge

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// In shadow a body may name whom it likes, and the operator learns of it, as of what a header
// names.
func TestCompareInShadow(t *testing.T) {
	s := harness.StartStack(t, func(yaml string) string {
		return yaml + "\ncompare:\n  tenant: { headers: [X-Tenant-ID], body: [metadata.tenant] }\n  agent: { body: [metadata.agent] }\n" +
			"tenant: { mode: shadow }\naccess: { mode: shadow }\n"
	})
	token := s.Token("acme", scopes)
	if r := s.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"helper"}`); r.Status != 201 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for _, c := range []struct {
		header, metadata string
		shadow           []string
	}{
		{"acme", `{"tenant":"acme","agent":"helper"}`, nil},
		{"evil", `{"tenant":"acme"}`, []string{"tenant:tenant_mismatch"}},
		{"acme", `{"tenant":"evil"}`, []string{"tenant:tenant-mismatch"}},
		{"acme", `{"tenant":["acme"],"agent":"other"}`, []string{"tenant:tenant-mismatch", "access:agent-mismatch"}},
	} {
		body := `{"content":"x is y","type":"fact","metadata":` + c.metadata + `}`
		r := s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/helper/remember", Body: body, Header: map[string]string{
			"Authorization": "Bearer " + token, "X-Tenant-ID": c.header, "Content-Type": "application/json",
		}})
		if r.Status != 200 {
			t.Errorf("%s, %s: %d %s", c.header, c.metadata, r.Status, r.Body)
		}
		if e := shadowEvent(t, s, r.ID); e.Decision != "allow" || !slices.Equal(e.Shadow, c.shadow) {
			t.Errorf("%s, %s: %+v, want %q", c.header, c.metadata, e, c.shadow)
		}
	}
	for _, want := range []string{"tenant-mismatch\",route=\"remember\",stage=\"tenant", "agent-mismatch\",route=\"remember\",stage=\"access"} {
		if !strings.Contains(harness.Do(t, s.MemgateHTTP, harness.Request{Path: "/metrics"}).Body, `memgate_shadow_denials_total{reason="`+want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// Whatever tenant or agent a request names besides its path is compared with that of its
// credential, in each place, and the upstream gets nothing of one that differs.
func TestCompare(t *testing.T) {
	harness.Needs(t, harness.OwnRoutes)
	s := harness.StartStack(t, func(yaml string) string {
		return yaml + "\ncompare:\n" +
			"  tenant: { headers: [X-Tenant-ID], query: [tenant_id], body: [tenant_id, metadata.tenant] }\n" +
			"  agent: { query: [agent_id], body: [agent_id, metadata.agent] }\n"
	})
	bearer := "Bearer " + s.Token("acme", scopes)
	if r := s.JSON(t, "POST", "/api/v2/agents", strings.TrimPrefix(bearer, "Bearer "), `{"agent_id":"helper"}`); r.Status != 201 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	var session struct {
		Token string `json:"session_token"`
	}
	r := s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/helper/activate", Header: map[string]string{"Authorization": bearer}})
	if err := json.Unmarshal([]byte(r.Body), &session); err != nil || session.Token == "" {
		t.Fatalf("no session: %s", r.Body)
	}
	const path = "/api/v2/agents/helper/remember"
	body := func(more string) string { return `{"content":"x is y","type":"fact"` + more + `}` }
	long := `,"metadata":{"a":"` + strings.Repeat("word ", 800) + `","tenant":"evil"}`
	for name, c := range map[string]struct {
		path, header, value, body string
		problem                   string // "" for one that goes on
	}{
		"nothing is named":           {path, "", "", body(""), ""},
		"the own, everywhere":        {path + "?tenant_id=acme&agent_id=helper", "X-Tenant-ID", "acme", body(`,"metadata":{"tenant":"acme","agent":"helper"}`), ""},
		"another tenant's header":    {path, "X-Tenant-ID", "evil", body(""), "tenant-mismatch"},
		"another tenant's query":     {path + "?tenant%5Fid=evil", "", "", body(""), "tenant-mismatch"},
		"a query that breaks off":    {path + "?a=%4", "", "", body(""), "malformed-request"},
		"another tenant's body":      {path, "", "", body(`,"tenant_id":"evil"`), "tenant-mismatch"},
		"by an escaped name":         {path, "", "", body(`,"\u0074enant_id":"evil"`), "tenant-mismatch"},
		"the own tenant and another": {path, "", "", body(`,"tenant_id":"acme","tenant_id":"evil"`), "tenant-mismatch"},
		"behind a long text":         {path, "", "", body(long), "tenant-mismatch"},
		"another agent's query":      {path + "?agent_id=other", "", "", body(""), "agent-mismatch"},
		"another agent's body":       {path, "", "", body(`,"metadata":{"agent":"other"}`), "agent-mismatch"},
	} {
		for _, credential := range [][2]string{{"Authorization", bearer}, {"X-Session-Token", session.Token}} {
			h := map[string]string{credential[0]: credential[1], "Content-Type": "application/json"}
			if c.header != "" {
				h[c.header] = c.value
			}
			r := s.Do(t, harness.Request{Method: "POST", Path: c.path, Header: h, Body: c.body})
			if c.problem == "" {
				if r.Status != 200 {
					t.Errorf("%s, %s: %d %s", name, credential[0], r.Status, r.Body)
				}
				continue
			}
			secure(t, r)
			if got := problemOf(t, r); got != c.problem {
				t.Errorf("%s, %s: %d %s", name, credential[0], r.Status, got)
			}
			if strings.Contains(r.Body, "acme") {
				t.Errorf("%s: the caller learns of %s", name, r.Body)
			}
		}
	}
	held := s.Held(t, "acme", "POST", "/api/v2/agents/helper/recall/recent", `{"limit":100}`)
	if strings.Contains(held, "evil") || !strings.Contains(held, "x is y") {
		t.Errorf("the service holds what was refused, or not what was allowed: %s", held)
	}
	// An agent of a body is that of a session where the path names none.
	for agent, want := range map[string]int{"helper": 201, "other": 403} {
		r := s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents", Header: map[string]string{"X-Session-Token": session.Token, "Content-Type": "application/json"}, Body: `{"agent_id":"` + agent + `"}`})
		if r.Status != want && (want != 201 || r.Status != 409) {
			t.Errorf("%s in a body without an agent in the path: %d %s", agent, r.Status, r.Body)
		}
	}
	harness.Needs(t, harness.Findings)
	harness.Eventually(t, func() error {
		lines, err := os.ReadFile(filepath.Join(s.Dir, "audit.log"))
		for _, want := range []string{`"tenant_mismatch"`, `"agent_mismatch"`, `"tenant-mismatch"`, `"agent-mismatch"`, `"malformed_query"`} {
			if err == nil && !strings.Contains(string(lines), want) {
				err = errors.New("no " + want + " in the audit log")
			}
		}
		return err
	})
}
