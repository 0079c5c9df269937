package tenant

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/identity"
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

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		principal, named string
		ok               bool
	}{
		{"acme", "", true},
		{"acme", "acme", true},
		{"acme", "Acme", false},
		{"acme", "acme ", false},
		{"acme", "other", false},
		{"", "acme", false},
		{"", "", true},
	} {
		err := Compare(tt.principal, tt.named)
		if (err == nil) != tt.ok {
			t.Errorf("Compare(%q, %q) = %v", tt.principal, tt.named, err)
		}
		if err != nil && (!identity.IsForbidden(err) || identity.ReasonOf(err) != identity.ReasonTenantMismatch) {
			t.Errorf("error %v", err)
		}
	}
}
