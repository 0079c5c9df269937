package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Fetched is the path of what a script of tools/ fetches: what the environment variable
// names, else that path in .tools. Without it the test is skipped, but not in CI; script is
// the command that fetches it, and has put there what within leads to.
func Fetched(t *testing.T, variable, path, script string, within ...string) string {
	t.Helper()
	at := os.Getenv(variable)
	if at == "" {
		at = filepath.Join(Root(), ".tools", path)
	}
	_, err := os.Stat(filepath.Join(at, filepath.Join(within...)))
	lacks(t, err, script+" was not run")
	return at
}

// OnPath finds a program on PATH. Without it the test is skipped, but not in CI.
func OnPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	lacks(t, err, "there is no "+name)
	return path
}

func lacks(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, which CI must have: %v", what, err)
	}
	t.Skipf("%s: what needs it is not tested", what)
}
