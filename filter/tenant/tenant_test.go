package tenant

import (
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "Acme": true, "acme-1.eu_west": true, "0": true, strings.Repeat("a", 64): true,
		"": false, ".a": false, "-a": false, "_a": false, "a..b": false, "..": false, "a/b": false, `a\b`: false,
		"a b": false, "a\n": false, "a\x00": false, "\u00e4": false, "а": false, "a:b": false, "a%2e": false,
		strings.Repeat("a", 65): false,
	} {
		if Valid(s) != want {
			t.Errorf("Valid(%q) = %v", s, !want)
		}
	}
}
