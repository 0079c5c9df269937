package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies polices what the filter links: each of these packages costs
// megabytes in every VM, or milliseconds of a request.
func TestDependencies(t *testing.T) {
	forbidden := []string{
		"net", "net/http", "net/url", "crypto/tls", "crypto/x509", "encoding/json", "regexp", "regexp/syntax",
		"text/template", "log/slog", "os/exec",
	}
	forbiddenUnder := []string{
		"google.golang.org/", "github.com/envoyproxy/", "go.yaml.in/", "github.com/lestrrat-go/",
	}
	allowed := []string{"content", "cors", "headers", "jsonstream", "jsontext", "pii", "poison", "problem", "verdict"}

	cmd := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", ".")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/memgate/memgate/filter/content") {
		t.Fatalf("go list names no package of this module:\n%s", out)
	}
	for _, dep := range deps {
		bad := slices.Contains(forbidden, dep) || slices.ContainsFunc(forbiddenUnder, func(prefix string) bool { return strings.HasPrefix(dep, prefix) })
		if name, own := strings.CutPrefix(dep, "github.com/memgate/memgate/filter/"); own {
			name, _, _ = strings.Cut(name, "/")
			bad = !slices.Contains(allowed, name)
		}
		if bad {
			t.Errorf("the filter links %s; go list -deps -f '{{.ImportPath}} {{.Imports}}' ./wasm says by whom", dep)
		}
	}
}
