package edge

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// A role of the token brings the scopes that the policy gives it, and a route's
// condition has the last word.
func TestRolesAndConditions(t *testing.T) {
	s := harness.StartStack(t, func(yaml string) string {
		yaml = strings.Replace(yaml, "tenant: { claim: org_id }", "tenant: { claim: org_id }\n      roles: { claim: scope }", 1)
		yaml = strings.Replace(yaml, `path: "/api/v2/agents/{agent_id}/remember" }
    require: { scopes: ["memory:write"] }`, `path: "/api/v2/agents/{agent_id}/remember" }
    require:
      scopes: ["memory:write"]
      condition: request.params.agent_id.startsWith(principal.tenant + "-")`, 1)
		return yaml + "\naccess: { roles: { editor: [\"memory:read\", \"memory:write\"], reader: [\"memory:read\"] } }\n"
	})
	editor, reader, nobody := s.Token("acme", "editor"), s.Token("acme", "reader"), s.Token("acme", "janitor")
	for _, agent := range []string{"acme-1", "other-1"} {
		if r := s.JSON(t, "POST", "/api/v2/agents", editor, `{"agent_id":"`+agent+`"}`); r.Status != 201 {
			t.Fatalf("the editor: %d %s", r.Status, r.Body)
		}
	}
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
	}{
		"a reader reads":               {"GET", "/api/v2/agents", reader, "", 200},
		"a reader does not write":      {"POST", "/api/v2/agents", reader, `{"agent_id":"x"}`, 403},
		"an unknown role does not":     {"GET", "/api/v2/agents", nobody, "", 403},
		"where the condition holds":    {"POST", "/api/v2/agents/acme-1/remember", editor, `{"content":"x is y","type":"fact"}`, 200},
		"where the condition is false": {"POST", "/api/v2/agents/other-1/remember", editor, `{"content":"x is y","type":"fact"}`, 403},
	} {
		if r := s.JSON(t, c.method, c.path, c.token, c.body); r.Status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, r.Status, c.status, r.Body)
		}
	}
	// A mistake in a condition is told where it stands.
	s.WritePolicy(strings.Replace(s.Policy(), "principal.tenant +", "principal.tennant +", 1))
	if out := s.CLIFails("check", s.Config); !strings.Contains(out, "tennant") || !strings.Contains(out, ":condition") && !strings.Contains(out, ".condition") {
		t.Errorf("memgate check: %s", out)
	}
}
