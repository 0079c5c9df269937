// Package dropin puts memgate before services that nobody here wrote, unmodified
// from their registries, by the files that docs/drop-in.md shows.
package dropin

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

// edge is Envoy and memgate before a service, and the service's own address.
type edge struct {
	*harness.Envoy
	service string // URL of the service, past the edge
	config  string // path of the policy
	keys    []string
}

// start runs the edge by a policy of testdata until the test ends. Addresses are
// others than in the file, so that nothing else on the machine is in the way.
// address is the service's there, and at its own. For each of callers, which are
// a tenant and scopes, there is a key.
func start(t *testing.T, name, address, at string, callers [][2]string, env ...string) *edge {
	t.Helper()
	dir := t.TempDir()
	e := &edge{service: "http://" + at, config: filepath.Join(dir, "memgate.yaml")}
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	yaml := string(raw)
	if n := strings.Count(yaml, "\n"); n >= 30 {
		t.Errorf("%s has %d lines; the page says that it has less than 30", name, n)
	}
	if !strings.Contains(yaml, `"`+address+`"`) {
		t.Fatalf("%s does not name %s", name, address)
	}
	control := harness.FreeAddress(t)
	yaml = strings.Replace(yaml, address, at, 1) + "\nserver: { grpc: \"" + harness.FreeAddress(t) + "\", http: \"" + control + "\" }\n" +
		"envoy: { wasm: \"" + harness.Wasm(t) + "\" }\naudit: { file: audit.log }\n"
	if err := os.WriteFile(e.config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	p, warnings, err := policy.Load(e.config)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%s: %v %v", name, err, warnings)
	}
	bootstrap, err := render.Envoy(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range callers {
		e.keys = append(e.keys, e.key(t, c[0], c[1]))
	}
	memgate := harness.Start(t, "memgate", env, harness.Memgate(t), "serve", "--config", e.config)
	memgate.WaitReady("http://" + control + "/readyz")
	e.Envoy = harness.StartEnvoy(t, bootstrap)
	return e
}

// key makes an API key, as the page does.
func (e *edge) key(t *testing.T, tenant, scope string) string {
	t.Helper()
	out, err := exec.Command(harness.Memgate(t), "key", "create", "--config", e.config, "--tenant", tenant, "--scope", scope).Output()
	if err != nil {
		t.Fatalf("memgate key create: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// audited is what the audit log says of a request.
func (e *edge) audited(t *testing.T, id string) string {
	t.Helper()
	var line []byte
	harness.Eventually(t, func() error {
		var err error
		line, err = exec.Command(harness.Memgate(t), "audit", "query", "--config", e.config, "--request-id", id).Output()
		if err == nil && len(line) == 0 {
			err = os.ErrNotExist
		}
		return err
	})
	return string(line)
}

// refused checks that a response is a refusal that says what to do, and nothing
// of the service behind.
func refused(t *testing.T, r *harness.Response, status int, problem string) {
	t.Helper()
	var body struct {
		Type, Title, Detail string
		Status              int
		ID                  string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil || r.Status != status || body.Status != status ||
		body.Type != "urn:memgate:problem:"+problem || body.Title == "" || body.Detail == "" || body.ID != r.ID {
		t.Errorf("%d %s, want %d %s (%v)", r.Status, r.Body, status, problem, err)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("a refusal of type %s", got)
	}
}
