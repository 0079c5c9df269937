// Command quality measures the detectors: precision and recall of each entity on
// text that package sample makes, next to another detector's on the same text, and
// what they find in source code and prose in which there should be nothing.
//
//	quality -write FILE             writes the texts, one JSON object a line
//	quality -other FILE -corpus DIR prints the measure; FILE has the other's findings
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/pii/sample"
)

func main() {
	seed := flag.Uint64("seed", 42, "seed of the texts")
	each := flag.Int("each", 50, "texts with a value of each entity")
	write := flag.String("write", "", "file to write the texts to")
	other := flag.String("other", "", "file with the findings of another detector")
	corpus := flag.String("corpus", "", "folder of source code and prose without personal data")
	flag.Parse()
	if err := run(sample.Set(*seed, *each), *write, *other, *corpus); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func run(set []sample.Text, write, other, corpus string) error {
	if write != "" {
		return writeTexts(set, write)
	}
	ours := score(set, func(i int) []sample.Label { return find(set[i].Text) })
	var theirs map[string]*tally
	if other != "" {
		findings, err := readFindings(other, len(set))
		if err != nil {
			return err
		}
		theirs = score(set, func(i int) []sample.Label { return findings[i] })
	}
	print(ours, theirs)
	if corpus != "" {
		return scanCorpus(corpus)
	}
	return nil
}

func writeTexts(set []sample.Text, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, t := range set {
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		w.Write(append(line, '\n'))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func find(text string) []sample.Label {
	var out []sample.Label
	for _, f := range pii.Scan(nil, []byte(text)) {
		out = append(out, sample.Label{Entity: f.Entity.String(), Start: f.Start, End: f.End})
	}
	return out
}

// readFindings reads one list of findings a line. Their offsets are in bytes.
func readFindings(file string, n int) ([][]sample.Label, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out [][]sample.Label
	for d := json.NewDecoder(bufio.NewReader(f)); d.More(); {
		var list []sample.Label
		if err := d.Decode(&list); err != nil {
			return nil, err
		}
		out = append(out, list)
	}
	if len(out) != n {
		return nil, fmt.Errorf("%s has findings of %d texts, want %d", file, len(out), n)
	}
	return out, nil
}

// tally counts values that were found and missed, and findings that are none.
type tally struct{ found, missed, wrong int }

func (t *tally) precision() string { return percent(t.found, t.found+t.wrong) }
func (t *tally) recall() string    { return percent(t.found, t.found+t.missed) }

func percent(n, of int) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", 100*float64(n)/float64(of))
}

// score compares findings with labels. A value is found when a finding of its entity
// covers at least half of it and is at most twice as long; a finding is wrong when there
// is no value of its entity that it overlaps.
func score(set []sample.Text, find func(int) []sample.Label) map[string]*tally {
	out := map[string]*tally{}
	for _, name := range sample.Names() {
		out[name] = &tally{}
	}
	for i, t := range set {
		findings := find(i)
		for _, l := range t.Labels {
			if slices.ContainsFunc(findings, func(f sample.Label) bool { return f.Entity == l.Entity && covers(f, l) }) {
				out[l.Entity].found++
			} else {
				out[l.Entity].missed++
			}
		}
		for _, f := range findings {
			if out[f.Entity] == nil {
				continue // an entity that only the other one knows
			}
			if !slices.ContainsFunc(t.Labels, func(l sample.Label) bool {
				return f.Entity == l.Entity && f.Start < l.End && f.End > l.Start
			}) {
				out[f.Entity].wrong++
			}
		}
	}
	return out
}

func covers(f, l sample.Label) bool {
	common := min(f.End, l.End) - max(f.Start, l.Start)
	return 2*common >= l.End-l.Start && f.End-f.Start <= 2*(l.End-l.Start)
}

func print(ours, theirs map[string]*tally) {
	fmt.Printf("%-28s %21s   %21s\n%-28s %10s %10s   %10s %10s\n", "", "memgate", "presidio", "entity", "precision", "recall", "precision", "recall")
	var all, other tally
	for _, name := range sample.Names() {
		t := ours[name]
		fmt.Printf("%-28s %10s %10s", name, t.precision(), t.recall())
		all.found, all.missed, all.wrong = all.found+t.found, all.missed+t.missed, all.wrong+t.wrong
		if x := theirs[name]; x != nil && x.found+x.wrong > 0 {
			fmt.Printf("   %10s %10s", x.precision(), x.recall())
			other.found, other.missed, other.wrong = other.found+x.found, other.missed+x.missed, other.wrong+x.wrong
		}
		fmt.Println()
	}
	fmt.Printf("%-28s %10s %10s", "all that each finds", all.precision(), all.recall())
	if theirs != nil {
		fmt.Printf("   %10s %10s", other.precision(), other.recall())
	}
	fmt.Println()
}

// scanCorpus prints what is found in the Go files and in the texts of a folder. What
// looks like an address on the web, of a host or of a mailbox is one, and is counted
// on its own.
func scanCorpus(dir string) error {
	for _, kind := range []struct {
		name string
		ext  []string
	}{{"source code", []string{".go", ".s", ".c", ".js", ".py", ".sh"}}, {"prose", []string{".md", ".html", ".txt"}}} {
		words, files := 0, 0
		counts := map[string]int{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !slices.Contains(kind.ext, filepath.Ext(path)) {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil || len(text) > 4<<20 {
				return err
			}
			words += len(strings.Fields(string(text)))
			files++
			for _, f := range pii.Scan(nil, text) {
				counts[f.Entity.String()]++
			}
			return nil
		})
		if err != nil {
			return err
		}
		addresses, rest := 0, 0
		var names []string
		for name, n := range counts {
			if name == "EMAIL_ADDRESS" || name == "IP_ADDRESS" || name == "MAC_ADDRESS" {
				addresses += n
			} else {
				rest += n
				names = append(names, fmt.Sprintf("%s %d", name, n))
			}
		}
		slices.Sort(names)
		fmt.Printf("\n%s: %d words in %d files of %s\n", kind.name, words, files, dir)
		fmt.Printf("  findings but for addresses: %d, %.2f in 10,000 words (%s)\n", rest, 1e4*float64(rest)/float64(max(words, 1)), strings.Join(names, ", "))
		fmt.Printf("  e-mail, IP and hardware addresses: %d, %.2f in 10,000 words\n", addresses, 1e4*float64(addresses)/float64(max(words, 1)))
	}
	return nil
}
