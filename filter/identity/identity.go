// Package identity holds what every credential is turned into (a Principal), how the
// credentials of a request are told apart (Extract), and the typed reasons for which
// any of them is refused (Error).
//
// It verifies nothing itself: packages token, apikey and session do. It is pure: no
// clock, no randomness, no globals that change, no logging.
package identity

import (
	"slices"
	"strings"
	"time"
)

// Kind says by which sort of credential a principal proved itself.
type Kind string

// The kinds of principals. A request without credentials on a route that allows it has
// the kind KindAnonymous and no tenant.
const (
	KindJWT       Kind = "jwt"
	KindAPIKey    Kind = "api_key"
	KindSession   Kind = "session"
	KindMesh      Kind = "mesh"
	KindAnonymous Kind = "anonymous"
)

// Principal is who makes a request, as proven by a credential. A Principal is shared
// between requests by the caches of the verifiers: it must not be changed.
type Principal struct {
	// Kind is the sort of credential.
	Kind Kind
	// Subject names the caller within its tenant.
	Subject string
	// Tenant owns the data that the caller may reach. It comes from the verified
	// credential alone.
	Tenant string
	// Scopes are the permissions granted, sorted, without duplicates.
	Scopes []string
	// Issuer is who issued the credential: the "iss" of a JWT, the trust domain of a peer,
	// else empty.
	Issuer string
	// ID names the credential and is safe to log: the "jti" of a JWT (may be empty),
	// the id of an API key, the id of a session, the SPIFFE ID of a peer.
	ID string
	// Agent is the agent that a session is bound to; empty for other kinds.
	Agent string
	// Origin is the credential that a session was issued to; the zero value for other
	// kinds. It has the session's Issuer and Issued.
	Origin Origin
	// Issued is when a JWT was issued ("iat") or an API key made, for a session that of the
	// credential that it was issued to; zero when that is not known.
	Issued time.Time
	// Bound is what the token is bound to; the zero value for other kinds and for a token
	// that whoever holds it may use.
	Bound Binding
	// Expires is when the credential stops to be valid; zero means never.
	Expires time.Time
}

// Origin names the credential that a session was issued to.
type Origin struct {
	// Kind is its sort, and ID its Principal.ID.
	Kind Kind
	ID   string
}

// Binding names what the sender of a token must prove to hold (RFC 7800, "cnf"). The caller
// of a verifier checks it.
type Binding struct {
	// Key is the thumbprint of the key that signs DPoP proofs ("jkt", RFC 9449, section 6).
	Key string
	// Certificate is the SHA-256 of the client's certificate ("x5t#S256", RFC 8705, section
	// 3.1), in base64url.
	Certificate string
}

// String writes the binding in the form that ParseBinding reads; "" for the zero value.
func (b Binding) String() string {
	if b == (Binding{}) {
		return ""
	}
	return b.Key + " " + b.Certificate // base64url has no spaces
}

// ParseBinding reads what String wrote.
func ParseBinding(s string) Binding {
	key, certificate, _ := strings.Cut(s, " ")
	return Binding{Key: key, Certificate: certificate}
}

// Anonymous returns the principal of a request without credentials.
func Anonymous() *Principal {
	return &Principal{Kind: KindAnonymous, Subject: "anonymous"}
}

// HasScope says whether the principal was granted the scope s.
func (p *Principal) HasScope(s string) bool {
	_, ok := slices.BinarySearch(p.Scopes, s)
	return ok
}

// NormalizeScopes sorts scopes in place, drops empty ones and duplicates, and returns
// the result, as Principal.Scopes wants it.
func NormalizeScopes(scopes []string) []string {
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if len(scopes) > 0 && scopes[0] == "" {
		scopes = scopes[1:]
	}
	return scopes
}

// Bounds on what one credential may grant. A credential beyond them is refused, so that
// a hostile or broken issuer cannot make each decision expensive.
const (
	// MaxScopes is the largest number of scopes of one principal.
	MaxScopes = 128
	// MaxScopeLength is the largest length of one scope, in bytes.
	MaxScopeLength = 128
	// MaxSubjectLength is the largest length of a subject, in bytes.
	MaxSubjectLength = 256
)

// ValidScope says whether s is a scope-token (RFC 6749, section 3.3: visible ASCII
// without the double quote and the backslash) of at most MaxScopeLength bytes.
func ValidScope(s string) bool {
	if s == "" || len(s) > MaxScopeLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// ValidSubject says whether s can name a subject: 1 to MaxSubjectLength bytes of
// printable ASCII (RFC 7519 leaves the form open; a subject is written to headers and
// logs, so control characters and non-ASCII text are not taken).
func ValidSubject(s string) bool {
	if s == "" || len(s) > MaxSubjectLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return s[0] != ' ' && s[len(s)-1] != ' '
}
