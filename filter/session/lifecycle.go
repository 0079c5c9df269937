package session

import (
	"encoding/base64"
	"io"
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
// is no room or no randomness.
func (s *Store) Activate(p *identity.Principal, agent string, ttl time.Duration) (string, Session, error) {
	switch {
	case s.broken != nil:
		return "", Session{}, identity.Unavailable(identity.ReasonInternal, s.broken)
	case p.Tenant == "" || p.Subject == "" || p.Kind == identity.KindAnonymous || !ValidAgent(agent) || ttl <= 0:
		return "", Session{}, identity.Forbidden(identity.ReasonSessionRefused, nil)
	case p.Agent != "" && p.Agent != agent:
		return "", Session{}, identity.Forbidden(identity.ReasonAgentMismatch, nil)
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Kind == identity.KindSession {
		return s.renew(p, ttl, now)
	}
	return s.issue(p, agent, ttl, now)
}

func (s *Store) renew(p *identity.Principal, ttl time.Duration, now time.Time) (string, Session, error) {
	old := s.load(p.ID)
	if old == nil || !old.alive(now) || old.principal.Tenant != p.Tenant || old.principal.Subject != p.Subject || old.principal.Agent != p.Agent {
		return "", Session{}, identity.Unauthenticated(identity.ReasonSessionUnknown, nil)
	}
	next := *old
	principal := *old.principal
	next.principal = &principal
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
	s.put(&next)
	return s.token(principal.ID), next.session(), nil
}

func (s *Store) issue(p *identity.Principal, agent string, ttl time.Duration, now time.Time) (string, Session, error) {
	if !now.Before(s.nextSweep) {
		s.sweep(now)
	}
	s.makeRoom(owner{p.Tenant, p.Subject}, agent)
	if s.count >= s.max {
		s.sweep(now)
		if s.count >= s.max {
			return "", Session{}, identity.Unavailable(identity.ReasonSessionCapacity, nil)
		}
	}
	var raw [idBytes]byte
	if _, err := io.ReadFull(s.random, raw[:]); err != nil {
		return "", Session{}, identity.Unavailable(identity.ReasonInternal, err)
	}
	id := base64.RawURLEncoding.EncodeToString(raw[:])
	if s.load(id) != nil {
		return "", Session{}, identity.Unavailable(identity.ReasonInternal, nil)
	}
	r := &record{
		started: now,
		by:      credential{p.Kind, p.ID},
		principal: &identity.Principal{
			Kind: identity.KindSession, Subject: p.Subject, Tenant: p.Tenant,
			Scopes: identity.NormalizeScopes(append([]string(nil), p.Scopes...)),
			Issuer: p.Issuer, ID: id, Agent: agent, Bound: p.Bound, Expires: now.Add(ttl),
		},
	}
	s.put(r)
	s.issued.Add(1)
	return s.token(id), r.session(), nil
}

// makeRoom ends sessions of o until it may have one more for agent.
func (s *Store) makeRoom(o owner, agent string) {
	all, ofAgent := s.owners[o], 0
	var first, firstOfAgent *record
	for _, r := range all {
		if first == nil || r.principal.Expires.Before(first.principal.Expires) {
			first = r
		}
		if r.principal.Agent == agent {
			ofAgent++
			if firstOfAgent == nil || r.principal.Expires.Before(firstOfAgent.principal.Expires) {
				firstOfAgent = r
			}
		}
	}
	switch {
	case ofAgent >= MaxPerAgent:
		s.remove(firstOfAgent)
	case len(all) >= MaxPerSubject:
		s.remove(first)
	}
}

// put keeps r, in the place of an older record of its session if there is one. The
// caller holds s.mu.
func (s *Store) put(r *record) {
	o := owner{r.principal.Tenant, r.principal.Subject}
	if s.owners[o] == nil {
		s.owners[o] = make(map[string]*record)
	}
	if s.owners[o][r.principal.ID] == nil {
		s.count++
	}
	s.owners[o][r.principal.ID] = r
	sh := s.shardOf(r.principal.ID)
	sh.mu.Lock()
	sh.records[r.principal.ID] = r
	sh.mu.Unlock()
}

// remove ends the session of r. The caller holds s.mu.
func (s *Store) remove(r *record) {
	o := owner{r.principal.Tenant, r.principal.Subject}
	delete(s.owners[o], r.principal.ID)
	if len(s.owners[o]) == 0 {
		delete(s.owners, o)
	}
	s.count--
	sh := s.shardOf(r.principal.ID)
	sh.mu.Lock()
	delete(sh.records, r.principal.ID)
	sh.mu.Unlock()
}

// sweep removes what has expired. The caller holds s.mu.
func (s *Store) sweep(now time.Time) {
	s.nextSweep = now.Add(sweepEvery)
	for _, all := range s.owners {
		for _, r := range all {
			if !r.alive(now) {
				s.remove(r)
			}
		}
	}
}

// Revoke ends the session called id at once and returns it.
func (s *Store) Revoke(id string) (Session, bool) {
	r := s.load(id)
	if r == nil {
		return Session{}, false
	}
	ended := s.revoke(func(r *record) bool { return r.principal.ID == id }, r)
	if len(ended) == 0 {
		return Session{}, false
	}
	return ended[0], true
}

// RevokeAgent ends the sessions of a subject for an agent, or with an empty subject those
// of all subjects of the tenant, and returns those that were living.
func (s *Store) RevokeAgent(tenant, subject, agent string) []Session {
	return s.revoke(func(r *record) bool {
		p := r.principal
		return p.Tenant == tenant && p.Agent == agent && (subject == "" || p.Subject == subject)
	}, nil)
}

// RevokeCredential ends the sessions that were issued for one credential, such as an API
// key that was revoked, and returns those that were living.
func (s *Store) RevokeCredential(kind identity.Kind, id string) []Session {
	return s.revoke(func(r *record) bool { return r.by == credential{kind, id} }, nil)
}

// revoke removes the sessions that match, looking at one owner's alone if a record of it
// is given.
func (s *Store) revoke(match func(*record) bool, of *record) []Session {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := s.owners
	if of != nil {
		o := owner{of.principal.Tenant, of.principal.Subject}
		owners = map[owner]map[string]*record{o: s.owners[o]}
	}
	var ended []Session
	for _, all := range owners {
		for _, r := range all {
			if !match(r) {
				continue
			}
			s.remove(r)
			if r.alive(now) {
				ended = append(ended, r.session())
			}
		}
	}
	return ended
}
