// Package session issues, renews, verifies and revokes session tokens, and serves the HTTP
// API for that in the shape of MEMANTO's (the PyPI package memanto 0.2.30).
//
// A session lets an agent work for a verified principal without carrying its credential.
// It is bound to subject, tenant, agent and the principal's scopes at issue, and may by
// design outlive a short-lived JWT that it was issued for; its own end is bounded instead
// (see Store.Activate). It never grants more than it was issued with.
//
// A token reads ms_<id>_<secret>. The secret is an HMAC of the id under a key that the
// process draws at start and never stores: nothing that is kept of a session gives its
// token away, a forged token is refused without a look-up, and a renewed session keeps its
// token. Sessions live in memory and end with the process.
//
// The package takes clock and randomness as arguments and never logs.
package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

const (
	// MaxPerAgent is the largest number of sessions of one subject for one agent. One
	// more ends the one that would expire first.
	MaxPerAgent = 32
	// MaxPerSubject is the largest number of sessions of one subject.
	MaxPerSubject = 1024
	// MaxLife bounds a session however often it is renewed, so that a lost token does not
	// work for ever. A longer time to live takes its place.
	MaxLife = 24 * time.Hour
	// MaxAgentLength is the largest length of an agent's id, in bytes.
	MaxAgentLength = 128
)

const (
	idBytes      = 12
	idLength     = idBytes * 4 / 3
	secretLength = 43 // 32 bytes in base64url
	tokenLength  = len(identity.SessionPrefix) + idLength + 1 + secretLength
	shards       = 32
	sweepEvery   = time.Minute
)

// Session is one session as it stands.
type Session struct {
	// ID names the session and is safe to log.
	ID string
	// Agent is the agent that the session is bound to.
	Agent string
	// Tenant and Subject are those of the principal that it was issued to.
	Tenant, Subject string
	// Scopes are what it grants, sorted.
	Scopes []string
	// Started is when it was issued, Expires when it ends unless it is renewed.
	Started, Expires time.Time
}

// Store holds the sessions of this process. Verify waits for no other caller but one that
// changes a session of the same shard. It is safe for concurrent use.
type Store struct {
	max    int
	now    func() time.Time
	random io.Reader
	key    []byte
	broken error // why no sessions can be issued

	shard  [shards]shard
	issued atomic.Uint64

	mu        sync.Mutex // guards what follows, and is taken before a shard's lock
	owners    map[owner]map[string]*record
	count     int
	nextSweep time.Time
}

type shard struct {
	mu      sync.RWMutex
	records map[string]*record
}

type owner struct{ tenant, subject string }

// record is a session. It does not change: a renewal puts another in its place.
type record struct {
	principal *identity.Principal
	started   time.Time
	by        credential
}

// credential is what the session was issued for.
type credential struct {
	kind identity.Kind
	id   string
}

func (r *record) session() Session {
	p := r.principal
	return Session{ID: p.ID, Agent: p.Agent, Tenant: p.Tenant, Subject: p.Subject, Scopes: p.Scopes, Started: r.started, Expires: p.Expires}
}

func (r *record) alive(now time.Time) bool { return now.Before(r.principal.Expires) }

// NewStore returns a store of at most limit sessions. It draws its key from random, which
// it also takes the ids from; if that fails, Activate returns an error.
func NewStore(limit int, now func() time.Time, random io.Reader) *Store {
	s := &Store{max: limit, now: now, random: random, key: make([]byte, 32), owners: make(map[owner]map[string]*record)}
	if _, err := io.ReadFull(random, s.key); err != nil {
		s.broken = errors.New("no randomness for the key of sessions")
	}
	for i := range s.shard {
		s.shard[i].records = make(map[string]*record)
	}
	return s
}

// token returns the token of the session called id.
func (s *Store) token(id string) string {
	h := hmac.New(sha256.New, s.key)
	_, _ = io.WriteString(h, id)
	out := make([]byte, 0, tokenLength)
	out = append(out, identity.SessionPrefix...)
	out = append(out, id...)
	out = append(out, '_')
	var sum [sha256.Size]byte
	return string(base64.RawURLEncoding.AppendEncode(out, h.Sum(sum[:0])))
}

// parse checks the form of a token and returns the session's id.
func parse(token string) (id string, ok bool) {
	const prefix = len(identity.SessionPrefix)
	if len(token) != tokenLength || token[:prefix] != identity.SessionPrefix || token[prefix+idLength] != '_' {
		return "", false
	}
	for i := prefix; i < len(token); i++ {
		switch c := token[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
	}
	return token[prefix : prefix+idLength], true
}

func (s *Store) shardOf(id string) *shard { return &s.shard[id[0]%shards] }

func (s *Store) load(id string) *record {
	if len(id) != idLength {
		return nil
	}
	sh := s.shardOf(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.records[id]
}

// Verify verifies one token and returns the session's principal, which other requests may
// share: of the kind KindSession, with the session's id, agent, scopes and expiry. Each
// error is an *identity.Error of ClassUnauthenticated.
func (s *Store) Verify(token string) (*identity.Principal, error) {
	id, ok := parse(token)
	if !ok {
		return nil, identity.Unauthenticated(identity.ReasonSessionMalformed, nil)
	}
	if s.broken != nil || subtle.ConstantTimeCompare([]byte(s.token(id)), []byte(token)) != 1 {
		return nil, identity.Unauthenticated(identity.ReasonSessionUnknown, nil)
	}
	r := s.load(id)
	if r == nil {
		return nil, identity.Unauthenticated(identity.ReasonSessionUnknown, nil)
	}
	if !r.alive(s.now()) {
		return nil, identity.Unauthenticated(identity.ReasonSessionExpired, nil)
	}
	return r.principal, nil
}

// Get returns the living session called id.
func (s *Store) Get(id string) (Session, bool) {
	r := s.load(id)
	if r == nil || !r.alive(s.now()) {
		return Session{}, false
	}
	return r.session(), true
}

// Latest returns the living session of a subject that was issued last.
func (s *Store) Latest(tenant, subject string) (Session, bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var latest *record
	for _, r := range s.owners[owner{tenant, subject}] {
		if r.alive(now) && (latest == nil || r.started.After(latest.started) || r.started.Equal(latest.started) && r.principal.ID > latest.principal.ID) {
			latest = r
		}
	}
	if latest == nil {
		return Session{}, false
	}
	return latest.session(), true
}

// Len returns the number of sessions that are held, and Issued how many ever were.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Issued returns how many sessions were issued since the start.
func (s *Store) Issued() uint64 { return s.issued.Load() }
