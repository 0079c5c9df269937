package edge

import (
	"slices"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// In shadow a caller notices nothing of scopes and rates while the operator sees
// who would be refused; a reload enforces them.
func TestShadow(t *testing.T) {
	const classes = "  classes: { write: 60/m, read: 120/m }"
	s := harness.StartStack(t, func(yaml string) string {
		if !strings.Contains(yaml, classes) {
			t.Fatalf("memgate.yaml does not hold %q any more", classes)
		}
		return strings.Replace(yaml, classes, "  mode: shadow\n  classes: { write: 60/m, read: 3/m }", 1) + "\naccess: { mode: shadow }\n"
	})
	reader, writer := s.Token("acme", "memory:read"), s.Token("busy", scopes)
	create := func(agent string) *harness.Response {
		return s.JSON(t, "POST", "/api/v2/agents", reader, `{"agent_id":"`+agent+`"}`)
	}
	list := func() *harness.Response { return s.JSON(t, "GET", "/api/v2/agents", writer, "") }

	unscoped := create("one")
	if unscoped.Status != 201 {
		t.Fatalf("without the scope: %d %s", unscoped.Status, unscoped.Body)
	}
	var over *harness.Response
	for n := range 5 {
		over = list()
		if over.Status != 200 {
			t.Fatalf("request %d of 3 in a minute: %d %s", n+1, over.Status, over.Body)
		}
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "Retry-After"} {
			if got := over.Header.Values(name); len(got) > 0 {
				t.Errorf("request %d: %s: %q promises what is not held", n+1, name, got)
			}
		}
	}
	// Who it is and for which tenant is enforced whatever the mode.
	if r := s.Do(t, harness.Request{Path: "/api/v2/agents"}); r.Status != 401 {
		t.Errorf("without a credential: %d", r.Status)
	}
	if r := s.JSON(t, "GET", "/api/v2/agents", "garbage", ""); r.Status != 401 {
		t.Errorf("with a token that is none: %d", r.Status)
	}

	metrics := harness.Do(t, s.MemgateHTTP, harness.Request{Path: "/metrics"}).Body
	for _, want := range []string{
		`memgate_shadow_denials_total{reason="insufficient_scope",route="agent-create",stage="access"} 1`,
		`memgate_shadow_denials_total{reason="rate_limited",route="agent-list",stage="quota"} 2`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for id, want := range map[string]string{unscoped.ID: "access:insufficient_scope", over.ID: "quota:rate_limited"} {
		if e := shadowEvent(t, s, id); e.Decision != "allow" || e.Reason != "allowed" || !slices.Equal(e.Shadow, []string{want}) {
			t.Errorf("want %s: %+v", want, e)
		}
	}
	args := []string{"explain", "--config", s.Config, "-X", "POST", "--path", "/api/v2/agents", "-H", "Authorization: Bearer " + reader}
	if out := s.CLI(args...); !strings.Contains(out, "access      would deny ") {
		t.Errorf("memgate explain: %s", out)
	}
	if out := s.CLI("check", s.Config); !strings.Contains(out, "access.mode: ") || !strings.Contains(out, "limits.mode: ") {
		t.Errorf("memgate check: %s", out)
	}

	s.WritePolicy(strings.ReplaceAll(s.Policy(), "mode: shadow", "mode: enforce"))
	harness.Eventually(t, func() error { return harness.Want(create("two"), 403) })
	refused := create("two")
	if got := problemOf(t, refused); got != "forbidden" {
		t.Errorf("problem %s", got)
	}
	if e := shadowEvent(t, s, refused.ID); e.Decision != "deny" || e.Stage != "access" || len(e.Shadow) > 0 {
		t.Errorf("%+v", e)
	}
	// The rate was counted all along.
	for range 4 {
		over = list()
	}
	if over.Status != 429 || over.Header.Get("Retry-After") == "" || problemOf(t, over) != "rate-limited" {
		t.Errorf("over the rate: %d %v %s", over.Status, over.Header, over.Body)
	}
	if out := s.CLIFails(args...); !strings.Contains(out, "access      deny") {
		t.Errorf("memgate explain: %s", out)
	}
}

// shadowEvent waits for the audit event of a request.
func shadowEvent(t *testing.T, s *harness.Stack, id string) (e struct {
	Decision, Stage, Reason string
	Shadow                  []string
}) {
	t.Helper()
	s.Audited(t, id, &e)
	return e
}
