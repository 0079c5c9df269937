package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/memgate/memgate/filter/access"
	"github.com/memgate/memgate/filter/pii"
)

const (
	largeBody = Size(4 << 20)
	maxField  = Size(1<<31 - 1)
)

func isClassName(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool { return r > 'z' || 'A' <= r && r <= 'Z' || !isWord(byte(r)) })
}

func (l *linter) pii() {
	l.actions("pii.request", l.p.PII.Request, true)
	l.actions("pii.response", l.p.PII.Response, true)
	l.pseudonyms()
	if l.reported("pii.custom") || l.reported("pii.allow") {
		return
	}
	var bad *pii.CustomError
	if _, err := pii.NewCustom(l.p.PII.custom()); errors.As(err, &bad) {
		path := "pii.allow"
		switch {
		case bad.Rule >= len(l.p.PII.Custom):
			path = "pii.custom"
		case bad.Part == "name":
			path = element("pii.custom", bad.Rule) + ".name"
		case bad.Rule >= 0:
			path = element(element("pii.custom", bad.Rule)+"."+bad.Part, bad.Index)
		case bad.Index < len(l.p.PII.Allow):
			path = element(path, bad.Index)
		}
		l.err(path, "custom", "%s", bad.Reason)
	}
}

// pseudonyms reports keys that cannot be, and a scope that is none.
func (l *linter) pseudonyms() {
	p := l.p.PII.Pseudonyms
	if p == nil {
		return
	}
	if len(p.Keys) > maxPseudonymKeys {
		l.err("pii.pseudonyms.keys", "range", "must be at most %d keys", maxPseudonymKeys)
	}
	for i, key := range p.Keys {
		if slices.Contains(p.Keys[:i], key) {
			l.err(element("pii.pseudonyms.keys", i), "pseudonym-key", "stands here twice")
		}
	}
	if p.Reveal != "" && !isScope(p.Reveal) {
		l.err("pii.pseudonyms.reveal", "scope", "must be a scope, such as memory:pii")
	}
}

// maxPseudonymKeys is the number of master keys: all of them go to the filter with a
// request whose response they may open.
const maxPseudonymKeys = 8

// actions reports rules that cannot be kept, or that keep nothing.
func (l *linter) actions(path string, rules Actions, general bool) {
	for _, entity := range sortedKeys(rules) {
		member := join(path, entity)
		switch rules[entity] {
		case "hash":
			if l.p.PII.Key == "" && !l.p.failed["pii.key"] {
				l.err(member, "pii-key", "the action hash needs pii.key: without a key, values could be guessed from their hashes")
			}
		case "pseudonymize":
			if l.p.PII.Pseudonyms == nil && !l.p.failed["pii.pseudonyms"] {
				l.err(member, "pseudonym-key", "the action pseudonymize needs pii.pseudonyms with a key")
			}
		case "allow":
			if entity == defaultEntity && general {
				l.warn(member, "pii-allow", "lets everything through that has no rule of its own, secrets included")
			} else if entity == defaultEntity || isSecretEntity(entity) {
				l.warn(member, "pii-allow", "lets secrets through to where they can be read back; redact or block them")
			}
		}
	}
}

// route reports what is wrong or unwise in route i apart from what it matches,
// which [Policy.compile] has looked at.
func (l *linter) route(i int) {
	r, path := &l.p.Routes[i], routePath(i)
	switch {
	case r.Own && r.Anonymous:
		l.err(path+".anonymous", "route-own", "sessions belong to a principal, so their routes cannot be anonymous")
	case r.Anonymous && r.Require.Condition != "":
		l.err(path+".require.condition", "anonymous-scopes", "the route is anonymous, and a condition is about a principal; remove one of the two")
	case r.Anonymous && r.Require.SenderConstrained != "":
		l.err(path+".require.sender_constrained", "anonymous-scopes", "the route is anonymous, and there is no token to be bound; remove one of the two")
	case r.Anonymous && len(r.Require.Scopes) > 0:
		l.err(path+".require", "anonymous-scopes", "the route is anonymous, and nobody without a credential holds a scope; remove one of the two")
	case r.Anonymous:
		for j, m := range r.Match.Methods {
			if m != "GET" && m != "HEAD" && m != "OPTIONS" {
				l.warn(element(path+".match.methods", j), "anonymous-write", "anyone may %s here without a credential", m)
				break
			}
		}
	case len(r.Require.Scopes) == 0 && r.Require.Condition == "" && !r.Own && !l.p.failed[path+".anonymous"] && !l.p.failed[path+".require"] && !l.p.failed[path+".require.scopes"]:
		l.warn(path, "route-scopes", "%s requires no scope: whoever has any credential may call it", l.p.routeLabel(i))
	}
	if text := r.Require.Condition; text != "" {
		if _, err := access.Compile(text); err != nil {
			l.err(path+".require.condition", "condition", "%s", err)
		}
	}
	for j, scope := range r.Require.Scopes {
		if !isScope(scope) {
			l.err(element(path+".require.scopes", j), "scope", "a scope is printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)")
		}
	}
	if r.Class != "" {
		classes := sortedKeys(l.p.Limits.Classes)
		if !slices.Contains(classes, r.Class) {
			l.err(path+".class", "class", "limits.classes has no class %s%s", show(r.Class), didYouMean(r.Class, classes))
		}
	}
	if r.Limit != nil && r.Limit.Limit == 0 {
		l.err(path+".limit", "limit-zero", "a limit of zero refuses every request; remove the route instead")
	}
	l.weight(path, r)
	l.compare(path+".compare", &r.Compare)
	if r.Anonymous && (r.Compare.Tenant != nil || r.Compare.Agent != nil) {
		l.err(path+".compare", "anonymous-scopes", "the route is anonymous, and there is no caller to compare with; remove one of the two")
	}
	l.content(path+".content", r)
}

