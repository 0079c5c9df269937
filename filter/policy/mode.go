package policy

// The modes of a section that has one, [Access] and [Limits]. What is neither
// [ModeShadow] nor [ModeOff] is enforced. Who makes a request, and for which
// tenant, has no mode: whatever passes, the upstream believes it.
const (
	ModeEnforce = "enforce" // what the section refuses is refused
	ModeShadow  = "shadow"  // it is decided, counted and audited, and goes on
	ModeOff     = "off"     // it is not looked at
)

// modes says which sections are not enforced.
func (l *linter) modes() {
	for _, m := range [...]struct{ path, mode, what string }{
		{"access.mode", l.p.Access.Mode, "scopes, the agents of sessions and conditions"},
		{"limits.mode", l.p.Limits.Mode, "rate limits"},
	} {
		switch m.mode {
		case ModeShadow:
			l.warn(m.path, "mode-shadow", "%s are not enforced: what they would refuse passes, and is only counted and audited", m.what)
		case ModeOff:
			l.warn(m.path, "mode-off", "%s are not enforced, and what they would refuse leaves no trace", m.what)
		}
	}
}
