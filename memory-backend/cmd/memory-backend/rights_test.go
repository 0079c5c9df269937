package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// TestExportAndImport brings what a running service holds into another one.
func TestExportAndImport(t *testing.T) {
	s := start(t)
	data, dir := filepath.Join(s.dir, "data"), t.TempDir()
	for range 3 {
		s.remember(t, "acme", "Alice plays the violin")
	}
	file := filepath.Join(dir, "acme.ndjson")
	must(t, "export", "--data", data, "--tenant", "acme", "--to", file)
	refused(t, "file exists", "export", "--data", data, "--tenant", "acme", "--to", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "violin") < 3 || !strings.Contains(string(text), `"kind":"end"`) {
		t.Errorf("%s, %v", text, err)
	}
	other := filepath.Join(dir, "other")
	if out := must(t, "import", "--data", other, "--tenant", "umbrella", file); !strings.Contains(out, "stored 3 memories, 0 consents and 1 agents; 0 were") {
		t.Error(out)
	}
	if out := must(t, "import", "--data", other, "--tenant", "umbrella", file); !strings.Contains(out, "stored 0 memories") {
		t.Error(out)
	}
	if out := must(t, "export", "--data", other, "--tenant", "umbrella", "--agent", "bot"); strings.Count(out, `"kind":"memory"`) != 3 {
		t.Error(out)
	}
	if out := must(t, "export", "--data", other, "--tenant", "umbrella", "--user", "nobody"); strings.Contains(out, `"kind":"memory"`) {
		t.Error(out)
	}
	cut := filepath.Join(dir, "cut.ndjson")
	if err := os.WriteFile(cut, text[:strings.Index(string(text), "\n")+1], 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "no end line", "import", "--data", other, "--tenant", "cut", cut)
	must(t, "import", "--data", other, "--tenant", "cut", "--part", cut)
	if err := os.WriteFile(cut, []byte(`{"kind":"what","cursor":""}`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "line 1", "import", "--data", other, "--tenant", "cut", cut)
	for _, args := range []string{"export --data x", "import --data x", "export --data x --tenant t --user u --agent a", "doctor"} {
		if code, out := cli(t, strings.Fields(args)...); code != 2 && !strings.Contains(out, "arg") {
			t.Errorf("%s: %d %s", args, code, out)
		}
	}
	refused(t, "data directory", "export", "--data", filepath.Join(dir, "none"), "--tenant", "t")
}

// TestDoctor finds each thing that can be wrong, and changes nothing.
func TestDoctor(t *testing.T) {
	s := start(t)
	data := filepath.Join(s.dir, "data")
	s.remember(t, "acme", "Alice plays the violin")
	s.remember(t, "umbrella", "words")
	if out := must(t, "doctor", "--data", data); !strings.Contains(out, "all is well: 2 tenants") {
		t.Error(out)
	}
	s.stop()
	<-s.code
	file := filepath.Join(data, sqlite.FileName("acme"))
	key := filepath.Join(data, "keys", strings.TrimSuffix(filepath.Base(file), ".db")+".keys")
	master := filepath.Join(data, masterFile)
	whole := map[string][]byte{}
	for _, path := range []string{file, key, master} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole[path] = text
	}
	write := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		says  string
		do    func()
		extra []string
	}{
		"mode":         {"others can reach it", func() { _ = os.Chmod(file, 0o644) }, nil},
		"room":         {"room on the disk", func() {}, []string{"--least-room", "9000000000000000000"}},
		"no master":    {"master key", func() { _ = os.Remove(master) }, nil},
		"no keys":      {`tenant "acme"`, func() { _ = os.Remove(key) }, nil},
		"broken keys":  {`tenant "acme"`, func() { write(key, []byte("{}")) }, nil},
		"no database":  {"no file", func() { _ = os.Remove(file) }, nil},
		"truncated":    {"WRONG", func() { write(file, whole[file][:len(whole[file])/2]) }, nil},
		"overwritten":  {"WRONG", func() { write(file, []byte(strings.Repeat("x", 8192))) }, nil},
		"another's":    {"another tenant", func() { write(filepath.Join(data, sqlite.FileName("third")), whole[file]) }, nil},
		"no encrypted": {"do not agree", func() {}, []string{"--master-key", "none"}},
	} {
		c.do()
		refused(t, c.says, append([]string{"doctor", "--data", data}, c.extra...)...)
		_ = os.Remove(filepath.Join(data, sqlite.FileName("third")))
		for path, text := range whole {
			write(path, text)
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out := must(t, "doctor", "--data", data); !strings.Contains(out, "all is well") {
			t.Fatalf("%s: %s", name, out)
		}
	}
}
