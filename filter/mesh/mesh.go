// Package mesh turns the SPIFFE ID of a peer, as a proxy verified it on a mutual TLS
// connection, into a principal: which identities count, of which tenant they are, and what
// they may do.
//
// It verifies no certificate: the proxy has done so, and tells who the peer is by other ways
// than a header. The package is pure.
package mesh

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/tenant"
)

// TenantParam is the name in braces that makes a segment of an identity the tenant.
const TenantParam = "tenant"

// Rule says what one identity, or each of those that a template matches, is and may do.
type Rule struct {
	// ID is a SPIFFE ID. A segment of its path in braces, such as {tenant} or {name},
	// stands for any segment.
	ID string
	// Tenant owns the data; it is empty when the ID has {tenant}.
	Tenant string
	// Scopes are what it may do.
	Scopes []string
}

// Peer is who is at the other end of a connection.
type Peer struct {
	// Name is the first URI of the certificate's names, as the proxy tells it; with
	// another kind of name it is no SPIFFE ID.
	Name string
	// Certificate is the peer's own in DER, or nil when the proxy does not pass it on.
	Certificate []byte
}

// Verifier knows the identities that count. It is safe for concurrent use.
type Verifier struct {
	now       func() time.Time
	exact     map[string]*entry
	templates []*entry
}

type entry struct {
	domain   string
	segments []string // of the path; those in braces with them
	tenant   string
	scopes   []string
}

// New checks the rules. An ID that stands there itself counts before each template, and a
// template before those behind it.
func New(rules []Rule, now func() time.Time) (*Verifier, error) {
	v := &Verifier{now: now, exact: make(map[string]*entry)}
	shapes := make(map[string]bool)
	for _, r := range rules {
		e, err := parse(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, err)
		}
		shape := e.shape()
		if shapes[shape] {
			return nil, fmt.Errorf("%s: another entry is for the same identities", r.ID)
		}
		shapes[shape] = true
		if strings.Contains(shape, "{}") {
			v.templates = append(v.templates, e)
		} else {
			v.exact[r.ID] = e
		}
	}
	return v, nil
}

// Check says what is wrong with a rule.
func Check(r Rule) error {
	_, err := parse(r)
	return err
}

func parse(r Rule) (*entry, error) {
	rest, ok := strings.CutPrefix(r.ID, "spiffe://")
	if !ok {
		return nil, errors.New("is not a SPIFFE ID, such as spiffe://example.org/ns/shop/sa/cart")
	}
	domain, path, _ := strings.Cut(rest, "/")
	if path == "" {
		return nil, errors.New("has no path: a trust domain as a whole is nobody")
	}
	e := &entry{domain: domain, tenant: r.Tenant, segments: strings.Split(path, "/")}
	sample := slices.Clone(e.segments)
	tenants := 0
	for i, s := range sample {
		name, ok := param(s)
		switch {
		case !ok && strings.ContainsAny(s, "{}"):
			return nil, errors.New("has braces around a part of a segment; they stand for a whole one")
		case !ok:
			continue
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "":
			return nil, errors.New("has braces without a name of small letters")
		case name == TenantParam:
			tenants++
		}
		sample[i] = "a"
	}
	if _, err := spiffeid.FromString("spiffe://" + domain + "/" + strings.Join(sample, "/")); err != nil {
		return nil, fmt.Errorf("is not a SPIFFE ID: %w", err)
	}
	switch {
	case tenants > 1:
		return nil, errors.New("has {tenant} more than once")
	case tenants == 1 && r.Tenant != "":
		return nil, errors.New("has {tenant}, and a tenant stands beside it; one of them is enough")
	case tenants == 0 && r.Tenant == "":
		return nil, errors.New("has no {tenant}, so a tenant must stand beside it")
	case tenants == 0 && !tenant.Valid(r.Tenant):
		return nil, errors.New("the tenant's name is invalid")
	}
	e.scopes = identity.NormalizeScopes(slices.Clone(r.Scopes))
	if len(e.scopes) > identity.MaxScopes {
		return nil, fmt.Errorf("has more than %d scopes", identity.MaxScopes)
	}
	for _, s := range e.scopes {
		if !identity.ValidScope(s) {
			return nil, fmt.Errorf("%q is not a scope", s)
		}
	}
	return e, nil
}

