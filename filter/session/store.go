// Package session issues, renews, verifies and revokes session tokens, and serves the HTTP
// API for that in the shape of MEMANTO's (the PyPI package memanto 0.2.30).
//
// A session lets an agent work for a verified principal without carrying its credential.
// It is bound to subject, tenant, agent and the principal's scopes at issue, and may by
// design outlive a short-lived JWT that it was issued for; its own end is bounded instead
// (see Store.Activate). It never grants more than it was issued with.
//
// A token reads ms_<id>_<secret>. The secret is an HMAC of the id under a key that is not
// kept with the sessions: nothing that is kept of a session gives its token away, a forged
// token is refused without a look-up, and a renewed session keeps its token.
//
// Sessions live in memory and end with the process ([NewStore]), or in a [Backend] that
// outlives it and that other processes may share ([NewShared]).
//
// The package takes clock and randomness as arguments and never logs.
package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"sync"
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
	// MinKey is the smallest length of the key of shared sessions, in bytes.
	MinKey = 32
)

const (
	idBytes      = 12
	idLength     = idBytes * 4 / 3
	secretLength = 43 // 32 bytes in base64url
	tokenLength  = len(identity.SessionPrefix) + idLength + 1 + secretLength
	stripes      = 64
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

// Store issues, renews, verifies and revokes sessions. It is safe for concurrent use.
type Store struct {
	max    int
	now    func() time.Time
	random io.Reader
	key    []byte
	broken error // why no sessions can be issued
	keep   keeper
	remote *remote // what keep is, if it is one

	// One subject's sessions change one at a time in this process.
	seed   maphash.Seed
	stripe [stripes]sync.Mutex
}

// keeper is where a Store has its sessions. What expired may still be there.
type keeper interface {
	// load returns a session, maybe a copy that is known to be as good; errUnknown and
	// errRevoked are among the errors. latest is load that does not take a copy.
	load(ctx context.Context, id string) (*record, error)
	latest(ctx context.Context, id string) (*record, error)
	of(ctx context.Context, owner string) ([]*record, error)
	insert(ctx context.Context, r *record, limit int) error
	// replace reports false when old is not there as it was any more.
	replace(ctx context.Context, old, next *record) (bool, error)
	end(ctx context.Context, ids ...string) ([]string, error)
	len(ctx context.Context) (int, error)
}

// NewStore returns a store of at most limit sessions, in memory. It draws its key from
// random, which it also takes the ids from; if that fails, Activate returns an error.
func NewStore(limit int, now func() time.Time, random io.Reader) *Store {
	s := &Store{max: limit, now: now, random: random, key: make([]byte, MinKey), keep: newMemory(now), seed: maphash.MakeSeed()}
	if _, err := io.ReadFull(random, s.key); err != nil {
		s.broken = errors.New("no randomness for the key of sessions")
	}
	return s
}

// Shared configures a store whose sessions are in a [Backend].
type Shared struct {
	Backend Backend
	// Key is a secret of at least MinKey bytes, the same in each process that shares the
	// sessions, and not to be found where they are.
	Key []byte
	// Max is how many sessions there are at most.
	Max int
	// Down says whether the backend is known not to answer, so that no request waits for
	// it.
	Down   func() bool
	Now    func() time.Time
	Random io.Reader
}

// ErrKey is returned for a key that is too short.
var ErrKey = errors.New("session: the key of sessions has less than 32 bytes")

// NewShared returns a store of sessions that are kept elsewhere. It must be told of what
// ends and changes there, by Ended, Changed and Forget: until then it goes by what it
// knows.
func NewShared(c Shared) (*Store, error) {
	if len(c.Key) < MinKey {
		return nil, ErrKey
	}
	m := &remote{backend: c.Backend, key: derive(c.Key, "memgate session record v1"), now: c.Now, down: c.Down, copies: newCopies(maxCopies)}
	return &Store{
		max: c.Max, now: c.Now, random: c.Random, key: derive(c.Key, "memgate session token v1"),
		keep: m, remote: m, seed: maphash.MakeSeed(),
	}, nil
}

func derive(key []byte, purpose string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, purpose)
	return h.Sum(nil)
}

