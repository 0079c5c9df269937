// Package txntoken signs and verifies the identity that the edge passes to the services
// behind it: a Txn-Token (draft-ietf-oauth-transaction-tokens), a short-lived JWT in the
// request header "Txn-Token".
//
// The edge signs with Ed25519 (RFC 8037) alone, and a Verifier accepts nothing else. The
// package stands alone, so that a service behind the edge can verify with it and link
// nothing more. It has no globals and never logs.
package txntoken

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Header is the name of the HTTP field that carries the token (the draft's section on
// HTTP requests). It occurs once.
const Header = "Txn-Token"

// MaxLength is the largest length of a token in bytes, for Sign and for Verify.
const MaxLength = 8 << 10

// Claims are what the edge says about one request.
type Claims struct {
	// ID is the transaction ("txn"): the request id. Required.
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
	return append(dst, "}}"...)
}

// wire is the claims set as it is read back. Pointers tell an absent claim from a zero.
type wire struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt *int64 `json:"iat"`
	Expires  *int64 `json:"exp"`
	ID       string `json:"txn"`
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	Context  struct {
		Tenant    string `json:"tenant"`
		Agent     string `json:"agent"`
		Kind      string `json:"kind"`
		Principal string `json:"principal"`
	} `json:"tctx"`
}

var (
	errTimes    = errors.New("iat and exp are required")
	errSubject  = errors.New("sub, aud and txn are required")
	errEncoding = errors.New("a claim is no valid UTF-8")
)

func parseClaims(payload []byte) (*Claims, error) {
	if err := checkMembers(payload); err != nil {
		return nil, err
	}
	var w wire
	if err := json.Unmarshal(payload, &w); err != nil {
		return nil, err
	}
	if w.IssuedAt == nil || w.Expires == nil {
		return nil, errTimes
	}
	if w.Subject == "" || w.Audience == "" || w.ID == "" {
		return nil, errSubject
	}
	scopes := strings.Fields(w.Scope)
	slices.Sort(scopes)
	return &Claims{
		ID: w.ID, Issuer: w.Issuer, Audience: w.Audience, Subject: w.Subject,
		Tenant: w.Context.Tenant, Agent: w.Context.Agent,
		Kind: w.Context.Kind, Principal: w.Context.Principal,
		Scopes:   slices.Compact(scopes),
		IssuedAt: time.Unix(*w.IssuedAt, 0).UTC(), Expires: time.Unix(*w.Expires, 0).UTC(),
	}, nil
}

func (c *Claims) valid() error {
	if c.Subject == "" || c.Audience == "" || c.ID == "" {
		return errSubject
	}
	for _, s := range [...]string{c.ID, c.Audience, c.Subject, c.Tenant, c.Agent, c.Kind, c.Principal} {
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

var errScope = errors.New("a scope is empty or holds white space")
