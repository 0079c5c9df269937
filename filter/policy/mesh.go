package policy

import (
	"github.com/memgate/memgate/filter/mesh"
)

// Mesh says which peers of a service mesh may make requests in their own name.
type Mesh struct {
	Identities     []MeshIdentity `yaml:"identities" doc:"the peers that count, by their SPIFFE IDs; an ID that stands here itself counts before templates, and a template before those behind it" required:"true"`
	WithCredential string         `yaml:"with_credential" doc:"what a peer means beside a token, an API key or a session: ignore, nothing, as it passes on what others ask for; same_tenant, it must be one of identities, and of the same tenant; refuse, one of identities must not send any" enum:"ignore,same_tenant,refuse" default:"ignore"`
	Trust          string         `yaml:"trust" doc:"the same for peers: trusted, unconfirmed, or nothing" enum:"trusted,unconfirmed"`
}

// MeshIdentity is one peer, or those that a template matches.
type MeshIdentity struct {
	ID     string   `yaml:"id" doc:"a SPIFFE ID, such as spiffe://example.org/ns/shop/sa/cart; a segment in braces stands for any, and {tenant} for the tenant: spiffe://example.org/ns/{tenant}/sa/{name}" required:"true"`
	Tenant string   `yaml:"tenant" doc:"the tenant of the peer, when the ID has no {tenant}"`
	Scopes []string `yaml:"scopes" doc:"the scopes that the peer holds"`
	Roles  []string `yaml:"roles" doc:"the roles that the peer has; access.roles says which scopes each brings"`
}

// The values of [Mesh.WithCredential].
const (
	PeerIgnored    = "ignore"
	PeerSameTenant = "same_tenant"
	PeerRefused    = "refuse"
)

// MeshRules are the identities of the policy, with the scopes of their roles; nil without
// any.
func (p *Policy) MeshRules() []mesh.Rule {
	if p.Identity.Mesh == nil {
		return nil
	}
	var out []mesh.Rule
	for i := range p.Identity.Mesh.Identities {
		out = append(out, p.meshRule(&p.Identity.Mesh.Identities[i]))
	}
	return out
}

func (p *Policy) meshRule(m *MeshIdentity) mesh.Rule {
	r := mesh.Rule{ID: m.ID, Tenant: m.Tenant, Scopes: append([]string(nil), m.Scopes...)}
	for _, role := range m.Roles {
		r.Scopes = append(r.Scopes, p.Access.Roles[role]...)
	}
	return r
}

// mesh reports identities that cannot be, and peers that nobody verified.
func (l *linter) mesh() {
	m := l.p.Identity.Mesh
	if m == nil {
		return
	}
	sound := true
	for i := range m.Identities {
		entry := &m.Identities[i]
		path := element("identity.mesh.identities", i)
		for j, role := range entry.Roles {
			if _, ok := l.p.Access.Roles[role]; !ok {
				l.err(element(path+".roles", j), "role", "access.roles has no role %s%s", show(role), didYouMean(role, sortedKeys(l.p.Access.Roles)))
			}
		}
		if err := mesh.Check(l.p.meshRule(entry)); err != nil {
			l.err(path, "mesh", "%s", err)
			sound = false
		}
	}
	if sound {
		if _, err := mesh.New(l.p.MeshRules(), nil); err != nil {
			l.err("identity.mesh.identities", "mesh", "%s", err)
		}
	}
	switch t := l.p.Envoy.TLS; {
	case t != nil && t.ClientCertificate == ClientCertificateAny:
		l.err("identity.mesh", "mesh-unverified", "believes the names in certificates, and envoy.tls.client_certificate is any, so that anyone can make one: set it to optional or required")
	case !l.p.AsksForCertificates():
		l.warn("identity.mesh", "mesh-peer", "needs an Envoy that asks its clients for certificates: set envoy.tls.client_certificate, or envoy.tls_in_front in a mesh")
	}
}
