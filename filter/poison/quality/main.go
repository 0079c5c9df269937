// Command quality measures the rules of package poison on text that they were not written
// from: of made attempts to plant instructions how many are found, and of text that plants
// nothing how much is taken for one.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/memgate/memgate/filter/poison"
)

// The thresholds of a policy that says nothing of them.
var defaults = poison.Policy{Action: poison.Quarantine, Quarantine: 4, Refuse: 9}

func main() {
	seed := flag.Uint64("seed", 1, "of the choice of words")
	each := flag.Int("each", 100, "texts of each family and kind")
	corpus := flag.String("corpus", "", "root of Go, whose source and texts plant nothing")
	flag.Parse()
	set, err := poison.Compile(defaults)
	if err != nil {
		fail(err)
	}
	m := &measure{scanner: poison.NewScanner(set), set: set, random: rand.New(rand.NewPCG(*seed, 0))}
	m.attacks(*each)
	m.benign(*each)
	if *corpus != "" {
		if err := m.corpus(*corpus); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type measure struct {
	scanner *poison.Scanner
	set     *poison.Set
	random  *rand.Rand
	held    map[string]int // texts that a rule held for, by rule
	right   map[string]int // those of them that plant something
}

// score scores a text.
func (m *measure) score(text string) (poison.Verdict, []string) {
	m.scanner.Reset()
	m.scanner.Write([]byte(text))
	m.scanner.End()
	return m.scanner.Verdict(), m.scanner.Ever().Rules(nil)
}

func (m *measure) attacks(each int) {
	m.held, m.right = make(map[string]int), make(map[string]int)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "planted instructions\ttexts\tfound by the family's rules\tquarantined or refused, alone\tbeside another")
	all, found, marked, pairs := 0, 0, 0, 0
	for i, f := range families {
		n, r, q, p := 0, 0, 0, 0
		for range each {
			text := m.make(f.texts[m.random.IntN(len(f.texts))])
			v, rules := m.score(text)
			n++
			if slices.ContainsFunc(rules, func(id string) bool { return slices.Contains(f.rules, id) }) {
				r++
			}
			if m.set.Action(v) != poison.Off {
				q++
			}
			for _, id := range rules {
				m.held[id]++
				m.right[id]++
			}
			// As attacks come: one wants several things.
			g := families[(i+1+m.random.IntN(len(families)-1))%len(families)]
			if v, _ := m.score(text + " " + m.make(g.texts[m.random.IntN(len(g.texts))])); m.set.Action(v) != poison.Off {
				p++
			}
		}
		fmt.Fprintf(out, "%s\t%d\t%.1f %%\t%.1f %%\t%.1f %%\n", f.name, n, percent(r, n), percent(q, n), percent(p, n))
		all, found, marked, pairs = all+n, found+r, marked+q, pairs+p
	}
	fmt.Fprintf(out, "all\t%d\t%.1f %%\t%.1f %%\t%.1f %%\n\n", all, percent(found, all), percent(marked, all), percent(pairs, all))
	_ = out.Flush()
}

func (m *measure) benign(each int) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "text that plants nothing\ttexts\twords\tquarantined or refused\tin 10,000 words")
	kinds := make([]string, 0, len(benign))
	for kind := range benign {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		words, marked := 0, 0
		for range each {
			list := benign[kind]
			text := m.make(list[m.random.IntN(len(list))])
			v, rules := m.score(text)
			words += len(strings.Fields(text))
			for _, id := range rules {
				m.held[id]++
			}
			if m.set.Action(v) != poison.Off {
				marked++
			}
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%.1f\n", kind, each, words, marked, 10_000*float64(marked)/float64(words))
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, "rule\tprecision\theld for")
	for _, r := range poison.Rules() {
		if n := m.held[r.ID]; n > 0 {
			fmt.Fprintf(out, "%s\t%.1f %%\t%d\n", r.ID, percent(m.right[r.ID], n), n)
		}
	}
	fmt.Fprintln(out)
	_ = out.Flush()
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }

// make chooses one of each {a|b} of a template; {{ and }} stand for braces.
func (m *measure) make(template string) string {
	var b strings.Builder
	for template != "" {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			b.WriteString(template)
			break
		}
		b.WriteString(template[:open])
		template = template[open+1:]
		end := strings.IndexByte(template, '}')
		inner := template[:end]
		if strings.Contains(inner, "{{") { // a placeholder among the words
			end = strings.Index(template, "}}}") + 2
			inner = strings.NewReplacer("{{", "{", "}}", "}").Replace(template[:end])
		}
		words := strings.Split(inner, "|")
		b.WriteString(words[m.random.IntN(len(words))])
		template = template[end+1:]
	}
	return b.String()
}

// piece is how long a text of the corpus is about, as memories and documents are.
const piece = 2000

func (m *measure) corpus(root string) error {
	type count struct{ pieces, words, marked int }
	counts := map[string]*count{"source code": {}, "prose": {}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := ""
		switch filepath.Ext(path) {
		case ".go":
			kind = "source code"
		case ".md", ".txt", ".html":
			kind = "prose"
		default:
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil || len(raw) > 1<<20 || !utf8.Valid(raw) {
			return err
		}
		c := counts[kind]
		for text := string(raw); text != ""; {
			n := min(len(text), piece)
			if end := strings.IndexByte(text[n:], '\n'); end >= 0 {
				n += end + 1
			} else {
				n = len(text)
			}
			v, _ := m.score(text[:n])
			c.pieces++
			c.words += len(strings.Fields(text[:n]))
			if m.set.Action(v) != poison.Off {
				c.marked++
			}
			text = text[n:]
		}
		return nil
	})
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "Go's own\tpieces\twords\tquarantined or refused\tin 10,000 words")
	for _, kind := range []string{"prose", "source code"} {
		c := counts[kind]
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%.3f\n", kind, c.pieces, c.words, c.marked, 10_000*float64(c.marked)/float64(max(1, c.words)))
	}
	_ = out.Flush()
	return err
}
