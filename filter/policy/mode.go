package policy

import (
	"slices"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
)

// The modes of a section that has one. What is neither [ModeShadow] nor [ModeOff]
// is enforced. The match of a route has no mode: without one nobody knows what to
// do.
const (
	ModeEnforce = "enforce" // what the section refuses is refused
	ModeShadow  = "shadow"  // it is decided, counted and audited, and goes on
	ModeOff     = "off"     // it is not looked at
)

// enforced reports whether a mode is neither of the others.
func enforced(mode string) bool { return mode != ModeShadow && mode != ModeOff }

// sections lists those that have a mode. The last say who the upstream believes a
// request to be of, and whether there is a trace of it: in production they are
// enforced unless the policy says that it means it.
func (p *Policy) sections() []section {
	return []section{
		{"cors", p.CORS.Mode, "cross-origin rules", false},
		{"headers", p.Headers.Mode, "security headers", false},
		{"access", p.Access.Mode, "scopes, the agents of sessions and conditions", false},
		{"limits", p.Limits.Mode, "rate limits", false},
		{"content", p.Checks.Mode, "the checks of bodies", false},
		{"pii", p.PII.Mode, "the rules for personal data and secrets in bodies", false},
		{"poison", p.Poison.Mode, "the scores of texts", false},
		{"identity", p.Identity.Mode, "credentials", true},
		{"tenant", p.Tenant.Mode, "the tenants that requests name", true},
		{"audit", p.Audit.Mode, "audit lines", true},
	}
}

type section struct {
	name, mode, what string
	vital            bool
}

// modes says which sections are not enforced.
func (l *linter) modes() {
	var vital []string
	for _, s := range l.p.sections() {
		path := s.name + ".mode"
		if s.vital {
			vital = append(vital, s.name)
		}
		switch {
		case enforced(s.mode):
		case s.vital && l.p.Environment == "production" && !slices.Contains(l.p.Unenforced, s.name):
			l.err(path, "mode-production", "environment is production, and %s would not be enforced; if that is meant, write unenforced: [%s]", s.what, s.name)
		case s.name == "content" && enforced(l.p.PII.Mode):
			l.err(path, "mode-content", "what is let through unchecked cannot be searched for personal data; set pii.mode to shadow or off, too")
		case s.name == "content" && enforced(l.p.Poison.Mode) && l.p.scored():
			l.err(path, "mode-content", "what is let through unchecked cannot be scored; set poison.mode to shadow or off, too")
		case s.name == "identity" && l.p.Upstream.Credential != nil:
			l.warn(path, "mode-identity", "credentials are not enforced, and who shows none that is valid reaches the upstream without upstream.credential, and is refused there if it wants one")
		case s.mode == ModeShadow:
			l.warn(path, "mode-shadow", "%s are not enforced: what they would refuse passes, and is only counted and audited", s.what)
		default:
			l.warn(path, "mode-off", "%s are not enforced, and what they would refuse leaves no trace", s.what)
		}
	}
	for i, name := range l.p.Unenforced {
		if !slices.Contains(vital, name) {
			l.err(element("unenforced", i), "mode-production", "must be %s, not %s%s", oneOf(vital), show(name), didYouMean(name, vital))
		}
	}
}

// EnforcedHeaders are the security headers that are put on responses: none while
// the section is not enforced.
func (p *Policy) EnforcedHeaders() (headers.Policy, error) {
	if !enforced(p.Headers.Mode) {
		return headers.Policy{}, nil
	}
	return p.SecurityHeaders()
}

// inModes puts into out how the Wasm filter acts.
func (p *Policy) inModes(out *content.Policy) {
	out.Modes = content.Modes{
		Content: contentMode(p.Checks.Mode), PII: contentMode(p.PII.Mode),
		CORS: contentMode(p.CORS.Mode), Headers: contentMode(p.Headers.Mode), Poison: contentMode(p.Poison.Mode),
		Tenant: contentMode(p.Tenant.Mode), Agent: contentMode(p.Access.Mode),
	}
	if out.Modes.PII == content.Off {
		out.Request.PII, out.Response.PII = pii.Policy{}, pii.Policy{}
		out.Request.Redact, out.Response.Redact = nil, nil
	}
	if out.Modes.Content == content.Off {
		out.Request.MaxBytes, out.Request.Types, out.Request.Fields = content.NoLimit, nil, nil
	}
	// Who is not known has no tenant and no agent to compare with.
	blind := out.Modes.Content == content.Off || !enforced(p.Identity.Mode)
	if blind || out.Modes.Tenant == content.Off {
		out.Request.Tenants = nil
	}
	if blind || out.Modes.Agent == content.Off {
		out.Request.Agents = nil
	}
}

func contentMode(mode string) content.Mode {
	switch mode {
	case ModeShadow:
		return content.Shadow
	case ModeOff:
		return content.Off
	}
	return content.Enforce
}
