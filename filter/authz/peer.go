package authz

import (
	"context"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mesh"
	"github.com/memgate/memgate/filter/policy"
)

// peer is the principal of a request whose only credential is who its peer is.
func (c *Chain) peer(r *Request) (*identity.Principal, error) {
	if c.deps.Mesh == nil {
		return nil, notAccepted("mesh identities")
	}
	der, err := derOf(r.Certificate)
	if err != nil {
		return nil, identity.Unauthenticated(identity.ReasonPeerMalformed, err)
	}
	return c.deps.Mesh.Verify(mesh.Peer{Name: r.Peer, Certificate: der})
}

// beside looks at the peer of a request that has another credential, which made p. In a
// mesh each request has a peer, most often one that passes on what others ask for, so that
// it is no second credential unless the policy makes it one.
func (c *Chain) beside(ctx context.Context, r *Request, p *identity.Principal) error {
	if c.deps.Mesh == nil {
		return nil
	}
	switch c.policy.Identity.Mesh.WithCredential {
	case policy.PeerIgnored:
		return nil
	case policy.PeerSameTenant:
		peer, err := c.peer(r)
		if err != nil {
			return err
		}
		if err := c.notRevoked(ctx, peer); err != nil {
			return err
		}
		if peer.Tenant != p.Tenant {
			return identity.Unauthenticated(identity.ReasonPeerMismatch, nil)
		}
		return nil
	}
	if c.deps.Mesh.Knows(mesh.Peer{Name: r.Peer}) {
		return identity.Malformed(identity.ReasonAmbiguousCredentials, nil)
	}
	return nil
}
