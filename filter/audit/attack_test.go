package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// disk is a log of two files, as an attacker finds it: lines of both, and the
// lines of their checkpoints.
type disk struct {
	old, log             []string
	oldPoints, logPoints []string
	key                  Key // that signed
}

// TestAttacks is the list of what may be done to a closed log of 48 entries, 24
// in each of two files, signed after each ten and at each file's end.
func TestAttacks(t *testing.T) {
	key, other := newKey(t, 1), newKey(t, 2)
	for _, c := range []struct {
		name   string
		attack func(t *testing.T, d *disk)
		want   string // in some problem; empty when nothing is wrong
	}{
		{"nothing", func(*testing.T, *disk) {}, ""},
		{"a byte is flipped", func(_ *testing.T, d *disk) { d.log[3] = strings.Replace(d.log[3], "allow", "deny!", 1) }, "entries 24 to 31 were changed"},
		{"a byte is flipped in the first file", func(_ *testing.T, d *disk) { d.old[17] = strings.Replace(d.old[17], "allow", "allov", 1) }, "changed after the checkpoint"},
		{"a space is added", func(_ *testing.T, d *disk) { d.log[5] = strings.Replace(d.log[5], "\n", " \n", 1) }, "changed after the checkpoint"},
		{"a number is changed", func(_ *testing.T, d *disk) {
			d.log[5] = strings.Replace(d.log[5], `"sequence":29,`, `"sequence":30,`, 1)
		}, "entry 29 is missing before entry 30"},
		{"a line is deleted", func(_ *testing.T, d *disk) { d.log = slices.Delete(d.log, 5, 6) }, "entry 29 is missing before entry 30"},
		{"the first line is deleted", func(_ *testing.T, d *disk) { d.old = d.old[1:] }, "begins with entry 1"},
		{"the last line of the first file is deleted", func(_ *testing.T, d *disk) { d.old = d.old[:23] }, "entry 23 is missing before entry 24"},
		{"a line is deleted, the rest renumbered", func(_ *testing.T, d *disk) {
			d.log = slices.Delete(d.log, 5, 6)
			for i := 5; i < len(d.log); i++ {
				d.log[i] = strings.Replace(d.log[i], fmt.Sprintf(`"sequence":%d,`, 25+i), fmt.Sprintf(`"sequence":%d,`, 24+i), 1)
			}
		}, "changed after the checkpoint"},
		{"lines are swapped", func(_ *testing.T, d *disk) { d.log[5], d.log[6] = d.log[6], d.log[5] }, "out of order"},
		{"lines are swapped and renumbered", func(_ *testing.T, d *disk) {
			a := strings.Replace(d.log[5], `"sequence":29,`, `"sequence":30,`, 1)
			d.log[5], d.log[6] = strings.Replace(d.log[6], `"sequence":30,`, `"sequence":29,`, 1), a
		}, "changed after the checkpoint"},
		{"a line is repeated", func(_ *testing.T, d *disk) { d.log = slices.Insert(d.log, 5, d.log[4]) }, "here twice"},
		{"a forged line is put in", func(_ *testing.T, d *disk) {
			d.log = slices.Insert(d.log, 5, string(event("forged").appendLine(nil, 29))+"\n")
		}, "here twice"},
		{"a forged line is appended", func(_ *testing.T, d *disk) {
			d.log = append(d.log, string(event("forged").appendLine(nil, 48))+"\n")
		}, "entry 48 was written after the log had been closed"},
		{"text is put in", func(_ *testing.T, d *disk) { d.log = slices.Insert(d.log, 5, "{}\n") }, "a line that is no entry"},
		{"text is appended", func(_ *testing.T, d *disk) { d.log = append(d.log, "{}\n") }, "written after the log had been closed"},
		{"text is put at the start", func(_ *testing.T, d *disk) { d.old = slices.Insert(d.old, 0, "{}\n") }, "a line that is no entry"},
		{"a line replaced by text", func(_ *testing.T, d *disk) { d.log[5] = "{}\n" }, "changed after the checkpoint"},
		{"a part of a line ends the first file", func(_ *testing.T, d *disk) { d.old = append(d.old, "{}") }, "not ended"},
		{"the tail is cut before a checkpoint", func(_ *testing.T, d *disk) { d.log = d.log[:14] }, "entries 38 to 47 are missing"},
		{"the tail is cut at a checkpoint", func(_ *testing.T, d *disk) { d.log = d.log[:20] }, "entries 44 to 47 are missing"},
		{"the tail is cut within a line", func(_ *testing.T, d *disk) { d.log[23] = d.log[23][:50] }, "entry 47 is missing"},
		{"the file is emptied", func(_ *testing.T, d *disk) { d.log = nil }, "entries 24 to 47 are missing"},
		{"all lines are gone", func(_ *testing.T, d *disk) { d.old, d.log = nil, nil }, "entries 0 to 47 are missing"},
		{"all checkpoints are gone", func(_ *testing.T, d *disk) { d.oldPoints, d.logPoints = nil, nil }, "no checkpoint"},
		{"a checkpoint of another key", func(t *testing.T, d *disk) { d.logPoints[1] = resign(t, d.logPoints[1], key, other, nil) }, "not signed by this key"},
		{"all checkpoints of another key", func(t *testing.T, d *disk) {
			for i := range d.logPoints {
				d.logPoints[i] = resign(t, d.logPoints[i], key, other, nil)
			}
		}, "not signed by this key"},
		{"a changed line, and a checkpoint that says so", func(t *testing.T, d *disk) {
			d.log[23] = strings.Replace(d.log[23], "allow", "deny!", 1)
			var tr tree
			for _, line := range append(slices.Clone(d.old), d.log...) {
				tr.add(tlog.RecordHash([]byte(strings.TrimSuffix(line, "\n"))))
			}
			last := len(d.logPoints) - 1
			d.logPoints[last] = resign(t, d.logPoints[last], key, other, func(c *checkpoint) { c.tree = tr })
		}, "not signed by this key"},
		{"the size in a checkpoint is changed", func(_ *testing.T, d *disk) {
			d.logPoints[1] = strings.Replace(d.logPoints[1], `{"size":34`, `{"size":35`, 1)
		}, "not a checkpoint"},
		{"the note in a checkpoint is changed", func(_ *testing.T, d *disk) { d.logPoints[1] = strings.Replace(d.logPoints[1], `\n34\n`, `\n35\n`, 1) }, "not signed by this key"},
		{"a checkpoint is replaced by an older one", func(_ *testing.T, d *disk) { d.logPoints[len(d.logPoints)-1] = d.oldPoints[1] }, "a checkpoint of 10 entries after one of"},
		{"a checkpoint of another log with the same key", func(t *testing.T, d *disk) {
			d.logPoints[1] = resign(t, d.logPoints[1], key, key, func(c *checkpoint) { c.origin = KeyName + "/other" })
		}, "a checkpoint of another log"},
		{"a checkpoint becomes text", func(_ *testing.T, d *disk) { d.logPoints[1] = "{}\n" }, "not"},
		{"both are cut back to a checkpoint, another was kept elsewhere", func(_ *testing.T, d *disk) {
			d.log, d.oldPoints = d.log[:10], append(d.oldPoints, d.logPoints[len(d.logPoints)-1])
			d.logPoints = d.logPoints[:2]
		}, "are missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			d := twoFiles(t, path, key)
			c.attack(t, d)
			for name, lines := range map[string][]string{path + ".1": d.old, path: d.log, path + CheckpointSuffix + ".1": d.oldPoints, path + CheckpointSuffix: d.logPoints} {
				must(t, os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600))
			}
			r := verifyAll(t, path, key)
			var found []string
			for _, p := range r.Problems {
				found = append(found, p.String())
			}
			all := strings.Join(found, "\n")
			if c.want == "" && !r.OK() || !strings.Contains(all, c.want) {
				t.Errorf("want %q, found %q (notes %q)", c.want, found, r.Notes)
			}
		})
	}
}

