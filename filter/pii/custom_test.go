package pii

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// rules compiles a configuration for tests.
func rules(t testing.TB, cfg CustomConfig) *CustomRules {
	t.Helper()
	c, err := NewCustom(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var ownRules = CustomConfig{
	Rules: []CustomRule{
		{Name: "PROJECT", Words: []string{"Blue Heron", "heron", "müller & co"}},
		{Name: "EMPLOYEE_ID", Patterns: []string{`EMP-\d{6}`, `(st|ag)[a-f]{2,4}x?`, `[^a-z ]{3}!`}},
		{Name: "ACME_KEY", Prefixes: []string{"acme_", "acme-live-"}},
	},
	Allow: []string{"Support@example.com", "EMP-000000", "192.0.2.1"},
}

func customMarks(c *CustomRules, text string) string {
	s := Scanner{Custom: c}
	fs, _ := s.Scan(nil, []byte(text), 0, true)
	var b strings.Builder
	at := 0
	for _, f := range fs {
		name := f.Entity.String()
		if f.Entity == Custom {
			name = c.name(f.Rule)
		}
		fmt.Fprintf(&b, "%s[%s:%s]", text[at:f.Start], name, text[f.Start:f.End])
		at = f.End
	}
	return b.String() + text[at:]
}

func TestCustomRules(t *testing.T) {
	c := rules(t, ownRules)
	for _, want := range []string{
		"the [PROJECT:blue HERON] is late, and a [PROJECT:Heron]; herons are not",
		"at [PROJECT:Müller & Co]", "[EMPLOYEE_ID:EMP-123456], EMP-12345, xEMP-123456 EMP-1234567, emp-123456",
		"[EMPLOYEE_ID:stab] [EMPLOYEE_ID:agabcdx] agabcdex stxx", "[EMPLOYEE_ID:12A!]",
		"[ACME_KEY:acme_aB3dE5] acme_aB3 [ACME_KEY:acme-live-12345-6]- xacme_aB3dE5",
		"mail support@example.com or [EMAIL_ADDRESS:joe@example.com], EMP-000000, host 192.0.2.1, [IP_ADDRESS:192.0.2.2]",
		"[EMPLOYEE_ID:EMP-123456@example.com]", "key " + "[AWS_ACCESS_KEY:" + awsKey + "]",
	} {
		text := want
		for _, name := range []string{"PROJECT", "EMPLOYEE_ID", "ACME_KEY", "EMAIL_ADDRESS", "IP_ADDRESS", "AWS_ACCESS_KEY"} {
			text = regexp.MustCompile(`\[`+name+`:([^\]]*)\]`).ReplaceAllString(text, "$1")
		}
		if got := customMarks(c, text); got != want {
			t.Errorf("%q\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestCustomErrors(t *testing.T) {
	rule := func(r CustomRule) CustomConfig {
		if r.Name == "" {
			r.Name = "X"
		}
		return CustomConfig{Rules: []CustomRule{r}}
	}
	pattern := func(p string) CustomConfig { return rule(CustomRule{Patterns: []string{p}}) }
	for name, c := range map[string]struct {
		cfg    CustomConfig
		part   string
		offset int
	}{
		"name":          {CustomConfig{Rules: []CustomRule{{Name: "x", Words: []string{"ab"}}}}, "name", 0},
		"taken":         {CustomConfig{Rules: []CustomRule{{Name: "JWT", Words: []string{"ab"}}}}, "name", 0},
		"nothing":       {CustomConfig{Rules: []CustomRule{{Name: "X"}}}, "name", 0},
		"short word":    {rule(CustomRule{Words: []string{"a"}}), "words", 0},
		"long prefix":   {rule(CustomRule{Prefixes: []string{strings.Repeat("a", 65)}}), "prefixes", 0},
		"star":          {pattern("ab*"), "patterns", 2},
		"plus":          {pattern("ab+"), "patterns", 2},
		"empty":         {pattern("a?"), "patterns", 0},
		"open":          {pattern("a(b"), "patterns", 1},
		"close":         {pattern("a)b"), "patterns", 1},
		"class":         {pattern("a[b"), "patterns", 1},
		"range":         {pattern("[z-a]"), "patterns", 3},
		"repeat":        {pattern("a{3"), "patterns", 3},
		"bounds":        {pattern("a{3,2}"), "patterns", 1},
		"none":          {pattern("a{0}"), "patterns", 1},
		"leading zero":  {pattern("a{01}"), "patterns", 4},
		"twice":         {pattern("a{2}{3}"), "patterns", 4},
		"too many":      {pattern("(a{64}){3}"), "patterns", 2},
		"escape":        {pattern(`a\b`), "patterns", 2},
		"backslash":     {pattern(`a\`), "patterns", 2},
		"anchor":        {pattern("^a"), "patterns", 0},
		"deep":          {pattern(strings.Repeat("(", 9) + "a" + strings.Repeat(")", 9)), "patterns", 8},
		"long":          {pattern(strings.Repeat("a", 257)), "patterns", 256},
		"allowed empty": {CustomConfig{Allow: []string{""}}, "allow", 0},
	} {
		_, err := NewCustom(c.cfg)
		e, ok := err.(*CustomError)
		if !ok || e.Part != c.part || e.Offset != c.offset || e.Error() == "" {
			t.Errorf("%s: %+v, want %s at %d", name, err, c.part, c.offset)
		}
	}
}

// The replacement has the name of the rule, the counts the entity.
func TestCustomRewrite(t *testing.T) {
	cfg := Config{Format: JSON, Policy: everything(Redact)}
	cfg.Policy.Custom = rules(t, ownRules)
	for cut := range 60 {
		in := `{"heron":"Blue Heron, EMP-123456 and joe@example.com","n":[12]}`
		r := NewRewriter(cfg)
		out, err := r.Write(nil, []byte(in[:cut]))
		if err == nil {
			out, err = r.Write(out, []byte(in[cut:]))
		}
		if err == nil {
			out, err = r.Close(out)
		}
		if want := `{"[PROJECT]":"[PROJECT], [EMPLOYEE_ID] and [EMAIL_ADDRESS]","n":[12]}`; err != nil || string(out) != want || r.Counts()[Custom] != 3 {
			t.Fatalf("cut at %d: %s, %v, %d", cut, out, err, r.Counts()[Custom])
		}
	}
}

// FuzzPattern compares patterns with regular expressions, of whose language theirs is a
// part. A value is the longest that begins at a place and ends where a word does.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{`EMP-\d{6}`, `(st|ag)[a-f]{2,4}x?`, `[^a-z ]{3}!`, `a.c`, `(a?b){2,3}`, `\w{1,5}\.\w`, `a|bc|(d|e){2}`, `[]a-]b`} {
		f.Add(p, "EMP-123456 stab a.c abb ab.c bc de ]b 12A!")
	}
	f.Fuzz(func(t *testing.T, text, in string) {
		p, err := parsePattern(text)
		if err != nil {
			if err.Offset < 0 || err.Offset > len(text)+1 || err.Reason == "" {
				t.Fatalf("%q: %+v", text, err)
			}
			return
		}
		for _, s := range []string{text, in} {
			for i := range len(s) {
				if s[i] >= 0x80 || len(s) > 300 {
					return // regexp reads runes
				}
			}
		}
		oracle, e := regexp.Compile(`^(?:` + strings.ReplaceAll(strings.ReplaceAll(text, `[^`, `[^\x{80}-\x{10FFFF}\n\r`), `.`, `.`) + `)$`)
		if e != nil || strings.Contains(in, "\r") || strings.Contains(text, "(?") || strings.Contains(text, `\[^`) || strings.Contains(text, "[:") || strings.Contains(text, "&&") {
			return
		}
		for i := range len(in) {
			want := 0
			for j := i + 1; j <= len(in); j++ {
				if (j == len(in) || !word(in[j]) || !word(in[j-1])) && oracle.MatchString(in[i:j]) && !strings.HasSuffix(in[i:j], "\n") {
					want = j
				}
			}
			got, _ := p.longest([]byte(in), i, true)
			if got != want && !strings.Contains(in, "\n") {
				t.Fatalf("%q in %q at %d: ends at %d, want %d", text, in, i, got, want)
			}
		}
	})
}

// FuzzCustom: the cut into pieces changes nothing.
func FuzzCustom(f *testing.F) {
	for k, s := range append(samples(), "Blue Heron EMP-123456 acme_aB3dE5 stabx support@example.com müller & co 12A!") {
		f.Add([]byte(s), uint64(k))
	}
	s := Scanner{Custom: rules(f, ownRules)}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 1<<13 {
			return
		}
		s.Reset()
		want, _ := s.Scan(nil, text, 0, true)
		for k := 1; k < len(want); k++ {
			if want[k].Start < want[k-1].End {
				t.Fatalf("overlap: %+v", want)
			}
		}
		for round := range 3 {
			var cuts []int
			for at := 0; ; {
				seed = seed*6364136223846793005 + 1442695040888963407
				if at += 1 + int(seed>>33)%(3<<(3*round)); at >= len(text) {
					break
				}
				cuts = append(cuts, at)
			}
			if got := stream(t, &s, text, cuts); !same(got, want) {
				t.Fatalf("cuts %v\n got %+v\nwant %+v", cuts, got, want)
			}
		}
	})
}
