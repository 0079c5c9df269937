package authz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/token"
)

// How a token is bound to its sender, as the policy names it.
const (
	boundByDPoP = "dpop" // RFC 9449
	boundByMTLS = "mtls" // RFC 8705
)

// senders is what a policy says about tokens that are bound to their sender.
type senders struct {
	issuers    map[string]string // issuer to how its tokens must be bound, where they must
	origin     string            // scheme and authority by which clients reach the edge; "" for what Envoy saw
	nonces     map[string]bool   // issuers whose tokens need a nonce in their proofs
	algorithms string            // of proofs, for a challenge
	some, all  bool              // whether issuers want DPoP
}

func sendersOf(p *policy.Policy) senders {
	s := senders{issuers: make(map[string]string), nonces: make(map[string]bool), algorithms: strings.Join(p.Identity.DPoP.Algorithms, " "), all: len(p.Identity.Issuers) > 0}
	for i := range p.Identity.Issuers {
		issuer := &p.Identity.Issuers[i]
		if issuer.SenderConstrained != "" {
			s.issuers[issuer.Issuer] = issuer.SenderConstrained
		}
		if issuer.DPoPNonce {
			s.nonces[issuer.Issuer] = true
		}
		dpop := issuer.SenderConstrained == boundByDPoP
		s.some, s.all = s.some || dpop, s.all && dpop
	}
	for i := range p.Routes {
		s.some = s.some || p.Routes[i].Require.SenderConstrained == boundByDPoP
	}
	if r := p.Identity.Resource; r != nil {
		if u, err := url.Parse(r.URL); err == nil {
			s.origin = u.Scheme + "://" + u.Host
		}
	}
	return s
}

// prove checks that the sender of a credential holds what it is bound to, and
// that it is bound where the issuer or the route wants that. base is the
// principal of a token or key that stands by itself, nil for a session alone.
func (c *Chain) prove(ctx context.Context, r *Request, creds identity.Credentials, base *identity.Principal, plan *plan) error {
	var bound identity.Binding
	if base != nil {
		bound = base.Bound
		if !boundBy(bound, c.senders.issuers[base.Issuer]) {
			return identity.Unauthenticated(identity.ReasonSenderUnconstrained, nil)
		}
	}
	if !boundBy(bound, plan.sender) {
		return identity.Unauthenticated(identity.ReasonSenderUnconstrained, nil)
	}
	if bound.Certificate != "" {
		if err := checkCertificate(r.Certificate, bound.Certificate); err != nil {
			return err
		}
	}
	switch {
	case bound.Key == "" && !creds.Proven:
		return nil
	case bound.Key == "":
		return identity.Unauthenticated(identity.ReasonProofUnbound, nil)
	case !creds.Proven:
		return identity.Unauthenticated(identity.ReasonProofDowngrade, nil)
	case c.deps.Proofs == nil:
		return notAccepted("tokens that are bound to a key")
	}
	want := token.Proof{Method: r.Method, URL: c.senders.target(r), Token: creds.Token, Key: bound.Key}
	if c.senders.nonces[base.Issuer] {
		if want.Nonces = c.deps.Nonces; want.Nonces == nil {
			return notAccepted("tokens whose proofs need a nonce")
		}
	}
	return c.deps.Proofs.Verify(ctx, r.Proof, want)
}

// tellNonce adds the nonce for the next proof to an answer: where one was wanting, and to
// every one that a proof with a nonce got, so that a client always has one of now (RFC
// 9449, section 8.2).
func (c *Chain) tellNonce(d *Decision) {
	if c.deps.Nonces != nil && (d.Reason == identity.ReasonProofNonce || d.proven && d.Principal != nil && c.senders.nonces[d.Principal.Issuer]) {
		d.Response = append(d.Response, headers.Header{Name: "dpop-nonce", Value: c.deps.Nonces.Current()})
	}
}

// boundBy says whether b is a binding in the way that is wanted, if any is.
func boundBy(b identity.Binding, want string) bool {
	switch want {
	case "":
		return true
	case boundByDPoP:
		return b.Key != ""
	case boundByMTLS:
		return b.Certificate != ""
	}
	return false
}

// sameBinding keeps a session from undoing what the token that it was issued to
// is bound to: it then counts beside a token with the same binding alone.
func sameBinding(held, base *identity.Principal) error {
	switch {
	case held.Bound == (identity.Binding{}):
		return nil
	case base == nil:
		return identity.Unauthenticated(identity.ReasonSenderUnconstrained, nil)
	case held.Bound != base.Bound:
		return identity.Unauthenticated(identity.ReasonSessionMismatch, nil)
	}
	return nil
}

// target is the URL of a request as its client knows it.
func (s *senders) target(r *Request) string {
	if s.origin != "" {
		return s.origin + r.Path
	}
	return r.Scheme + "://" + r.Host + r.Path
}

// checkCertificate compares the peer's certificate, as Envoy passes it on, with
// the thumbprint in a token (RFC 8705, section 3.1).
func checkCertificate(encoded, thumbprint string) error {
	der, err := derOf(encoded)
	if err != nil || der == nil {
		return identity.Unauthenticated(identity.ReasonCertificateMissing, err)
	}
	hash := sha256.Sum256(der)
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(hash[:])), []byte(thumbprint)) != 1 {
		return identity.Unauthenticated(identity.ReasonCertificateMismatch, nil)
	}
	return nil
}

var errCertificate = errors.New("the peer's certificate cannot be read")

// derOf decodes a certificate as Envoy passes it on. It is nil for none.
func derOf(encoded string) ([]byte, error) {
	if encoded == "" {
		return nil, nil
	}
	// PathUnescape, as a plus sign stands for itself.
	text, err := url.PathUnescape(encoded)
	if err != nil {
		return nil, errCertificate
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errCertificate
	}
	return block.Bytes, nil
}

// challenge is the value of WWW-Authenticate: of the scheme that the client used
// or must use, or of both while it may choose.
func (s *senders) challenge(d *Decision, code, scope, metadata string) string {
	if code == problem.InvalidToken && isProof(d.Reason) {
		code = problem.InvalidProof
		if d.Reason == identity.ReasonProofNonce {
			code = problem.UseNonce
		}
	}
	dpop := d.proven || d.sender == boundByDPoP || s.all ||
		d.Reason == identity.ReasonProofDowngrade
	var out []byte
	if !dpop {
		out = problem.AppendChallenge(nil, realm, code, scope, metadata)
		if !s.some {
			return string(out)
		}
		out = append(out, ", "...)
	}
	return string(problem.AppendDPoPChallenge(out, realm, code, scope, metadata, s.algorithms))
}

// isProof says whether a proof was refused, and not the token that it is for.
func isProof(r identity.Reason) bool {
	return strings.HasPrefix(string(r), "dpop_proof_")
}
