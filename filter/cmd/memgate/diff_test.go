package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDifference(t *testing.T) {
	a := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"
	b := "1\n2\n3\n4\n5\nsix\n7\n8\n9\n10\n11\n"
	want := "--- f\n+++ f (rendered)\n@@ -3,8 +3,9 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n 10\n+11\n"
	if got := string(difference("f", []byte(a), []byte(b))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(difference("f", nil, []byte("a\n"))); !strings.HasSuffix(got, "@@ -1,0 +1,1 @@\n+a\n") {
		t.Errorf("of nothing: %s", got)
	}
}

// What the edits say, applied to one text, is the other; and there are no more
// of them than diff(1) finds.
func TestEdits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() [][]byte {
		out := make([][]byte, random.IntN(30))
		for i := range out {
			out[i] = []byte{byte('a' + random.IntN(4))}
		}
		return out
	}
	for range 200 {
		a, b := text(), text()
		var left, right []string
		changed := 0
		for _, e := range edits(a, b) {
			if e.kind != '+' {
				left = append(left, string(e.line))
			}
			if e.kind != '-' {
				right = append(right, string(e.line))
			}
			if e.kind != ' ' {
				changed++
			}
		}
		if fmt.Sprint(left) != fmt.Sprint(texts(a)) || fmt.Sprint(right) != fmt.Sprint(texts(b)) {
			t.Fatalf("%q and %q: %q and %q", a, b, left, right)
		}
		if want, ok := minimal(t, a, b); ok && changed > want {
			t.Fatalf("%q and %q: %d changed lines, diff(1) has %d", a, b, changed, want)
		}
	}
}

func texts(lines [][]byte) []string {
	var out []string
	for _, l := range lines {
		out = append(out, string(l))
	}
	return out
}

func minimal(t *testing.T, a, b [][]byte) (int, bool) {
	t.Helper()
	path, err := exec.LookPath("diff")
	if err != nil {
		return 0, false
	}
	dir := t.TempDir()
	for name, lines := range map[string][][]byte{"a": a, "b": b} {
		text := strings.Join(texts(lines), "\n")
		if text != "" {
			text += "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := exec.Command(path, "--minimal", filepath.Join(dir, "a"), filepath.Join(dir, "b")).Output()
	n := 0
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.HasPrefix(line, "<") || strings.HasPrefix(line, ">") {
			n++
		}
	}
	return n, true
}
