package revocation

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// List is what one process knows of what was revoked. [List.Run] keeps it up to date.
// Reads take no lock; it is safe for concurrent use.
type List struct {
	config   Config
	start    time.Time    // of the clock that contact counts by
	contact  atomic.Int64 // when the log was last known to have nothing new; 0 for never
	up       atomic.Bool  // whether the log answered when last asked
	failures atomic.Uint64
	sessions atomic.Pointer[Sessions]

	seed  maphash.Seed
	count [len(keptKinds)]atomic.Int64 // of keptKinds
	shard [shards]shard

	// What follows is used by Run alone.
	places map[string]placed // by position
	pruned time.Time
}

// Config configures a [List].
type Config struct {
	Log Log
	Now func() time.Time
	// MaxStale is for how long the list is believed when its log does not answer.
	MaxStale time.Duration
	// Changed is told when the log is reached for the first time or again, with nil, and
	// when it fails, with the reason. It may be nil.
	Changed func(err error)
}

// Sessions has copies of sessions, which it forgets when it is told.
type Sessions interface {
	// Ended forgets the session called id, which has ended.
	Ended(id string)
	// Changed forgets what it knows of the session called id.
	Changed(id string)
	// Forget forgets all, as it was not told of everything.
	Forget()
}

const shards = 256

// shard is a part of the list. Its map is replaced and not changed.
type shard struct {
	mu    sync.Mutex // of those who replace
	marks atomic.Pointer[map[key]mark]
}

type key struct {
	kind       Kind
	issuer, id string
	tenant     string
}

// keyOf is what e is found by.
func keyOf(e *Entry) key { return key{e.Kind, e.Issuer, e.ID, e.Tenant} }

// keptKinds are the kinds that stay in a list.
var keptKinds = [...]Kind{KindKey, KindToken, KindSubject, KindKeySubject, KindPeer}

type mark struct {
	before time.Time
	until  time.Time
	made   time.Time
}

type placed struct {
	key   key
	until time.Time
}

// New returns a list that knows nothing yet: until its first contact with the log nobody
// passes [List.Check].
func New(c Config) *List {
	l := &List{config: c, start: c.Now().Add(-time.Nanosecond), seed: maphash.MakeSeed(), places: make(map[string]placed)}
	for i := range l.shard {
		l.shard[i].marks.Store(&map[key]mark{})
	}
	return l
}

// Follow makes s be told of sessions from now on, in the place of another before it.
func (l *List) Follow(s Sessions) { l.sessions.Store(&s) }

var (
	errNever = errors.New("what was revoked was never read")
	errStale = errors.New("what was revoked could not be read for too long")
)

// Fresh says whether the list can be believed: nil, or an *identity.Error of
// ClassUnavailable.
func (l *List) Fresh() error {
	contact := l.contact.Load()
	if contact == 0 {
		return identity.Unavailable(identity.ReasonStateUnavailable, errNever)
	}
	if l.age(contact) > l.config.MaxStale {
		return identity.Unavailable(identity.ReasonStateUnavailable, errStale)
	}
	return nil
}

func (l *List) age(contact int64) time.Duration {
	return l.config.Now().Sub(l.start) - time.Duration(contact)
}

