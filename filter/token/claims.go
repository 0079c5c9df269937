package token

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/tenant"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

const (
	maxAudiences   = 64
	maxTokenID     = 128
	maxPointerSize = 256
)

// claims are the members of a JWT's claims set (RFC 7519, section 4), read strictly.
type claims []strictjson.Member

func parseClaims(dst []strictjson.Member, payload []byte) (claims, identity.Reason) {
	m, err := strictjson.Members(dst, payload)
	if err != nil {
		return nil, jsonReason(err, identity.ReasonTokenClaimsMalformed)
	}
	return m, ""
}

// issuer returns "iss", which is needed before anything is verified.
func (c claims) issuer() (string, identity.Reason) {
	v := strictjson.Lookup(c, "iss")
	if v.Kind() == strictjson.Absent {
		return "", identity.ReasonIssuerMissing
	}
	iss, ok := v.Text()
	if !ok {
		return "", identity.ReasonTokenClaimsMalformed
	}
	return iss, ""
}

// checkAudience wants one of the accepted audiences in "aud" (RFC 7519, section 4.1.3).
func (c claims) checkAudience(accepted []string) identity.Reason {
	v := strictjson.Lookup(c, "aud")
	switch v.Kind() {
	case strictjson.Absent:
		return identity.ReasonAudienceMissing
	case strictjson.String:
		if equalsAny(v, accepted) {
			return ""
		}
		return identity.ReasonAudienceMismatch
	case strictjson.Array:
		var buf [8]strictjson.Value
		list, _ := v.Elements(buf[:0])
		if len(list) > maxAudiences {
			return identity.ReasonTokenClaimsMalformed
		}
		found := false
		for _, e := range list {
			if e.Kind() != strictjson.String {
				return identity.ReasonTokenClaimsMalformed
			}
			found = found || equalsAny(e, accepted)
		}
		if found {
			return ""
		}
		return identity.ReasonAudienceMismatch
	}
	return identity.ReasonTokenClaimsMalformed
}

func equalsAny(v strictjson.Value, accepted []string) bool {
	for _, a := range accepted {
		if v.Equals(a) {
			return true
		}
	}
	return false
}

// checkTimes wants "exp" and bounds "nbf" and "iat" where they are there (RFC 7519,
// sections 4.1.4 to 4.1.6). It returns when the token was issued, zero if it does not say,
// and when it stops to be accepted.
func (c claims) checkTimes(now time.Time, leeway time.Duration) (issued, expires time.Time, reason identity.Reason) {
	exp, hasExp, ok := c.date("exp")
	if !ok {
		return issued, expires, identity.ReasonTokenClaimsMalformed
	}
	if !hasExp {
		return issued, expires, identity.ReasonExpiryMissing
	}
	nbf, _, ok := c.date("nbf")
	if !ok {
		return issued, expires, identity.ReasonTokenClaimsMalformed
	}
	iat, hasIAT, ok := c.date("iat")
	if !ok {
		return issued, expires, identity.ReasonTokenClaimsMalformed
	}
	latest := now.Add(leeway).Unix()
	switch {
	case !now.Before(time.Unix(exp, 0).Add(leeway)):
		return issued, expires, identity.ReasonTokenExpired
	case nbf > latest:
		return issued, expires, identity.ReasonTokenNotYetValid
	case iat > latest:
		return issued, expires, identity.ReasonTokenIssuedInFuture
	}
	if hasIAT {
		issued = time.Unix(iat, 0).UTC()
	}
	return issued, time.Unix(exp, 0).UTC(), ""
}

func (c claims) date(name string) (seconds int64, present, ok bool) {
	v := strictjson.Lookup(c, name)
	if v.Kind() == strictjson.Absent {
		return 0, false, true
	}
	seconds, ok = v.Seconds()
	return seconds, true, ok
}

// selector finds a claim by its name or, when it starts with a slash, by a JSON pointer
// (RFC 6901) through objects.
type selector []string

func newSelector(s string) (selector, bool) {
	if s == "" || len(s) > maxPointerSize {
		return nil, false
	}
	if s[0] != '/' {
		return selector{s}, true
	}
	steps := strings.Split(s[1:], "/")
	for i, step := range steps {
		for j := 0; j < len(step); j++ {
			if step[j] == '~' && (j+1 == len(step) || step[j+1] != '0' && step[j+1] != '1') {
				return nil, false
			}
		}
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
	}
	return steps, len(steps) < strictjson.MaxDepth
}

func (s selector) find(c claims) strictjson.Value {
	v := strictjson.Lookup(c, s[0])
	for _, step := range s[1:] {
		m, ok := v.Members(nil)
		if !ok {
			return strictjson.Value{}
		}
		v = strictjson.Lookup(m, step)
	}
	return v
}

