// Package txntoken signs and verifies the identity that the edge passes to the services
// behind it: a Txn-Token (draft-ietf-oauth-transaction-tokens), a short-lived JWT in the
// request header "Txn-Token".
//
// The edge signs with Ed25519 (RFC 8037) alone, and a Verifier accepts nothing else. The
// package stands alone, so that a service behind the edge can verify with it and link
// nothing more. It has no globals and never logs.
package txntoken

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// Header is the name of the HTTP field that carries the token (the draft's section on
// HTTP requests). It occurs once.
const Header = "Txn-Token"

// MaxLength is the largest length of a token in bytes, for Sign and for Verify.
const MaxLength = 8 << 10

// Claims are what the edge says about one request.
type Claims struct {
	// ID is the transaction ("txn"): the id of the request that the token was signed for,
	// which may serve others. Required.
	ID string
	// Issuer is the edge ("iss"). Sign sets it, Verify checks it.
	Issuer string
	// Audience is the one service that the token is for ("aud"). Required.
	Audience string
	// Subject is the caller ("sub"). Required.
	Subject string
	// Tenant owns the data that the request may reach ("tctx.tenant").
	Tenant string
	// Agent is the agent that the request is bound to, or empty ("tctx.agent").
	Agent string
	// Kind is the sort of credential that the caller proved itself by ("tctx.kind").
	Kind string
	// Principal is the id of that credential, safe to log ("tctx.principal").
	Principal string
	// Trust is how far what the caller says is believed, "trusted" or "unconfirmed", or
	// empty where that was not decided ("tctx.trust").
	Trust string
	// Bound is what the credential is bound to and its sender has proven to hold, or empty
	// ("tctx.bound"). The edge alone reads it.
	Bound string
	// PrincipalIssuer and PrincipalIssued are who issued that credential, and when, where
	// that is known ("tctx.issuer", "tctx.issued", in whole seconds). The edge alone reads
	// them.
	PrincipalIssuer string
	PrincipalIssued time.Time
	// Scopes are the caller's permissions, sorted ("scope").
	Scopes []string
	// IssuedAt and Expires bound the token's life ("iat", "exp"), in whole seconds. Sign
	// sets them, Verify checks them.
	IssuedAt, Expires time.Time
}

// HasScope says whether the token grants the scope s.
func (c *Claims) HasScope(s string) bool {
	_, ok := slices.BinarySearch(c.Scopes, s)
	return ok
}

// appendJSON writes the claims set: the registered claims, then the draft's "txn",
// "scope", "req_wl" (the workload that asked for the token: the edge itself) and "tctx"
// (the context of the transaction, which no service may change).
func (c *Claims) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"iss":`...)
	dst = appendString(dst, c.Issuer)
	dst = append(dst, `,"aud":`...)
	dst = appendString(dst, c.Audience)
	dst = append(dst, `,"iat":`...)
	dst = appendInt(dst, c.IssuedAt.Unix())
	dst = append(dst, `,"exp":`...)
	dst = appendInt(dst, c.Expires.Unix())
	dst = append(dst, `,"txn":`...)
	dst = appendString(dst, c.ID)
	dst = append(dst, `,"sub":`...)
	dst = appendString(dst, c.Subject)
	dst = append(dst, `,"scope":"`...)
	for i, s := range c.Scopes {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendEscaped(dst, s)
	}
	dst = append(dst, `","req_wl":`...)
	dst = appendString(dst, c.Issuer)
	dst = append(dst, `,"tctx":{"tenant":`...)
	dst = appendString(dst, c.Tenant)
	if c.Agent != "" {
		dst = append(dst, `,"agent":`...)
		dst = appendString(dst, c.Agent)
	}
	dst = append(dst, `,"kind":`...)
	dst = appendString(dst, c.Kind)
	dst = append(dst, `,"principal":`...)
	dst = appendString(dst, c.Principal)
	if c.Trust != "" {
		dst = append(dst, `,"trust":`...)
		dst = appendString(dst, c.Trust)
	}
	if c.Bound != "" {
		dst = append(dst, `,"bound":`...)
		dst = appendString(dst, c.Bound)
	}
	if c.PrincipalIssuer != "" {
		dst = append(dst, `,"issuer":`...)
		dst = appendString(dst, c.PrincipalIssuer)
	}
	if !c.PrincipalIssued.IsZero() {
		dst = append(dst, `,"issued":`...)
		dst = appendInt(dst, c.PrincipalIssued.Unix())
	}
	return append(dst, "}}"...)
}