// param returns the name of a segment in braces.
func param(segment string) (string, bool) {
	name, open := strings.CutPrefix(segment, "{")
	name, shut := strings.CutSuffix(name, "}")
	return name, open && shut && !strings.ContainsAny(name, "{}")
}

// shape is the ID without the names in braces.
func (e *entry) shape() string {
	out := e.domain
	for _, s := range e.segments {
		if _, ok := param(s); ok {
			s = "{}"
		}
		out += "/" + s
	}
	return out
}

// match returns the tenant of an ID.
func (e *entry) match(domain string, segments []string) (string, bool) {
	if domain != e.domain || len(segments) != len(e.segments) {
		return "", false
	}
	name := e.tenant
	for i, want := range e.segments {
		switch p, ok := param(want); {
		case !ok && want != segments[i]:
			return "", false
		case ok && p == TenantParam:
			name = segments[i]
		}
	}
	return name, true
}

// ValidID says whether name is a SPIFFE ID, in the only form that it has.
func ValidID(name string) bool {
	id, err := spiffeid.FromString(name)
	return err == nil && id.String() == name
}

// Knows says whether Verify would look further than at the name.
func (v *Verifier) Knows(p Peer) bool {
	_, err := v.find(p.Name)
	return err == nil
}

// Verify returns the principal that a peer is. Its subject and its id are the SPIFFE ID.
// Where the certificate is known it must be one that SPIFFE allows: valid now, for
// one leaf, with the ID as the only URI among its names (X509-SVID, sections 2 and 5).
func (v *Verifier) Verify(p Peer) (*identity.Principal, error) {
	out, err := v.find(p.Name)
	if err != nil || p.Certificate == nil {
		return out, err
	}
	certificate, err := x509.ParseCertificate(p.Certificate)
	switch {
	case err != nil || certificate.IsCA || len(certificate.URIs) == 0:
		return nil, identity.Unauthenticated(identity.ReasonPeerMalformed, err)
	case len(certificate.URIs) > 1:
		return nil, identity.Unauthenticated(identity.ReasonPeerAmbiguous, nil)
	case certificate.URIs[0].String() != p.Name:
		return nil, identity.Unauthenticated(identity.ReasonPeerMalformed, nil)
	}
	if now := v.now(); now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return nil, identity.Unauthenticated(identity.ReasonPeerExpired, nil)
	}
	out.Expires = certificate.NotAfter
	return out, nil
}

// find looks for the rule of a name.
func (v *Verifier) find(name string) (*identity.Principal, error) {
	id, err := spiffeid.FromString(name)
	if err != nil || !identity.ValidSubject(name) {
		return nil, identity.Unauthenticated(identity.ReasonPeerMalformed, err)
	}
	domain := id.TrustDomain().Name()
	e, owner := v.exact[name], ""
	if e != nil {
		owner = e.tenant
	} else if path := strings.TrimPrefix(id.Path(), "/"); path != "" {
		segments := strings.Split(path, "/")
		for _, t := range v.templates {
			if found, ok := t.match(domain, segments); ok {
				e, owner = t, found
				break
			}
		}
	}
	switch {
	case e == nil:
		return nil, identity.Unauthenticated(identity.ReasonPeerUnknown, nil)
	case !tenant.Valid(owner):
		return nil, identity.Unauthenticated(identity.ReasonTenantInvalid, nil)
	}
	return &identity.Principal{
		Kind: identity.KindMesh, Subject: name, Tenant: owner, Scopes: e.scopes, Issuer: "spiffe://" + domain, ID: name,
	}, nil
}
