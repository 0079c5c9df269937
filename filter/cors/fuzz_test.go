package cors

import (
	"regexp"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/headers"
)

// reference matches by regular expression what the matcher matches by hand.
func reference(pattern, origin string) bool {
	origin = asciiLower(origin)
	if len(origin) > MaxOrigin {
		return false
	}
	if scheme, rest, ok := strings.Cut(pattern, "://*."); ok {
		re := regexp.MustCompile(`\A` + regexp.QuoteMeta(scheme) + `://((?:[a-z0-9_-]{1,63}\.)+)` + regexp.QuoteMeta(rest) + `\z`)
		m := re.FindStringSubmatch(origin)
		name, _, _ := strings.Cut(rest, ":")
		return m != nil && len(m[1])+len(name) <= 253
	}
	return origin == pattern
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

var fuzzPatterns = []string{"https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "https://*.example.com", "https://*.dev.example.org:8443"}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{
		"https://app.example.com", "https://a.b.example.com", "https://example.com.evil.org", "https://notexample.com",
		"https://x.dev.example.org:8443", "http://localhost:3000", "http://[::1]:8080", "null", "", "https://.example.com",
		"https://A.EXAMPLE.com", "https://a.example.com:443", "https://a\x00.example.com", "https://\u212a.example.com",
		"https://" + strings.Repeat("a.", 120) + "example.com", "https://" + strings.Repeat("a.", 121) + "example.com",
	} {
		f.Add(s)
	}
	one := make([]*Matcher, len(fuzzPatterns))
	for i, p := range fuzzPatterns {
		one[i] = matcher(f, Policy{AllowOrigins: []string{p}})
	}
	all := matcher(f, Policy{AllowOrigins: fuzzPatterns, AllowCredentials: true})
	open := matcher(f, Policy{AllowOrigins: []string{"*"}})
	f.Fuzz(func(t *testing.T, origin string) {
		any := false
		for i, p := range fuzzPatterns {
			want := reference(p, origin)
			if got := one[i].Allows(origin); got != want {
				t.Errorf("%s allows %q = %v, the reference says %v", p, origin, got, want)
			}
			any = any || want
		}
		if got := all.Allows(origin); got != any {
			t.Errorf("together they allow %q = %v, want %v", origin, got, any)
		}
		if any && !open.Allows(origin) {
			t.Errorf("* does not allow %q", origin)
		}
		for _, h := range all.Response(nil, origin) {
			if !headers.ValidValue(h.Value) {
				t.Errorf("%q leads to the header %q", origin, h)
			}
			if h.Name == allowOrigin && h.Value != asciiLower(origin) {
				t.Errorf("%q is answered with %q", origin, h.Value)
			}
		}
	})
}

// FuzzPreflight checks that whatever is asked for, an answer holds valid
// headers only and never grants a header or method that is not in the policy.
func FuzzPreflight(f *testing.F) {
	f.Add("POST", "authorization,content-type")
	f.Add("GET", " , AUTHORIZATION\t,")
	f.Add("PATCH", "x-evil")
	f.Add("GET\r\n", "authorization\r\na: b")
	f.Add("", "\u212a")
	m := matcher(f, benchPolicy)
	f.Fuzz(func(t *testing.T, method, asked string) {
		answer, ok := m.Preflight(nil, "https://app.example.com", method, asked, "")
		want := method == "GET" || method == "POST" || method == "DELETE"
		names := strings.Split(asked, ",")
		for _, name := range names {
			if name = asciiLower(strings.Trim(name, " \t")); name != "" && name != "authorization" && name != "content-type" {
				want = false
			}
		}
		if len(asked) > MaxRequestHeaders || len(names) > MaxList {
			if ok && !want {
				t.Errorf("%q, %q is granted", method, asked)
			}
			return
		}
		if ok != want {
			t.Errorf("%q, %q: granted = %v, want %v", method, asked, ok, want)
		}
		for _, h := range answer {
			if !headers.ValidValue(h.Value) || h.Value == "" {
				t.Errorf("the answer holds %q", h)
			}
		}
	})
}