var (
	errTimes     = errors.New("iat and exp are required")
	errSubject   = errors.New("sub, aud and txn are required")
	errClaimType = errors.New("a claim is of the wrong type")
	errScope     = errors.New("a scope is empty or holds white space")
	errEncoding  = errors.New("a claim is no valid UTF-8")
)

// parseClaims reads back what appendJSON writes. Claims that it does not know are passed
// over, as RFC 7519, section 4 has it.
func parseClaims(payload []byte) (*Claims, error) {
	var buf [16]strictjson.Member
	m, err := strictjson.Members(buf[:0], payload)
	if err != nil {
		return nil, err
	}
	iat, hasIAT := strictjson.Lookup(m, "iat").Seconds()
	exp, hasExp := strictjson.Lookup(m, "exp").Seconds()
	if !hasIAT || !hasExp {
		return nil, errTimes
	}
	var nested [8]strictjson.Member
	tctx := strictjson.Lookup(m, "tctx")
	context, ok := tctx.Members(nested[:0])
	if !ok && tctx.Kind() != strictjson.Absent {
		return nil, errClaimType
	}
	r := textReader{ok: true}
	scope := r.text(m, "scope")
	c := &Claims{
		ID: r.text(m, "txn"), Issuer: r.text(m, "iss"), Audience: r.text(m, "aud"),
		Subject: r.text(m, "sub"), Tenant: r.text(context, "tenant"), Agent: r.text(context, "agent"),
		Kind: r.text(context, "kind"), Principal: r.text(context, "principal"), Bound: r.text(context, "bound"),
		Trust:           r.text(context, "trust"),
		PrincipalIssuer: r.text(context, "issuer"),
		IssuedAt:        time.Unix(iat, 0).UTC(), Expires: time.Unix(exp, 0).UTC(),
	}
	if issued := strictjson.Lookup(context, "issued"); issued.Kind() != strictjson.Absent {
		seconds, ok := issued.Seconds()
		r.ok = r.ok && ok
		c.PrincipalIssued = time.Unix(seconds, 0).UTC()
	}
	if !r.ok {
		return nil, errClaimType
	}
	if c.Subject == "" || c.Audience == "" || c.ID == "" {
		return nil, errSubject
	}
	if scope != "" {
		c.Scopes = strings.Fields(scope)
		slices.Sort(c.Scopes)
		c.Scopes = slices.Compact(c.Scopes)
	}
	return c, nil
}

// textReader reads members that are text where they are there at all.
type textReader struct{ ok bool }

func (r *textReader) text(m []strictjson.Member, name string) string {
	v := strictjson.Lookup(m, name)
	s, ok := v.Text()
	r.ok = r.ok && (ok || v.Kind() == strictjson.Absent)
	return s
}

func (c *Claims) valid() error {
	if c.Subject == "" || c.Audience == "" || c.ID == "" {
		return errSubject
	}
	for _, s := range [...]string{c.ID, c.Audience, c.Subject, c.Tenant, c.Agent, c.Kind, c.Principal, c.Trust, c.Bound, c.PrincipalIssuer} {
		if !utf8.ValidString(s) {
			return errEncoding
		}
	}
	for _, s := range c.Scopes {
		if s == "" || strings.ContainsAny(s, " \t\r\n\v\f") || !utf8.ValidString(s) {
			return errScope
		}
	}
	return nil
}
