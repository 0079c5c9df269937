package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../../.."

// shown are the command lines of memgate in the blocks of a page, without what a shell
// would do with them.
func shown(page string) (lines []string) {
	start := regexp.MustCompile(`^(?: {4,}|.*&& )(?:build/)?memgate ([a-z].*)$`)
	end := regexp.MustCompile(`\s(?:#|>|<|\||&|;).*$|\)"?\s*$`)
	for line := range strings.Lines(strings.ReplaceAll(page, "\\\n", " ")) {
		if m := start.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			lines = append(lines, end.ReplaceAllString(m[1], ""))
		}
	}
	return lines
}

// Each command that a page shows is there, and takes the flags that are shown with it.
func TestCommandsInDocs(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted, n := regexp.MustCompile(`"[^"]*"|'[^']*'`), 0
	for _, page := range append(pages, filepath.Join(repository, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range shown(string(text)) {
			n++
			args := strings.Fields(quoted.ReplaceAllString(line, "quoted"))
			cmd, rest, err := newRoot().Find(args)
			if err == nil && !cmd.Runnable() {
				err = os.ErrNotExist
			}
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s shows 'memgate %s': %v", filepath.Base(page), line, err)
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d commands were looked at", n)
	}
}

// What docs/istio.md has a newcomer type makes all that its secret is to hold.
func TestSecretsOfAMesh(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(repository, "envoy", "mesh.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "memgate.yaml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", config},
		{"key", "create", "--config", config, "--tenant", "acme", "--subject", "ci", "--scope", "orders:use"},
		{"key", "signing", "--config", config},
	} {
		if code, out := command("", args...); code != 0 {
			t.Fatalf("memgate %s: exit code %d, %s", strings.Join(args, " "), code, out)
		}
	}
	key, err := os.ReadFile(filepath.Join(dir, "secrets", "txn-key.json"))
	if err != nil {
		t.Fatal(err)
	}
	if code, out := command("", "key", "signing", "--config", config); code != 0 || !strings.Contains(out, "txn-key.json") {
		t.Errorf("once more: exit code %d, %s", code, out)
	}
	if again, err := os.ReadFile(filepath.Join(dir, "secrets", "txn-key.json")); err != nil || !bytes.Equal(key, again) {
		t.Errorf("the key was replaced (%v)", err)
	}
	for _, name := range []string{"keys.yaml", "keys.pepper"} {
		if _, err := os.Stat(filepath.Join(dir, "secrets", name)); err != nil {
			t.Error(err)
		}
	}
}
