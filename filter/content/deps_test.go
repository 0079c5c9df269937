package content

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestWasmDependencies lists what the packages that the Wasm filter hosts pull
// into it. The filter is loaded by every Envoy worker: each of the forbidden
// packages costs megabytes of it, or milliseconds of a request.
func TestWasmDependencies(t *testing.T) {
	const module = "github.com/memgate/memgate/"
	hosted := []string{"content", "cors", "headers", "problem", "pii"}
	forbidden := []string{
		"net", "net/", "crypto/tls", "crypto/x509", "encoding/json", "encoding/xml", "log", "log/",
		"mime", "mime/", "os/exec", "regexp", "regexp/", "text/template", "html/template",
		"google.golang.org/", "github.com/envoyproxy/", "github.com/proxy-wasm/", "go.yaml.in/", "gopkg.in/yaml",
		module + "filter/policy", module + "filter/authz",
	}
	// Tink's AES-SIV names fmt, which the SDK of the filter links anyway; these
	// packages themselves do without it and without reflection.
	direct := exec.Command("go", "list", "-f", "{{.ImportPath}} {{.Imports}}", module+"filter/content", module+"filter/cors",
		module+"filter/headers", module+"filter/problem", module+"filter/pii", module+"filter/jsonstream")
	imports, err := direct.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(imports)) {
		name, list, _ := strings.Cut(strings.Trim(line, "]\n"), " [")
		for _, word := range strings.Fields(list) {
			if word == "fmt" || word == "reflect" {
				t.Errorf("%s imports %s", name, word)
			}
		}
	}
	args := []string{"list", "-deps", "-f", "{{.ImportPath}}"}
	for _, name := range hosted {
		args = append(args, module+"filter/"+name)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"filter/content") {
		t.Fatalf("go list did not list the packages: %s", out)
	}
	for _, dep := range deps {
		for _, f := range forbidden {
			if dep == f || strings.HasSuffix(f, "/") && strings.HasPrefix(dep, f) || strings.HasPrefix(f, "gopkg.in") && strings.HasPrefix(dep, f) {
				t.Errorf("%s is linked; find out by whom: GOOS=wasip1 GOARCH=wasm go list -deps -f '{{.ImportPath}} {{.Imports}}' ./filter/...", dep)
			}
		}
	}
}
