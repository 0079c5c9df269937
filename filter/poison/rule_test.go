package poison

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// policy scores as the defaults of a policy file do.
var policy = Policy{Action: Quarantine, Quarantine: 4, Refuse: 9}

func scanner(t testing.TB, p Policy) *Scanner {
	t.Helper()
	set, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return NewScanner(set)
}

// score is the verdict on a text in pieces of size bytes, all at once for 0, and all
// rules that held.
func score(s *Scanner, text string, size int) (Verdict, []string) {
	s.Reset()
	if size <= 0 {
		size = max(1, len(text))
	}
	for b := []byte(text); len(b) > 0; {
		n := min(size, len(b))
		piece := slices.Clone(b[:n])
		s.Write(piece)
		clear(piece)
		b = b[n:]
	}
	s.End()
	return s.Verdict(), s.Ever().Rules(nil)
}

// lines are the texts of a file, with the escapes of Go.
func lines(t testing.TB, file string) (want, not []string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(raw), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(line[2:], `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("%s:%d: %v", file, n+1, err)
		}
		switch line[:2] {
		case "+ ":
			want = append(want, text)
		case "- ":
			not = append(not, text)
		default:
			t.Fatalf("%s:%d: neither + nor -", file, n+1)
		}
	}
	return want, not
}

// Each rule holds for its examples, and not for what comes near to them, however they
// are cut.
func TestRules(t *testing.T) {
	s := scanner(t, policy)
	for _, r := range Rules() {
		if r.ID == "custom" {
			continue
		}
		want, not := lines(t, filepath.Join("testdata", "rules", r.ID+".txt"))
		if len(want) < 2 || len(not) < 2 {
			t.Errorf("%s has %d examples and %d others", r.ID, len(want), len(not))
		}
		for _, size := range []int{0, 1, 2, 3, 7} {
			for _, text := range want {
				if _, held := score(s, text, size); !slices.Contains(held, r.ID) {
					t.Errorf("%s does not hold for %q in pieces of %d, but %v", r.ID, text, size, held)
				}
			}
			for _, text := range not {
				if v, held := score(s, text, size); slices.Contains(held, r.ID) || v.Score >= policy.Quarantine {
					t.Errorf("%s: %v hold for %q in pieces of %d", r.ID, held, text, size)
				}
			}
		}
	}
}

// All that a rule says is there, its id is one, and its phrases are in each language
// that it names.
func TestRulesAreWhole(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range Rules() {
		if r.ID == "" || seen[r.ID] || strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("the id %q", r.ID)
		}
		seen[r.ID] = true
		if r.Reason == "" || r.Weight <= 0 && r.ID != "custom" {
			t.Errorf("%s has no reason or no weight", r.ID)
		}
		if !Known(r.ID) {
			t.Errorf("%s is not known", r.ID)
		}
		for language, phrases := range r.Phrases {
			if !slices.Contains([]string{"", "en", "de", "fr", "es"}, language) || len(phrases) == 0 {
				t.Errorf("%s has phrases in %q: %d", r.ID, language, len(phrases))
			}
			for _, phrase := range phrases {
				checkPhrase(t, r.ID, phrase)
			}
		}
	}
	for _, id := range []string{"override", "role"} {
		for _, language := range []string{"en", "de", "fr", "es"} {
			if len(rules[numberOf(id)].Phrases[language]) < 5 {
				t.Errorf("%s has few phrases in %s", id, language)
			}
		}
	}
}

func checkPhrase(t *testing.T, id, phrase string) {
	t.Helper()
	fields := strings.Fields(strings.TrimPrefix(phrase, "!"))
	for i, f := range fields {
		if gap, ok := strings.CutPrefix(f, "+"); ok {
			if n, err := strconv.Atoi(gap); err != nil || n < 1 || n > maxGap || i == 0 || i == len(fields)-1 {
				t.Errorf("%s: %q: a gap %q", id, phrase, f)
			}
			continue
		}
		for part := range strings.SplitSeq(f, "|") {
			if name, ok := strings.CutPrefix(part, "["); ok {
				if groups[strings.TrimSuffix(name, "]")] == "" {
					t.Errorf("%s: %q: no group %s", id, phrase, part)
				}
				continue
			}
			checkWord(t, id, part)
		}
	}
}

func checkWord(t *testing.T, id, word string) {
	t.Helper()
	if word != wordURL && word != wordMail && (word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") != "") {
		t.Errorf("%s: the word %q is not folded", id, word)
	}
}

func TestGroups(t *testing.T) {
	for name, words := range groups {
		for _, word := range strings.Fields(words) {
			checkWord(t, name, word)
		}
	}
}
