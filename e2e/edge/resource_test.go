package edge

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// An OAuth client that knows nothing but the service's URL finds the issuer: the
// challenge names the metadata (RFC 9728, section 5.1), which names the issuer.
func TestProtectedResourceMetadata(t *testing.T) {
	harness.Needs(t, harness.OwnRoutes)
	s := harness.StartStack(t, func(yaml string) string {
		return strings.Replace(yaml, "  sessions: { ttl: 6h }", "  sessions: { ttl: 6h }\n  resource: { url: \"https://edge.example.com/mcp\" }", 1)
	})
	denied := s.Do(t, harness.Request{Path: "/api/v2/agents"})
	challenge := denied.Header.Get("WWW-Authenticate")
	found := regexp.MustCompile(`resource_metadata="https://edge\.example\.com(/[^"]+)"`).FindStringSubmatch(challenge)
	if denied.Status != 401 || found == nil {
		t.Fatalf("%d, challenge %q", denied.Status, challenge)
	}
	r := s.Do(t, harness.Request{Path: found[1]})
	if r.Status != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", r.Status, r.Header, r.Body)
	}
	secure(t, r)
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Methods  []string `json:"bearer_methods_supported"`
	}
	if err := json.Unmarshal([]byte(r.Body), &document); err != nil {
		t.Fatal(err)
	}
	if document.Resource != "https://edge.example.com/mcp" || !slices.Equal(document.Servers, []string{s.Issuer()}) ||
		!slices.Equal(document.Scopes, scopesSupported) || !slices.Equal(document.Methods, []string{"header"}) {
		t.Errorf("%+v", document)
	}
	// Only where it belongs, and only to read.
	for path, method := range map[string]string{"/.well-known/oauth-protected-resource": "GET", found[1]: "POST"} {
		if r := s.Do(t, harness.Request{Method: method, Path: path}); r.Status != 403 {
			t.Errorf("%s %s: %d", method, path, r.Status)
		}
	}
}

// scopesSupported are all that routes of memgate.yaml ask for.
var scopesSupported = []string{
	"memory:audit", "memory:consent", "memory:erase", "memory:export", "memory:hold", "memory:import", "memory:policy", "memory:read", "memory:review",
	"memory:write",
}
