package tenant

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/memgate/memgate/filter/identity"
)

// MaxClaims is the largest number of claims of which a tenant is made.
const MaxClaims = 8

// Rule says how the tokens of one issuer name their tenant. Exactly one of Claim, Template
// and Value is set. Claims are named, or pointed to (RFC 6901); package token finds them.
type Rule struct {
	// Claim is the claim that holds the tenant's name.
	Claim string
	// Map, beside Claim, has the tenant of each value of that claim. A value that is not
	// in it is refused. Nil means that the value is the tenant's name itself.
	Map map[string]string
	// Template makes the name of several claims, in braces: {org}-{region}.
	Template string
	// Value is the tenant of all tokens, for an issuer that serves one.
	Value string
}

// Mapping is a Rule, ready for use.
type Mapping struct {
	rule   Rule
	claims []string
	text   []string // of a template: what stands before each claim, and after the last
}

// NewMapping checks a rule.
func NewMapping(r Rule) (*Mapping, error) {
	set := 0
	for _, s := range [...]string{r.Claim, r.Template, r.Value} {
		if s != "" {
			set++
		}
	}
	m := &Mapping{rule: r}
	m.rule.Map = maps.Clone(r.Map)
	switch {
	case set != 1:
		return nil, errors.New("exactly one of a tenant's claim, template and value is required")
	case r.Map != nil && (r.Claim == "" || len(r.Map) == 0):
		return nil, errors.New("a map of tenants needs a claim and at least one entry")
	case r.Value != "" && !Valid(r.Value):
		return nil, errors.New("the tenant's name is invalid")
	}
	for _, name := range r.Map {
		if !Valid(name) {
			return nil, errors.New("the tenant's name is invalid")
		}
	}
	if r.Claim != "" {
		m.claims = []string{r.Claim}
	}
	if r.Template != "" {
		var err error
		if m.text, m.claims, err = parseTemplate(r.Template); err != nil {
			return nil, fmt.Errorf("the tenant's template %w", err)
		}
	}
	return m, nil
}

// Claims are those whose values Tenant wants, in this order. There are none where the
// tenant is fixed.
func (m *Mapping) Claims() []string { return slices.Clone(m.claims) }

// Tenant makes the tenant's name of the values of Claims. It is valid unless there is a
// reason for which the token is refused.
//
// Of a template no two lists of values make the same name: a value is refused that holds
// the character that ends it.
func (m *Mapping) Tenant(values []string) (string, identity.Reason) {
	switch {
	case len(values) != len(m.claims):
		return "", identity.ReasonTenantMissing
	case m.rule.Value != "":
		return m.rule.Value, ""
	case m.rule.Map != nil:
		name, ok := m.rule.Map[values[0]]
		if !ok {
			return "", identity.ReasonTenantUnmapped
		}
		return name, ""
	case m.text == nil:
		if !Valid(values[0]) {
			return "", identity.ReasonTenantInvalid
		}
		return values[0], ""
	}
	var b strings.Builder
	for i, v := range values {
		last := i+1 == len(values)
		if v == "" || len(v) > MaxLength || !last && strings.IndexByte(v, m.text[i+1][0]) >= 0 {
			return "", identity.ReasonTenantInvalid
		}
		b.WriteString(m.text[i])
		b.WriteString(v)
	}
	b.WriteString(m.text[len(values)])
	if !Valid(b.String()) {
		return "", identity.ReasonTenantInvalid
	}
	return b.String(), ""
}

// CheckTemplate says what is wrong with a template, and returns its claims.
func CheckTemplate(s string) (claims []string, err error) {
	_, claims, err = parseTemplate(s)
	return claims, err
}

// parseTemplate reads {claim}-{claim}. Between two claims must stand some text, as the
// names that they make could not be told apart.
func parseTemplate(s string) (text, claims []string, err error) {
	rest := s
	sample := ""
	for {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, nil, errors.New("has a } without a { before it")
		}
		text = append(text, before)
		sample += before
		if !found {
			break
		}
		claim, end, closed := strings.Cut(after, "}")
		switch {
		case !closed:
			return nil, nil, errors.New("has a { without a }")
		case claim == "":
			return nil, nil, errors.New("has braces without the name of a claim")
		case strings.Contains(claim, "{"):
			return nil, nil, errors.New("has a { within braces")
		case before == "" && len(claims) > 0:
			return nil, nil, errors.New("has two claims without text between them, such as a -: different tenants could get the same name")
		case len(claims) == MaxClaims:
			return nil, nil, fmt.Errorf("has more than %d claims", MaxClaims)
		}
		claims = append(claims, claim)
		sample += "a"
		rest = end
	}
	switch {
	case len(claims) == 0:
		return nil, nil, errors.New("names no claim in braces, such as {org}-{region}")
	case !Valid(sample):
		return nil, nil, fmt.Errorf("can make no tenant's name: besides claims it has letters, digits, ., _ and -, starts with a letter, a digit or a claim, and has at most %d bytes", MaxLength)
	}
	return text, claims, nil
}
