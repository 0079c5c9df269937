package session

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// Backend keeps sessions where they outlive the process and other processes find them. It
// does not understand what it keeps: Data is sealed. Each change is complete or has not
// happened, and whoever else has copies of sessions is told of those that ended. It is
// safe for concurrent use, and waits no longer than its context says.
type Backend interface {
	// Insert keeps a new session. The error is [ErrFull] when limit are kept that have not
	// expired, and [ErrTaken] when there is one of its ID.
	Insert(ctx context.Context, s Stored, limit int) error
	// Replace puts next in the place of the session of its ID, if that is still as old
	// says; if not it reports false. With tell, others forget their copies.
	Replace(ctx context.Context, old []byte, next Stored, tell bool) (bool, error)
	// Load returns the Data of a session, or nil if there is none.
	Load(ctx context.Context, id string) ([]byte, error)
	// Of returns the Data of all sessions of an owner.
	Of(ctx context.Context, owner string) ([][]byte, error)
	// All returns the Data of sessions of all owners, those that expire last first, at
	// most limit.
	All(ctx context.Context, limit int) ([][]byte, error)
	// End ends sessions and returns the ids of those that there were.
	End(ctx context.Context, ids ...string) ([]string, error)
	// Len returns how many have not expired.
	Len(ctx context.Context) (int, error)
}

// Stored is a session as a [Backend] sees it.
type Stored struct {
	ID      string        // visible ASCII
	Owner   string        // whom it belongs to, likewise
	Life    time.Duration // until it expires; a Backend may drop it then
	Expires time.Time     // the same as a time
	Data    []byte
}

// Errors of a [Backend].
var (
	ErrFull  = errors.New("session: no more sessions can be kept")
	ErrTaken = errors.New("session: the id is taken")
)

const (
	// loadTimeout is for how long a request waits to learn of a session, and workTimeout
	// for how long the sessions API does.
	loadTimeout = 300 * time.Millisecond
	workTimeout = 2 * time.Second
	// maxCopies is how many sessions a process has copies of.
	maxCopies = 65_536
	// absent is for how long a session that is not there is not asked for again, and
	// gone for how long it is remembered that one was revoked.
	absent = 10 * time.Second
	gone   = 10 * time.Minute
)

// remote keeps sessions in a Backend, and copies of those in use.
type remote struct {
	backend Backend
	key     []byte // of sealed records
	now     func() time.Time
	down    func() bool // whether it is of no use to ask
	copies  *copies

	failures atomic.Uint64
}

// note counts err if it is one, and returns it.
func (m *remote) note(err error) error {
	if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrTaken) && !errors.Is(err, context.Canceled) {
		m.failures.Add(1)
	}
	return err
}

func (m *remote) load(ctx context.Context, id string) (*record, error) {
	now := m.now()
	if c, ok := m.copies.get(id, now); ok {
		return c.record, c.err()
	}
	generation := m.copies.generation.Load()
	limited, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	r, err := m.latest(limited, id)
	switch {
	case err == nil && r.alive(now):
		m.copies.put(id, &held{record: r, until: r.principal.Expires}, generation)
	case err == nil, errors.Is(err, errUnknown):
		m.copies.put(id, &held{record: r, until: now.Add(absent)}, generation)
	}
	return r, err
}

// errDown is that the place where sessions are kept does not answer.
var errDown = errors.New("session: the place where sessions are kept does not answer")

// latest is load without a copy.
func (m *remote) latest(ctx context.Context, id string) (*record, error) {
	if m.down() {
		return nil, errDown
	}
	sealed, err := m.backend.Load(ctx, id)
	if m.note(err) != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, errUnknown
	}
	r, err := unseal(sealed, m.key)
	if err == nil && r.principal.ID != id {
		err = errSealed
	}
	return r, err
}

func (m *remote) of(ctx context.Context, owner string) ([]*record, error) {
	if m.down() {
		return nil, errDown
	}
	all, err := m.backend.Of(ctx, owner)
	if m.note(err) != nil {
		return nil, err
	}
	return m.unsealAll(all, func(r *record) bool { return r.owner() == owner }), nil
}

// unsealAll passes over what was not written with the key: to no one who comes with a
// token it is a session.
func (m *remote) unsealAll(all [][]byte, want func(*record) bool) []*record {
	out := make([]*record, 0, len(all))
	for _, sealed := range all {
		if r, err := unseal(sealed, m.key); err == nil && want(r) {
			out = append(out, r)
		}
	}
	return out
}

func (m *remote) stored(r *record) (Stored, error) {
	sealed, err := seal(r, m.key)
	if err != nil {
		return Stored{}, err
	}
	r.sealed = sealed
	return Stored{ID: r.principal.ID, Owner: r.owner(), Life: r.principal.Expires.Sub(m.now()), Expires: r.principal.Expires, Data: sealed}, nil
}

func (m *remote) insert(ctx context.Context, r *record, limit int) error {
	s, err := m.stored(r)
	if err != nil {
		return err
	}
	return m.note(m.backend.Insert(ctx, s, limit))
}

func (m *remote) replace(ctx context.Context, old, next *record) (bool, error) {
	s, err := m.stored(next)
	if err != nil {
		return false, err
	}
	narrower := len(next.principal.Scopes) < len(old.principal.Scopes)
	done, err := m.backend.Replace(ctx, old.sealed, s, narrower)
	m.copies.drop(old.principal.ID, nil)
	return done, m.note(err)
}

func (m *remote) end(ctx context.Context, ids ...string) ([]string, error) {
	ended, err := m.backend.End(ctx, ids...)
	for _, id := range ids {
		m.copies.drop(id, nil)
	}
	for _, id := range ended {
		m.copies.drop(id, &held{revoked: true, until: m.now().Add(gone)})
	}
	return ended, m.note(err)
}

func (m *remote) len(ctx context.Context) (int, error) { return m.backend.Len(ctx) }

// reasonOf is err of a keeper as an *identity.Error, or nil.
func reasonOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknown), errors.Is(err, errSealed):
		return identity.Unauthenticated(identity.ReasonSessionUnknown, nil)
	case errors.Is(err, errRevoked):
		return identity.Unauthenticated(identity.ReasonSessionRevoked, nil)
	}
	return identity.Unavailable(identity.ReasonStateUnavailable, fmt.Errorf("sessions: %w", err))
}
