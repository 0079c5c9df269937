package token

import (
	"context"
	"strconv"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// Stage names one check of a token.
type Stage string

// The stages, in the order in which Verify goes through them. The issuer comes before the
// algorithm and the key, since these are the issuer's.
const (
	StageForm      Stage = "form"      // three parts in strict base64url
	StageHeader    Stage = "header"    // the JOSE header and what it asks for
	StageClaims    Stage = "claims"    // the payload is one JSON object
	StageIssuer    Stage = "issuer"    // "iss" is a configured issuer
	StageType      Stage = "type"      // "typ" is that of an access token
	StageAlgorithm Stage = "algorithm" // "alg" is on the issuer's list
	StageKey       Stage = "key"       // the issuer has the key that "kid" names
	StageSignature Stage = "signature"
	StageAudience  Stage = "audience"
	StageTimes     Stage = "times" // "exp", "nbf" and "iat"
	StageSubject   Stage = "subject"
	StageTenant    Stage = "tenant"
	StageScopes    Stage = "scopes"
	StageRoles     Stage = "roles"
	StageBinding   Stage = "binding" // "cnf" names what the sender must prove to hold
)

var stages = [...]Stage{
	StageForm, StageHeader, StageClaims, StageIssuer, StageType, StageAlgorithm, StageKey,
	StageSignature, StageAudience, StageTimes, StageSubject, StageTenant, StageScopes, StageRoles,
	StageBinding,
}

// Result is the outcome of one stage.
type Result uint8

// The outcomes of a stage.
const (
	NotReached Result = iota
	Passed
	Refused
)

// Step is what one stage found.
type Step struct {
	Stage  Stage
	Result Result
	// Note is what the token says or why it was refused, for an operator: members of header
	// and claims, quoted and cut, and never the token or its signature.
	Note string
}

// Explain verifies a token as Verify does, past the cache, and tells what each stage
// found; the error is that of Verify.
func (v *Verifier) Explain(ctx context.Context, compact string) ([]Step, *identity.Principal, error) {
	now := v.now()
	var at Stage
	var p *identity.Principal
	e, err := v.verify(ctx, compact, now, &at)
	if err == nil {
		p = e.principal
	}
	notes := v.notes(compact, now, p)
	out := make([]Step, len(stages))
	result := Passed
	// What no issuer can accept is refused with the header, before there is an issuer.
	early := at == StageAlgorithm && identity.ReasonOf(err) != identity.ReasonAlgorithmNotAllowed
	for n, stage := range stages {
		if early && (stage == StageClaims || stage == StageIssuer || stage == StageType) {
			out[n].Stage = stage
			continue
		}
		if err != nil && stage == at {
			out[n] = Step{stage, Refused, refusal(err, notes[stage])}
			result = NotReached
			continue
		}
		out[n] = Step{Stage: stage, Result: result}
		if result == Passed {
			out[n].Note = notes[stage]
		}
	}
	return out, p, err
}

func refusal(err error, note string) string {
	s := err.Error()
	if note != "" {
		s += " (" + note + ")"
	}
	return s
}

// stageOfCompact is the stage that parseCompact refuses in.
func stageOfCompact(r identity.Reason) Stage {
	switch r {
	case identity.ReasonTokenTooLong, identity.ReasonTokenNotCompact, identity.ReasonTokenBase64, identity.ReasonTokenEncrypted:
		return StageForm
	case identity.ReasonAlgorithmMissing, identity.ReasonAlgorithmNone, identity.ReasonAlgorithmSymmetric:
		return StageAlgorithm
	}
	return StageHeader
}

// notes says for each stage what the token and the configuration have for it. It reads the
// token without trust.
func (v *Verifier) notes(token string, now time.Time, p *identity.Principal) map[Stage]string {
	n := map[Stage]string{StageForm: strconv.Itoa(len(token)) + " bytes"}
	jws, reason := parseCompact(token, formOfToken)
	if reason != "" {
		return n
	}
	h := &jws.header
	if h.typ != "" {
		n[StageType] = quote(h.typ)
	}
	n[StageAlgorithm] = quote(h.algorithm)
	n[StageKey] = "no key id"
	if h.hasKeyID {
		n[StageKey] = quote(h.keyID)
	}
	c, reason := parseClaims(nil, jws.payload)
	if reason != "" {
		return n
	}
	n[StageIssuer] = describe(strictjson.Lookup(c, "iss"))
	n[StageAudience] = describe(strictjson.Lookup(c, "aud"))
	n[StageTimes] = times(c, now)
	name, _ := c.issuer()
	i := v.issuers[name]
	if i == nil {
		return n
	}
	n[StageAlgorithm] += ", accepted: " + list(i.cfg.Algorithms)
	n[StageAudience] += ", accepted: " + list(i.cfg.Audiences)
	n[StageSubject] = describe(i.subject.find(c))
	n[StageTenant] = i.tenantNote(c, p)
	n[StageScopes] = describe(i.scope.find(c))
	n[StageBinding] = "none: whoever holds the token may use it"
	if b, reason := binding(strictjson.Lookup(c, "cnf")); b.Key != "" {
		n[StageBinding] = "the key with the thumbprint " + quote(b.Key)
	} else if b.Certificate != "" {
		n[StageBinding] = "the certificate with the thumbprint " + quote(b.Certificate)
	} else if reason != "" {
		n[StageBinding] = "neither jkt nor x5t#S256"
	}
	n[StageRoles] = "the issuer names none"
	if i.role != nil {
		n[StageRoles] = describe(i.role.find(c))
		if p != nil {
			n[StageRoles] += ", all scopes: " + list(p.Scopes)
		}
	}
	return n
}

// tenantNote shows the claims of which the tenant is made, and the tenant where it is not
// the claim itself.
func (i *issuer) tenantNote(c claims, p *identity.Principal) string {
	rule := &i.cfg.Tenant
	if rule.Value != "" {
		return quote(rule.Value)
	}
	if rule.Claim != "" && rule.Map == nil {
		return describe(i.tenantOf[0].find(c))
	}
	s := ""
	for n, name := range i.tenant.Claims() {
		if n > 0 {
			s += ", "
		}
		s += quote(name) + " is " + describe(i.tenantOf[n].find(c))
	}
	if p != nil {
		s += ", tenant: " + quote(p.Tenant)
	}
	return s
}

// times shows the dates of a token beside the clock.
func times(c claims, now time.Time) string {
	s := "now " + now.UTC().Format(time.RFC3339)
	for _, name := range [...]string{"iat", "nbf", "exp"} {
		if seconds, present, ok := c.date(name); present && ok {
			s += ", " + name + " " + time.Unix(seconds, 0).UTC().Format(time.RFC3339)
		} else if present {
			s += ", " + name + " is no date"
		}
	}
	return s
}

// maxNote bounds what is shown of one member, in bytes.
const maxNote = 200

// quote shows a text that is not trusted on a terminal.
func quote(s string) string {
	if len(s) > maxNote {
		return strconv.QuoteToASCII(s[:maxNote]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

func list(values []string) string {
	s := ""
	for i, v := range values {
		if i > 0 {
			s += " "
		}
		if s += quote(v); len(s) > 2*maxNote {
			return s + " …"
		}
	}
	return s
}

// describe shows a member: texts and lists of texts, and of others that they are others.
func describe(v strictjson.Value) string {
	switch v.Kind() {
	case strictjson.Absent:
		return "absent"
	case strictjson.String:
		s, _ := v.Text()
		return quote(s)
	case strictjson.Array:
		elements, _ := v.Elements(nil)
		var texts []string
		for _, e := range elements {
			s, ok := e.Text()
			if !ok {
				return "a list that holds other than texts"
			}
			texts = append(texts, s)
		}
		return "[" + list(texts) + "]"
	}
	return "neither a text nor a list"
}
