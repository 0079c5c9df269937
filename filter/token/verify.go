package token

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// Verify verifies one JWT in compact form and returns its principal, which other requests
// may share. Each error is an *identity.Error: of ClassUnauthenticated when the token is
// wrong, of ClassUnavailable when its issuer's keys are not at hand or too old.
//
// Verify waits for at most one reading of the issuer's keys, until ctx ends or three
// quarters of a second have passed, and only if the token names a key that is not known.
func (v *Verifier) Verify(ctx context.Context, compact string) (*identity.Principal, error) {
	if len(compact) > MaxLength {
		return nil, identity.Unauthenticated(identity.ReasonTokenTooLong, nil)
	}
	var room [1024]byte // keeps most tokens off the heap
	digest := sha256.Sum256(append(room[:0], compact...))
	now := v.now()
	if e := v.cache.get(&digest, now); e != nil {
		if err := e.issuer.keys.fresh(now); err != nil {
			return nil, err
		}
		return e.principal, nil
	}
	var at Stage
	e, err := v.verify(ctx, compact, now, &at)
	if err != nil {
		return nil, err
	}
	v.cache.put(&digest, e, now)
	return e.principal, nil
}

// verify goes through the checks in their order and leaves in at the one that it came to.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time, at *Stage) (*entry, error) {
	*at = StageForm
	jws, reason := parseCompact(token, formOfToken)
	if reason != "" {
		*at = stageOfCompact(reason)
		return nil, identity.Unauthenticated(reason, nil)
	}
	*at = StageClaims
	var buf [24]strictjson.Member
	c, reason := parseClaims(buf[:0], jws.payload)
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	*at = StageIssuer
	name, reason := c.issuer()
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	i := v.issuers[name]
	if i == nil {
		return nil, identity.Unauthenticated(identity.ReasonIssuerUnknown, nil)
	}
	*at = StageType
	if !i.acceptsType(jws.header.typ) {
		return nil, identity.Unauthenticated(identity.ReasonTokenType, nil)
	}
	*at = StageAlgorithm
	a := i.algorithms[jws.header.algorithm]
	if a == nil {
		return nil, identity.Unauthenticated(identity.ReasonAlgorithmNotAllowed, nil)
	}
	*at = StageKey
	k, err := i.keys.find(ctx, &jws.header, a)
	if err != nil {
		return nil, err
	}
	*at = StageSignature
	if reason := a.verify(k, []byte(jws.input), jws.signature); reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	*at = StageAudience
	if reason := c.checkAudience(i.cfg.Audiences); reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	*at = StageTimes
	issued, expires, reason := c.checkTimes(now, i.cfg.Leeway)
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	p, reason := i.principal(c, jws.input, at)
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	p.Issued, p.Expires = issued, expires
	return &entry{principal: p, issuer: i, key: k, until: expires.Add(i.cfg.Leeway).Unix()}, nil
}

func (i *issuer) acceptsType(typ string) bool {
	typ = mediaType(typ)
	if i.typ != "" {
		return strings.EqualFold(typ, i.typ)
	}
	return typ == "" || strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "at+jwt")
}
