package policy

import "github.com/memgate/memgate/filter/identity"

// Trust is how far what a principal says is believed: "trusted" or "unconfirmed", or ""
// where the policy does not say. It comes from the credential alone. A session is trusted
// as identity.sessions says, or else as the credential that it was issued to.
func (p *Policy) Trust(who *identity.Principal) string {
	kind := who.Kind
	if kind == identity.KindSession {
		if s := p.Identity.Sessions; s != nil && s.Trust != "" {
			return s.Trust
		}
		kind = who.Origin.Kind
	}
	switch kind {
	case identity.KindJWT:
		for i := range p.Identity.Issuers {
			if p.Identity.Issuers[i].Issuer == who.Issuer {
				return p.Identity.Issuers[i].Trust
			}
		}
	case identity.KindAPIKey:
		if k := p.Identity.APIKeys; k != nil {
			return k.Trust
		}
	case identity.KindMesh:
		if m := p.Identity.Mesh; m != nil {
			return m.Trust
		}
	}
	return ""
}