// Ended takes note that the session called id was revoked by another process.
func (s *Store) Ended(id string) {
	if s.remote != nil && id != "" {
		s.remote.copies.drop(id, &held{revoked: true, until: s.now().Add(gone)})
	}
}

// Changed takes note that the session called id was changed by another process.
func (s *Store) Changed(id string) {
	if s.remote != nil && id != "" {
		s.remote.copies.drop(id, nil)
	}
}

// Forget makes the store ask again for all that it knows.
func (s *Store) Forget() {
	if s.remote != nil {
		s.remote.copies.forget()
	}
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
	if len(token) != tokenLength || token[:prefix] != identity.SessionPrefix || token[prefix+idLength] != '_' || !isBase64(token[prefix:]) {
		return "", false
	}
	return token[prefix : prefix+idLength], true
}

func isBase64(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// ValidID says whether id can be that of a session.
func ValidID(id string) bool { return len(id) == idLength && isBase64(id) }

// Verify verifies one token and returns the session's principal, which other requests may
// share: of the kind KindSession, with the session's id, agent, scopes and expiry. Each
// error is an *identity.Error: of ClassUnauthenticated, or of ClassUnavailable when the
// session is not known here and cannot be asked for.
func (s *Store) Verify(ctx context.Context, token string) (*identity.Principal, error) {
	id, ok := parse(token)
	if !ok {
		return nil, identity.Unauthenticated(identity.ReasonSessionMalformed, nil)
	}
	if s.broken != nil || subtle.ConstantTimeCompare([]byte(s.token(id)), []byte(token)) != 1 {
		return nil, identity.Unauthenticated(identity.ReasonSessionUnknown, nil)
	}
	r, err := s.keep.load(ctx, id)
	if err != nil {
		return nil, reasonOf(err)
	}
	if !r.alive(s.now()) {
		return nil, identity.Unauthenticated(identity.ReasonSessionExpired, nil)
	}
	return r.principal, nil
}

// Get returns the living session called id. The error says that it is not known whether
// there is one.
func (s *Store) Get(ctx context.Context, id string) (Session, bool, error) {
	if !ValidID(id) {
		return Session{}, false, nil
	}
	r, err := s.keep.load(ctx, id)
	if err = reasonOf(err); err != nil {
		return Session{}, false, ifUnavailable(err)
	}
	if !r.alive(s.now()) {
		return Session{}, false, nil
	}
	return r.session(), true, nil
}

// ifUnavailable returns err if it says that something is not known.
func ifUnavailable(err error) error {
	if identity.IsUnavailable(err) {
		return err
	}
	return nil
}

// Latest returns the living session of a subject that was issued last. The error says that
// it is not known whether there is one.
func (s *Store) Latest(ctx context.Context, tenant, subject string) (Session, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	all, err := s.keep.of(ctx, ownerOf(tenant, subject))
	if err != nil {
		return Session{}, false, reasonOf(err)
	}
	now := s.now()
	var latest *record
	for _, r := range all {
		if r.alive(now) && (latest == nil || r.started.After(latest.started) || r.started.Equal(latest.started) && r.principal.ID > latest.principal.ID) {
			latest = r
		}
	}
	if latest == nil {
		return Session{}, false, nil
	}
	return latest.session(), true, nil
}

// All returns living sessions, those that expire last first, at most limit. In memory
// there is no order of all, and it returns none.
func (s *Store) All(ctx context.Context, limit int) ([]Session, error) {
	if s.remote == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	all, err := s.remote.backend.All(ctx, limit)
	if err != nil {
		return nil, reasonOf(err)
	}
	now := s.now()
	var out []Session
	for _, r := range s.remote.unsealAll(all, func(r *record) bool { return r.alive(now) }) {
		out = append(out, r.session())
	}
	return out, nil
}

// Failures returns how often the place where sessions are kept did not do what it was
// asked.
func (s *Store) Failures() uint64 {
	if s.remote == nil {
		return 0
	}
	return s.remote.failures.Load()
}

// Len returns the number of sessions that are held; some may have expired.
func (s *Store) Len(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	n, err := s.keep.len(ctx)
	if err != nil {
		return 0, reasonOf(err)
	}
	return n, nil
}
