// Package memgate holds no code. Its test keeps the rules by which the folders
// depend on each other.
package memgate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/memgate/memgate/"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	var out, failure bytes.Buffer
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list: %v\n%s", err, failure.String())
	}
	var all []pkg
	for decoder := json.NewDecoder(&out); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found nothing")
	}
	return all
}

// hosts are the folders of filter/ that know Envoy or the process: all others
// are concerns, which any host can use.
var hosts = []string{"authz", "server", "cmd"}

// A concern package knows neither Envoy's types nor the proxy-wasm SDK, does
// not log, and does not reach up to the hosts.
func TestConcernsKnowNoHost(t *testing.T) {
	forbidden := []string{
		"github.com/envoyproxy/", "github.com/proxy-wasm/", "google.golang.org/grpc", "google.golang.org/protobuf",
		"log", "log/slog", module + "wasm", module + "envoy", module + "memory-backend", module + "e2e",
	}
	for _, h := range hosts {
		forbidden = append(forbidden, module+"filter/"+h)
	}
	seen := 0
	for _, p := range list(t, "./filter/...") {
		folder := strings.Split(strings.TrimPrefix(p.ImportPath, module+"filter/"), "/")[0]
		if slices.Contains(hosts, folder) {
			continue
		}
		seen++
		for _, imported := range p.Imports {
			for _, f := range forbidden {
				if imported == f || strings.HasSuffix(f, "/") && strings.HasPrefix(imported, f) || strings.HasPrefix(imported, f+"/") && f != "log" {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
		}
	}
	if seen < 15 {
		t.Fatalf("only %d concern packages were looked at", seen)
	}
}

// The backend believes the edge's signature and uses nothing else of it. What that needs to
// keep a key in a file comes with it.
func TestBackendUsesOnlyTheTxnToken(t *testing.T) {
	for _, p := range list(t, "./memory-backend/...") {
		for _, d := range p.Deps {
			rest, ours := strings.CutPrefix(d, module)
			if !ours || strings.HasPrefix(rest, "memory-backend/") {
				continue
			}
			if rest != "filter/txntoken" && !strings.HasPrefix(rest, "filter/txntoken/") && rest != "filter/ownerfile" {
				t.Errorf("%s depends on %s", p.ImportPath, d)
			}
		}
		if slices.Contains(p.Imports, module+"filter/ownerfile") {
			t.Errorf("%s imports filter/ownerfile", p.ImportPath)
		}
	}
}

// Nothing that is shipped depends on the tests' harness.
func TestNothingDependsOnTheHarness(t *testing.T) {
	for _, p := range list(t, "./filter/...", "./envoy/...", "./memory-backend/...") {
		for _, d := range p.Deps {
			if strings.HasPrefix(d, module+"e2e") {
				t.Errorf("%s depends on %s", p.ImportPath, d)
			}
		}
	}
}