// The wrong key is found before anything is said of the log.
func TestVerifyWithAnotherKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	twoFiles(t, path, key)
	r := verifyAll(t, path, newKey(t, 2))
	if r.OK() || !strings.Contains(r.Problems[0].Text, "not signed by this key") {
		t.Errorf("%v", r.Problems)
	}
	if _, err := Verify(Verification{Verifier: "memgate-audit+00000000+x"}); err == nil {
		t.Error("a broken key is taken")
	}
}

func twoFiles(t *testing.T, path string, key Key) *disk {
	t.Helper()
	w, err := Open(path, sealedConfig(key))
	must(t, err)
	fill(t, w, 0, 24)
	must(t, os.Rename(path, path+".1"))
	must(t, os.Rename(path+CheckpointSuffix, path+CheckpointSuffix+".1"))
	must(t, w.Reopen())
	fill(t, w, 24, 48)
	must(t, w.Close())
	lines := func(name string) []string { return slices.Collect(strings.Lines(read(t, name))) }
	return &disk{lines(path + ".1"), lines(path), lines(path + CheckpointSuffix + ".1"), lines(path + CheckpointSuffix), key}
}

func newVerifier(key Key) (note.Verifier, error) { return note.NewVerifier(key.Verifier) }

// resign signs a changed checkpoint with another key.
func resign(t *testing.T, line string, key, with Key, change func(*checkpoint)) string {
	t.Helper()
	verifier, err := newVerifier(key)
	must(t, err)
	c, err := parseCheckpoint([]byte(strings.TrimSuffix(line, "\n")), verifier)
	must(t, err)
	if change != nil {
		change(c)
	}
	out, err := c.line(with)
	must(t, err)
	return string(out)
}

