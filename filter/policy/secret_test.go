package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"plain": "value", "newline": "value\n", "crlf": "value\r\n", "two": "value\n\n", "empty": "", "blank": "\n",
		"max": strings.Repeat("x", MaxSecret), "maxnewline": strings.Repeat("x", MaxSecret) + "\n", "large": strings.Repeat("x", MaxSecret+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("MEMGATE_TEST", "value\n")
	t.Setenv("MEMGATE_EMPTY", "")
	t.Setenv("MEMGATE_LARGE", strings.Repeat("x", MaxSecret+1))
	tests := []struct{ ref, want, err string }{
		{"file:plain", "value", ""},
		{"file:newline", "value", ""},
		{"file:crlf", "value", ""},
		{"file:two", "value\n", ""},
		{"file:" + filepath.Join(dir, "plain"), "value", ""},
		{"file:max", strings.Repeat("x", MaxSecret), ""},
		{"file:maxnewline", strings.Repeat("x", MaxSecret), ""},
		{"file:large", "", "file:large: is larger than 64KiB"},
		{"file:empty", "", "file:empty: is empty"},
		{"file:blank", "", "file:blank: is empty"},
		{"file:none", "", "no such file"},
		{"file:.", "", "file:.:"},
		{"env:MEMGATE_TEST", "value", ""},
		{"env:MEMGATE_EMPTY", "", "env:MEMGATE_EMPTY: is empty"},
		{"env:MEMGATE_LARGE", "", "is larger"},
		{"env:MEMGATE_NONE", "", "no variable MEMGATE_NONE"},
		{"hunter2", "", "must be env:NAME or file:PATH"},
		{"", "", "must be env:NAME or file:PATH"},
	}
	p := &Policy{dir: dir}
	for _, test := range tests {
		got, err := p.Resolve(Secret(test.ref))
		check(t, test.ref, err, test.err)
		if string(got) != test.want {
			t.Errorf("%s: %.40q, want %.40q", test.ref, got, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "xxx")) {
			t.Errorf("the error holds the value: %v", err)
		}
	}
}

func TestFilePath(t *testing.T) {
	for ref, want := range map[Secret]string{"file:a": "/d/a", "file:/a": "/a", "file:": "", "env:A": "", "a": ""} {
		got, ok := ref.FilePath("/d")
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", string(ref), got, ok, want)
		}
	}
}

// FuzzSecret puts a value where a reference is due, as a user could by mistake,
// and looks for it in everything that is printed.
func FuzzSecret(f *testing.F) {
	for _, seed := range []string{"", "env:", "file:", "env:A B", "file:\x00", "vault:x", "ENV:A", " env:A", "env:A\n", "file", "é"} {
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const value = "correct-horse-battery"
		text := before + value + after
		var s Secret
		err := s.parse(text)
		if err == nil {
			if !strings.HasPrefix(text, "file:") {
				t.Errorf("%q is taken for a reference", text)
			}
			return
		}
		file := fmt.Sprintf("version: 1\nupstream: { address: \"a:1\", credential: { value: %s } }\npii: { key: %[1]s }\n", quoteYAML(strings.ToValidUTF8(text, "")))
		_, warnings, parseErr := Parse([]byte(file), "f", "")
		_, resolveErr := Secret(text).Resolve("")
		printed := fmt.Sprint(err, resolveErr, parseErr, warnings) + fmt.Sprintf("%v %+v %#v %s", Secret(text), Secret(text), Secret(text), Secret(text))
		if strings.Contains(printed, value) {
			t.Errorf("the value of %q is printed: %s", text, printed)
		}
		if resolveErr == nil {
			t.Errorf("%q resolves", text)
		}
	})
}
