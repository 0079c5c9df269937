package tenant

import (
	"slices"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/identity"
)

func TestNewMappingRefuses(t *testing.T) {
	for name, r := range map[string]Rule{
		"nothing":                {},
		"claim and value":        {Claim: "a", Value: "b"},
		"claim and template":     {Claim: "a", Template: "{b}"},
		"template and value":     {Template: "{a}", Value: "b"},
		"map alone":              {Map: map[string]string{"a": "b"}},
		"map and template":       {Template: "{a}", Map: map[string]string{"a": "b"}},
		"map and value":          {Value: "a", Map: map[string]string{"a": "b"}},
		"empty map":              {Claim: "a", Map: map[string]string{}},
		"map to no name":         {Claim: "a", Map: map[string]string{"a": "b", "c": "../d"}},
		"map to an empty name":   {Claim: "a", Map: map[string]string{"a": ""}},
		"value that is no name":  {Value: "a/b"},
		"no claim":               {Template: "acme"},
		"open":                   {Template: "{a"},
		"closed":                 {Template: "a}"},
		"closed again":           {Template: "{a}}"},
		"empty braces":           {Template: "{}"},
		"braces in braces":       {Template: "{a{b}}"},
		"no separator":           {Template: "{a}{b}"},
		"separator of no name":   {Template: "{a}/{b}"},
		"starts with a dash":     {Template: "-{a}"},
		"two dots":               {Template: "{a}..{b}"},
		"longer than any tenant": {Template: strings.Repeat("a", MaxLength) + "{b}"},
		"very many claims":       {Template: "{a}" + strings.Repeat("-{a}", MaxClaims)},
	} {
		if _, err := NewMapping(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMapping(t *testing.T) {
	claim := Rule{Claim: "org"}
	mapped := Rule{Claim: "org", Map: map[string]string{"org-123": "acme", "org 9/\u00e4": "beta"}}
	pair := Rule{Template: "{org}-{region}"}
	framed := Rule{Template: "t.{/realm/org}_{region}-x"}
	for _, tt := range []struct {
		name   string
		rule   Rule
		values []string
		want   string
		reason identity.Reason
	}{
		{"claim", claim, []string{"acme"}, "acme", ""},
		{"claim that is no name", claim, []string{"a/b"}, "", identity.ReasonTenantInvalid},
		{"claim that is empty", claim, []string{""}, "", identity.ReasonTenantInvalid},
		{"mapped", mapped, []string{"org-123"}, "acme", ""},
		{"mapped from what is no name", mapped, []string{"org 9/\u00e4"}, "beta", ""},
		{"unmapped", mapped, []string{"org-124"}, "", identity.ReasonTenantUnmapped},
		{"unmapped by case", mapped, []string{"ORG-123"}, "", identity.ReasonTenantUnmapped},
		{"unmapped name of a tenant", mapped, []string{"acme"}, "", identity.ReasonTenantUnmapped},
		{"unmapped and empty", mapped, []string{""}, "", identity.ReasonTenantUnmapped},
		{"value", Rule{Value: "acme"}, nil, "acme", ""},
		{"template", pair, []string{"acme", "eu"}, "acme-eu", ""},
		{"separator in the last", pair, []string{"acme", "eu-west-1"}, "acme-eu-west-1", ""},
		{"separator in the first", pair, []string{"acme-eu", "west-1"}, "", identity.ReasonTenantInvalid},
		{"first is empty", pair, []string{"", "eu"}, "", identity.ReasonTenantInvalid},
		{"last is empty", pair, []string{"acme", ""}, "", identity.ReasonTenantInvalid},
		{"no name", pair, []string{"acme", "e/u"}, "", identity.ReasonTenantInvalid},
		{"too long", pair, []string{strings.Repeat("a", 40), strings.Repeat("b", 40)}, "", identity.ReasonTenantInvalid},
		{"very long", pair, []string{"a", strings.Repeat("b", 1<<20)}, "", identity.ReasonTenantInvalid},
		{"text around", framed, []string{"a", "b-x"}, "t.a_b-x-x", ""},
		{"two dots", framed, []string{".a", "b"}, "", identity.ReasonTenantInvalid},
	} {
		m, err := NewMapping(tt.rule)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got, reason := m.Tenant(tt.values)
		if got != tt.want || reason != tt.reason {
			t.Errorf("%s: %q, %q", tt.name, got, reason)
		}
		if got != "" && !Valid(got) {
			t.Errorf("%s: %q is no name", tt.name, got)
		}
		if got, reason := m.Tenant(append(tt.values, "more")); got != "" || reason == "" {
			t.Errorf("%s: with more values than claims: %q", tt.name, got)
		}
	}
	m, err := NewMapping(framed)
	if err != nil || !slices.Equal(m.Claims(), []string{"/realm/org", "region"}) {
		t.Errorf("claims %q, %v", m.Claims(), err)
	}
}

// A mapping does not change with the map that it was made of.
func TestMappingKeepsItsMap(t *testing.T) {
	names := map[string]string{"a": "acme"}
	m, err := NewMapping(Rule{Claim: "org", Map: names})
	if err != nil {
		t.Fatal(err)
	}
	names["b"] = "beta"
	if got, reason := m.Tenant([]string{"b"}); reason != identity.ReasonTenantUnmapped {
		t.Errorf("%q, %q", got, reason)
	}
}

// Whoever can choose the claims of a template cannot make the tenant of other claims, and
// never what is no name.
func FuzzTemplate(f *testing.F) {
	f.Add("{a}-{b}", "x", "y-z", "x-y", "z")
	f.Add("{a}.{b}", "x", ".y", "x.", "y")
	f.Add("{a}--{b}", "x-", "y", "x", "-y")
	f.Add("t{a}_{b}t", "x", "y", "x_y", "")
	f.Fuzz(func(t *testing.T, template, a, b, c, d string) {
		m, err := NewMapping(Rule{Template: template})
		if err != nil || len(m.claims) != 2 {
			return
		}
		one, reason := m.Tenant([]string{a, b})
		if (reason == "") != Valid(one) {
			t.Fatalf("%q with the reason %q", one, reason)
		}
		if two, _ := m.Tenant([]string{c, d}); one != "" && one == two && (a != c || b != d) {
			t.Fatalf("%q of %q and %q, %q and %q", one, a, b, c, d)
		}
	})
}