// Every byte of the checkpoints counts, and of the lines, of which some are tried.
func TestEveryByteCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	config.Entries = 2
	w, err := Open(path, config)
	must(t, err)
	fill(t, w, 0, 4)
	must(t, w.Close())
	for name, step := range map[string]int{path: 7, path + CheckpointSuffix: 1} {
		whole := []byte(read(t, name))
		for i := 0; i < len(whole)-1; i += step { // without its end the last line is one being written
			changed := bytes.Clone(whole)
			changed[i] ^= 1
			must(t, os.WriteFile(name, changed, 0o600))
			if r := verifyAll(t, path, key); r.OK() {
				if name != path && insideOffset(whole, i) {
					continue
				}
				t.Fatalf("byte %d of %s may change: %q", i, filepath.Base(name), changed[max(0, i-20):min(len(changed), i+20)])
			}
		}
		must(t, os.WriteFile(name, whole, 0o600))
	}
	wantOK(t, verifyAll(t, path, key), 4, 4)
}

// insideOffset reports whether a byte belongs to the number after "offset":, the
// one member of a checkpoint's line that nothing believes.
func insideOffset(text []byte, i int) bool {
	start := bytes.LastIndex(text[:i], []byte(`"offset":`))
	return start >= 0 && !bytes.ContainsAny(text[start+9:i+1], ",}")
}

// What cannot be parsed is refused and never a fault.
func FuzzParseCheckpoint(f *testing.F) {
	key, err := LoadOrCreateKey(filepath.Join(f.TempDir(), "key"), seed(1))
	if err != nil {
		f.Fatal(err)
	}
	verifier, err := newVerifier(key)
	if err != nil {
		f.Fatal(err)
	}
	c := checkpoint{origin: KeyName + "/1", time: noon.Round(time.Second), closed: true, adopted: 1}
	c.tree.add(tlog.RecordHash([]byte("a")))
	line, err := c.line(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(`{"size":1,"note":"x\n\n— memgate-audit AAAA\n"}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := parseCheckpoint(text, verifier); err == nil && got.tree.size != 1 {
			t.Errorf("%q was taken", text)
		}
		sequenceOf(text)
	})
}