// scopes reads the granted scopes from a string separated by spaces (RFC 8693, section
// 4.2) or an array of strings. None at all is no error: such a token may do little.
func scopes(v strictjson.Value) ([]string, identity.Reason) {
	var list []string
	switch v.Kind() {
	case strictjson.Absent, strictjson.Null:
		return nil, ""
	case strictjson.String:
		s, _ := v.Text()
		if strings.Count(s, " ") >= 2*identity.MaxScopes {
			return nil, identity.ReasonScopesInvalid
		}
		for part := range strings.SplitSeq(s, " ") {
			if part != "" {
				list = append(list, part)
			}
		}
	case strictjson.Array:
		var buf [16]strictjson.Value
		elements, _ := v.Elements(buf[:0])
		if len(elements) > identity.MaxScopes {
			return nil, identity.ReasonScopesInvalid
		}
		for _, e := range elements {
			s, ok := e.Text()
			if !ok {
				return nil, identity.ReasonScopesInvalid
			}
			list = append(list, s)
		}
	default:
		return nil, identity.ReasonScopesInvalid
	}
	if len(list) > identity.MaxScopes {
		return nil, identity.ReasonScopesInvalid
	}
	for _, s := range list {
		if !identity.ValidScope(s) {
			return nil, identity.ReasonScopesInvalid
		}
	}
	return identity.NormalizeScopes(slices.Clip(list)), ""
}

// principal builds the principal of a verified token and leaves in at the check that it
// came to. signed is what the signature covers.
func (i *issuer) principal(c claims, signed string, at *Stage) (*identity.Principal, identity.Reason) {
	*at = StageSubject
	subject, ok := i.subject.find(c).Text()
	if !ok || !identity.ValidSubject(subject) {
		return nil, identity.ReasonSubjectInvalid
	}
	*at = StageTenant
	name, reason := i.tenantName(c)
	if reason != "" {
		return nil, reason
	}
	*at = StageScopes
	granted, reason := scopes(i.scope.find(c))
	if reason != "" {
		return nil, reason
	}
	*at = StageRoles
	if i.role != nil {
		roles, reason := scopes(i.role.find(c))
		if reason != "" {
			return nil, identity.ReasonRolesInvalid
		}
		for _, role := range roles {
			granted = append(granted, i.cfg.Roles[role]...)
		}
		granted = identity.NormalizeScopes(slices.Clip(granted))
	}
	*at = StageBinding
	bound, reason := binding(strictjson.Lookup(c, "cnf"))
	if reason != "" {
		return nil, reason
	}
	return &identity.Principal{
		Kind: identity.KindJWT, Subject: subject, Tenant: name, Scopes: granted,
		Issuer: i.cfg.Issuer, ID: c.id(signed), Bound: bound,
	}, ""
}

// id names a token: its "jti" (RFC 7519, section 4.1.7), or where that is of no use a
// digest of what the signature covers. Not of the signature: whoever has a token can make
// another of some algorithms from it, and would so have a token with another name.
func (c claims) id(signed string) string {
	id, ok := strictjson.Lookup(c, "jti").Text()
	if !ok || len(id) > maxTokenID || !identity.ValidSubject(id) {
		digest := sha256.Sum256([]byte(signed))
		id = "sha256:" + hex.EncodeToString(digest[:8])
	}
	return id
}

// Name tells how a token that is at hand is called: its issuer, the ID that its principal
// would have, and when it expires, zero if it does not say. Nothing of it is verified. The
// error is an *identity.Error.
func Name(compact string) (issuer, id string, expires time.Time, err error) {
	if len(compact) > MaxLength {
		return "", "", time.Time{}, identity.Unauthenticated(identity.ReasonTokenTooLong, nil)
	}
	jws, reason := parseCompact(compact, formOfToken)
	if reason != "" {
		return "", "", time.Time{}, identity.Unauthenticated(reason, nil)
	}
	c, reason := parseClaims(nil, jws.payload)
	if reason == "" {
		issuer, reason = c.issuer()
	}
	if reason != "" {
		return "", "", time.Time{}, identity.Unauthenticated(reason, nil)
	}
	if exp, has, ok := c.date("exp"); has && ok {
		expires = time.Unix(exp, 0).UTC()
	}
	return issuer, c.id(jws.input), expires, nil
}

// tenantName makes the tenant of the claims that the issuer's rule names.
func (i *issuer) tenantName(c claims) (string, identity.Reason) {
	var values [tenant.MaxClaims]string
	for n, s := range i.tenantOf {
		v := s.find(c)
		if v.Kind() == strictjson.Absent || v.Kind() == strictjson.Null {
			return "", identity.ReasonTenantMissing
		}
		var ok bool
		if values[n], ok = v.Text(); !ok {
			return "", identity.ReasonTenantInvalid
		}
	}
	return i.tenant.Tenant(values[:len(i.tenantOf)])
}

// binding reads "cnf" (RFC 7800, section 3.1). A token that is bound by a method that is
// not known here is refused: to take it from whoever holds it would undo the binding.
func binding(v strictjson.Value) (b identity.Binding, reason identity.Reason) {
	if v.Kind() == strictjson.Absent {
		return b, ""
	}
	var buf [4]strictjson.Member
	m, isObject := v.Members(buf[:0])
	key, ok := confirmation(m, "jkt")
	certificate, ok2 := confirmation(m, "x5t#S256")
	if !isObject || !ok || !ok2 || key == "" && certificate == "" {
		return b, identity.ReasonConfirmation
	}
	return identity.Binding{Key: key, Certificate: certificate}, ""
}

// confirmation reads the SHA-256 of what a token is bound to, "" where there is none.
func confirmation(m []strictjson.Member, name string) (string, bool) {
	v := strictjson.Lookup(m, name)
	if v.Kind() == strictjson.Absent {
		return "", true
	}
	s, _ := v.Text()
	hash, ok := decode(s)
	return s, ok && len(hash) == sha256.Size
}
