package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIssuerCompletes: a shell offers the issuers of the policy that --config names, and
// nothing where there is none.
func TestIssuerCompletes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memgate.yaml")
	yaml := "version: 1\nupstream: { address: \"127.0.0.1:1\" }\nidentity:\n  issuers:\n" +
		"    - { issuer: \"https://a.example\", audiences: [x], tenant: org_id }\n    - { issuer: \"https://b.example\", audiences: [x], tenant: org_id }\n" +
		"routes:\n  - match: { path: /healthz }\n    anonymous: true\n"
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"token", "subject"} {
		code, out := command("", "__complete", "revoke", what, "x", "--config", path, "--issuer", "")
		if code != 0 || !strings.Contains(out, "https://a.example\n") || !strings.Contains(out, "https://b.example\n") || !strings.Contains(out, ":4") {
			t.Errorf("revoke %s --issuer: %d\n%s", what, code, out)
		}
		if _, out := command("", "__complete", "revoke", what, "x", "--config", path+".none", "--issuer", ""); strings.Contains(out, "https://") || !strings.Contains(out, ":1") {
			t.Errorf("without a policy: %s", out)
		}
	}
}