// Check says whether p, which was verified, was revoked: nil, or an *identity.Error of
// ClassUnauthenticated, or of ClassUnavailable when that cannot be said. A session is
// revoked with the credential that it was issued to. That the session itself has ended
// is for its store to say.
func (l *List) Check(p *identity.Principal) error {
	if err := l.Fresh(); err != nil {
		return err
	}
	kind, id := p.Kind, p.ID
	if kind == identity.KindSession {
		kind, id = p.Origin.Kind, p.Origin.ID
	}
	switch kind {
	case identity.KindAPIKey:
		if _, ok := l.find(key{kind: KindKey, id: id}); ok {
			return identity.Unauthenticated(identity.ReasonAPIKeyRevoked, nil)
		}
		if l.subject(p, key{kind: KindKeySubject, tenant: p.Tenant, id: p.Subject}) {
			return identity.Unauthenticated(identity.ReasonSubjectRevoked, nil)
		}
	case identity.KindJWT:
		if _, ok := l.find(key{kind: KindToken, issuer: p.Issuer, id: id}); ok {
			return identity.Unauthenticated(identity.ReasonTokenRevoked, nil)
		}
		if l.subject(p, key{kind: KindSubject, issuer: p.Issuer, id: p.Subject}) {
			return identity.Unauthenticated(identity.ReasonSubjectRevoked, nil)
		}
	case identity.KindMesh:
		if _, ok := l.find(key{kind: KindPeer, id: id}); ok {
			return identity.Unauthenticated(identity.ReasonPeerRevoked, nil)
		}
	default:
		return identity.Unavailable(identity.ReasonInternal, fmt.Errorf("a principal of kind %q cannot be looked up", kind))
	}
	return nil
}

// subject says whether p was issued up to when all of its subject were revoked. One that
// does not say when it was issued was.
func (l *List) subject(p *identity.Principal, k key) bool {
	m, ok := l.find(k)
	return ok && (p.Issued.IsZero() || !p.Issued.After(m.before))
}

// counter counts what is held of a kind that is kept.
func (l *List) counter(k Kind) *atomic.Int64 {
	return &l.count[max(slices.Index(keptKinds[:], k), 0)]
}

func (l *List) find(k key) (mark, bool) {
	if l.counter(k.kind).Load() == 0 {
		return mark{}, false
	}
	m, ok := (*l.shardOf(k.id).marks.Load())[k]
	return m, ok
}

func (l *List) shardOf(id string) *shard { return &l.shard[maphash.String(l.seed, id)%shards] }

// put adds entries. Of two for the same, the later times hold.
func (l *List) put(entries ...Entry) {
	groups := make(map[*shard][]Entry)
	for _, e := range entries {
		s := l.shardOf(e.ID)
		groups[s] = append(groups[s], e)
	}
	for s, group := range groups {
		s.mu.Lock()
		next := maps.Clone(*s.marks.Load())
		for _, e := range group {
			k := keyOf(&e)
			m, ok := next[k]
			if !ok {
				l.counter(e.Kind).Add(1)
				m = mark{e.Before, e.Until, e.Made}
			}
			if e.Before.After(m.before) {
				m.before = e.Before
			}
			if e.Until.IsZero() || !m.until.IsZero() && e.Until.After(m.until) {
				m.until = e.Until
			}
			next[k] = m
		}
		s.marks.Store(&next)
		s.mu.Unlock()
	}
}

// prune drops what would have ended by itself a while ago.
func (l *List) prune(now time.Time) {
	for i := range l.shard {
		s := &l.shard[i]
		s.mu.Lock()
		old := *s.marks.Load()
		next := maps.Clone(old)
		for k, m := range old {
			if over(m.until, now) {
				delete(next, k)
				l.counter(k.kind).Add(-1)
			}
		}
		if len(next) < len(old) {
			s.marks.Store(&next)
		}
		s.mu.Unlock()
	}
}

// over says whether until was reached by every clock that is about right.
func over(until, now time.Time) bool {
	return !until.IsZero() && now.After(until.Add(Told))
}

// Stats are numbers about a [List].
type Stats struct {
	Revoked  map[Kind]int  // how much of each kind that is kept
	Up       bool          // whether the log answered when last asked
	Known    bool          // whether it ever did
	Age      time.Duration // since it was known to have nothing new; 0 if never
	Failures uint64        // of reading it
}

// Stats returns the numbers of now.
func (l *List) Stats() Stats {
	st := Stats{Revoked: make(map[Kind]int, len(keptKinds)), Up: l.up.Load(), Failures: l.failures.Load()}
	for _, k := range keptKinds {
		st.Revoked[k] = int(l.counter(k).Load())
	}
	if contact := l.contact.Load(); contact != 0 {
		st.Known, st.Age = true, max(l.age(contact), 0)
	}
	return st
}