func (l *linter) content(path string, r *Route) {
	c := &r.Content
	switch {
	case c.MaxBody == 0:
		l.err(path+".max_body", "limit-zero", "a limit of zero refuses every body; remove it for the default")
	case c.MaxBody > largeBody:
		l.warn(path+".max_body", "body-large", "Envoy holds a body of up to %s in memory while it is checked, for each request under way", c.MaxBody)
	}
	for _, field := range sortedKeys(c.Fields) {
		member, limit := join(path+".fields", field), c.Fields[field]
		switch {
		case !isFieldPath(field):
			l.err(member, "field", "is not the path of a member, such as content or memories[].content")
		case limit == 0:
			l.err(member, "limit-zero", "a limit of zero refuses the member altogether")
		case limit > maxField:
			l.err(member, "field", "must be less than 2GiB")
		case limit > c.MaxBody && c.MaxBody > 0:
			l.warn(member, "field-large", "is more than the whole body may have (max_body, %s)", c.MaxBody)
		}
	}
	for j, field := range c.Identifiers {
		member := element(path+".identifiers", j)
		switch {
		case !isFieldPath(field):
			l.err(member, "field", "is not the path of a member, such as user_id or results[].user_id")
		case slices.Contains(c.Identifiers[:j], field):
			l.err(member, "field", "stands here twice")
		}
	}
	for j, field := range c.Redact {
		member := element(path+".redact", j)
		switch {
		case !isFieldPath(field):
			l.err(member, "field", "is not the path of a member, such as ssn or results[].metadata.phone")
		case slices.Contains(c.Redact[:j], field):
			l.err(member, "field", "stands here twice")
		case slices.Contains(c.Identifiers, field):
			l.err(member, "field", "is one of the identifiers, too, which pass as they are")
		case slices.Contains(c.Deltas, field):
			l.err(member, "field", "is one of the deltas, too, which are searched")
		}
	}
	for j, field := range c.Deltas {
		member := element(path+".deltas", j)
		switch {
		case field != "." && !isFieldPath(field):
			l.err(member, "field", "is not the path of a member, such as token.text, or . for data that is text")
		case slices.Contains(c.Deltas[:j], field):
			l.err(member, "field", "stands here twice")
		}
	}
	if c.OtherTypes == otherTypesPass {
		l.warn(path+".other_types", "other-types", "bodies of types that cannot be inspected pass with all that is in them")
	}
	if len(c.Types) == 0 {
		l.err(path+".types", "media-type", "must not be empty; remove it for application/json")
	}
	for j, t := range c.Types {
		if !isMediaType(t) {
			l.err(element(path+".types", j), "media-type", "must be a media type in lower case without parameters, such as application/json or text/*")
		}
	}
	l.actions(path+".request", c.Request, false)
	l.actions(path+".response", c.Response, false)

	// What the Wasm filter would refuse for any other reason, such as too many
	// fields. It is looked at only when its parts are sound.
	if l.reported(path) || l.reported("compare.") || l.reported(strings.TrimSuffix(path, ".content")+".compare") || l.reported("cors.") || l.reported("headers.") || l.reported("pii.") || l.reported("content.") {
		return
	}
	if _, err := l.p.Content(r); err != nil {
		l.err(path, "content", "%s", err)
	}
}

func (l *linter) routes() {
	for i := range l.p.Routes {
		if !l.p.Routes[i].Own || l.inFile(routePath(i)) {
			return
		}
	}
	l.warn("routes", "routes", "there are none, so every request to the upstream is denied")
}

// isScope reports whether s is a scope-token (RFC 6749, section 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// isFieldPath reports whether s names a member of a JSON body: names joined by
// dots, each with [] behind it where it is a list.
func isFieldPath(s string) bool {
	if len(s) > 256 {
		return false
	}
	for i, name := range strings.Split(s, ".") {
		root := i == 0 && strings.HasPrefix(name, "[]") // of a body that is a list
		for strings.HasSuffix(name, "[]") {
			name = strings.TrimSuffix(name, "[]")
		}
		if name == "" && !root || strings.ContainsAny(name, "[]*") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return false
		}
	}
	return true
}

// isMediaType reports whether s is type/subtype, type/*, type/*+suffix or */*,
// in lower case.
func isMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	if s == "*/*" {
		return true
	}
	suffix, wild := strings.CutPrefix(minor, "*")
	if !ok || len(s) > 128 || wild && suffix != "" && (suffix[0] != '+' || len(suffix) == 1) {
		return false
	}
	word := func(w string) bool {
		return !strings.ContainsFunc(w, func(r rune) bool {
			return r > '~' || 'A' <= r && r <= 'Z' || !isAlnum(byte(r)) && !strings.ContainsRune("!#$&-^_.+", r)
		})
	}
	return major != "" && minor != "" && word(major) && word(suffix)
}
