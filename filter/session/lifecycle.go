package session

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// ValidAgent says whether s can be an agent's id: 1 to MaxAgentLength letters, digits,
// hyphens and underscores, as MEMANTO has it.
func ValidAgent(s string) bool {
	if s == "" || len(s) > MaxAgentLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// Activate issues a session for p on an agent, living for ttl, and returns its token.
//
// When p is itself the principal of a session, that one is renewed instead: it lives for
// ttl from now, its token and id stay the same, and it keeps those of its scopes that p
// still has. No renewal takes it beyond MaxLife from its start (or ttl, if that is more):
// then the credential is needed again. A session for another agent is not issued to a
// session.
//
// The errors are *identity.Error: of ClassForbidden for a caller that cannot have a
// session, ClassUnauthenticated for a session that has ended, ClassUnavailable when there
// is no room or no randomness, or where sessions are kept does not answer.
func (s *Store) Activate(ctx context.Context, p *identity.Principal, agent string, ttl time.Duration) (string, Session, error) {
	switch {
	case s.broken != nil:
		return "", Session{}, identity.Unavailable(identity.ReasonInternal, s.broken)
	case p.Tenant == "" || p.Subject == "" || p.Kind == identity.KindAnonymous || !ValidAgent(agent) || ttl <= 0:
		return "", Session{}, identity.Forbidden(identity.ReasonSessionRefused, nil)
	case p.Agent != "" && p.Agent != agent:
		return "", Session{}, identity.Forbidden(identity.ReasonAgentMismatch, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	stripe := &s.stripe[maphash.String(s.seed, ownerOf(p.Tenant, p.Subject))%stripes]
	stripe.Lock()
	defer stripe.Unlock()
	now := s.now().UTC().Truncate(time.Microsecond)
	if p.Kind == identity.KindSession {
		return s.renew(ctx, p, ttl, now)
	}
	return s.issue(ctx, p, agent, ttl, now)
}

// renewals is how often a renewal is tried that others come before.
const renewals = 3

func (s *Store) renew(ctx context.Context, p *identity.Principal, ttl time.Duration, now time.Time) (string, Session, error) {
	unknown := identity.Unauthenticated(identity.ReasonSessionUnknown, nil)
	if !ValidID(p.ID) {
		return "", Session{}, unknown
	}
	for range renewals {
		old, err := s.keep.latest(ctx, p.ID)
		if err != nil {
			return "", Session{}, reasonOf(err)
		}
		if !old.alive(now) || old.principal.Tenant != p.Tenant || old.principal.Subject != p.Subject || old.principal.Agent != p.Agent {
			return "", Session{}, unknown
		}
		next := renewed(old, p, ttl, now)
		done, err := s.keep.replace(ctx, old, next)
		if err != nil {
			return "", Session{}, reasonOf(err)
		}
		if done {
			return s.token(p.ID), next.session(), nil
		}
	}
	return "", Session{}, identity.Unavailable(identity.ReasonStateUnavailable, errors.New("a session changes all the time"))
}

// renewed is old as p renews it at now.
func renewed(old *record, p *identity.Principal, ttl time.Duration, now time.Time) *record {
	principal := *old.principal
	principal.Scopes = nil
	for _, scope := range old.principal.Scopes {
		if p.HasScope(scope) {
			principal.Scopes = append(principal.Scopes, scope)
		}
	}
	end := now.Add(ttl)
	if last := old.started.Add(max(MaxLife, ttl)); end.After(last) {
		end = last
	}
	if end.After(principal.Expires) {
		principal.Expires = end
	}
	return &record{principal: &principal, started: old.started}
}

func (s *Store) issue(ctx context.Context, p *identity.Principal, agent string, ttl time.Duration, now time.Time) (string, Session, error) {
	all, err := s.keep.of(ctx, ownerOf(p.Tenant, p.Subject))
	if err != nil {
		return "", Session{}, reasonOf(err)
	}
	if surplus := surplus(all, agent, now); len(surplus) > 0 {
		if _, err := s.keep.end(ctx, surplus...); err != nil {
			return "", Session{}, reasonOf(err)
		}
	}
	var raw [idBytes]byte
	if _, err := io.ReadFull(s.random, raw[:]); err != nil {
		return "", Session{}, identity.Unavailable(identity.ReasonInternal, err)
	}
	raw[0] &= 0x7f // an id that begins with a hyphen would look like a flag on a command line
	id := base64.RawURLEncoding.EncodeToString(raw[:])
	r := &record{
		started: now,
		principal: &identity.Principal{
			Kind: identity.KindSession, Subject: p.Subject, Tenant: p.Tenant,
			Scopes: identity.NormalizeScopes(append([]string(nil), p.Scopes...)),
			Issuer: p.Issuer, Issued: p.Issued, Origin: identity.Origin{Kind: p.Kind, ID: p.ID},
			ID: id, Agent: agent, Bound: p.Bound, Expires: now.Add(ttl),
		},
	}
	switch err := s.keep.insert(ctx, r, s.max); {
	case errors.Is(err, ErrFull):
		return "", Session{}, identity.Unavailable(identity.ReasonSessionCapacity, nil)
	case errors.Is(err, ErrTaken):
		return "", Session{}, identity.Unavailable(identity.ReasonInternal, err)
	case err != nil:
		return "", Session{}, reasonOf(err)
	}
	return s.token(id), r.session(), nil
}

// surplus returns the ids of the sessions of a subject that make room for one more for
// agent: those that would expire first.
func surplus(all []*record, agent string, now time.Time) (ids []string) {
	all = slices.DeleteFunc(all, func(r *record) bool { return !r.alive(now) })
	slices.SortFunc(all, func(a, b *record) int { return a.principal.Expires.Compare(b.principal.Expires) })
	ofAgent := 0
	for _, r := range all {
		if r.principal.Agent == agent {
			ofAgent++
		}
	}
	left := len(all)
	for _, r := range all {
		if r.principal.Agent == agent && ofAgent >= MaxPerAgent {
			ids, ofAgent, left = append(ids, r.principal.ID), ofAgent-1, left-1
		}
	}
	for _, r := range all {
		if left >= MaxPerSubject && !slices.Contains(ids, r.principal.ID) {
			ids, left = append(ids, r.principal.ID), left-1
		}
	}
	return ids
}

// Revoke ends the session called id at once, and says whether there was one.
func (s *Store) Revoke(ctx context.Context, id string) (bool, error) {
	if !ValidID(id) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	ended, err := s.keep.end(ctx, id)
	if err != nil {
		return false, reasonOf(err)
	}
	return len(ended) > 0, nil
}

// RevokeAgent ends the sessions of a subject for an agent, and returns those that were
// living.
func (s *Store) RevokeAgent(ctx context.Context, tenant, subject, agent string) ([]Session, error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	all, err := s.keep.of(ctx, ownerOf(tenant, subject))
	if err != nil {
		return nil, reasonOf(err)
	}
	var ids []string
	for _, r := range all {
		if r.principal.Agent == agent {
			ids = append(ids, r.principal.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if ids, err = s.keep.end(ctx, ids...); err != nil {
		return nil, reasonOf(err)
	}
	now := s.now()
	var ended []Session
	for _, r := range all {
		if r.alive(now) && slices.Contains(ids, r.principal.ID) {
			ended = append(ended, r.session())
		}
	}
	return ended, nil
}
