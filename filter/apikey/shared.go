package apikey

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

const (
	// followEvery is how often it is looked whether keys have changed.
	followEvery = 250 * time.Millisecond
	// lookups is how many records are got at once.
	lookups = 64
	// shards divides the cache, so that callers hardly ever wait for each other.
	shards = 32
)

// SharedConfig is how keys of a Redis are verified.
type SharedConfig struct {
	Redis *Redis
	Env   Environment
	// MaxKeys is how many records are held.
	MaxKeys int
	// MaxStale is for how long known keys count while the Redis does not answer.
	MaxStale time.Duration
	// Timeout is how long one answer of the Redis may take.
	Timeout time.Duration
	Now     func() time.Time
	// Changed is told when the Redis stops to answer, and with nil when it does again.
	Changed func(error)
}

// Shared verifies keys of a Redis. It holds the records that were used last, and gets
// another when it is presented. Run has to be running: it finds out when a record has to be
// got again.
type Shared struct {
	cfg        SharedConfig
	generation atomic.Value // string: the last that Run saw
	contact    atomic.Int64 // Unix nanoseconds of the last answer to Run; 0 for none
	slots      chan struct{}
	shard      [shards]shard
	errors     atomic.Uint64
}

type shard struct {
	mu      sync.RWMutex
	entries map[string]*entry
	calls   map[string]*call
	left    map[string]time.Time // last uses of what was dropped
}

// entry is a record as it was at a generation.
type entry struct {
	*known
	generation string
	failing    atomic.Int64 // Unix nanoseconds since when it should have been got again; 0 for never
}

// call is a record that is being got.
type call struct {
	done       chan struct{}
	known      *known
	generation string
	err        error
}

// NewShared returns a verifier that holds nothing yet.
func NewShared(c SharedConfig) (*Shared, error) {
	if !c.Env.valid() {
		return nil, errEnvironment
	}
	s := &Shared{cfg: c, slots: make(chan struct{}, lookups)}
	s.generation.Store("")
	for i := range s.shard {
		s.shard[i].entries, s.shard[i].calls, s.shard[i].left = make(map[string]*entry), make(map[string]*call), make(map[string]time.Time)
	}
	return s, nil
}

// Run follows changes until ctx ends.
func (s *Shared) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	up := true
	for {
		asked := s.cfg.Now() // what changes after this is found by the next round
		within, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		n, err := s.cfg.Redis.Generation(within)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.generation.Store(n)
			s.contact.Store(asked.UnixNano())
		} else {
			s.errors.Add(1)
		}
		if up != (err == nil) && s.cfg.Changed != nil {
			s.cfg.Changed(err)
		}
		up = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Up says whether the Redis answered lately.
func (s *Shared) Up() bool { return s.within(10 * followEvery) }

// Errors is how often the Redis did not answer.
func (s *Shared) Errors() uint64 { return s.errors.Load() }

// Len is the number of records that are held.
func (s *Shared) Len() int {
	n := 0
	for i := range s.shard {
		s.shard[i].mu.RLock()
		n += len(s.shard[i].entries)
		s.shard[i].mu.RUnlock()
	}
	return n
}

// within says whether the last answer is at most that old.
func (s *Shared) within(age time.Duration) bool {
	at := s.contact.Load()
	return at != 0 && s.cfg.Now().UnixNano()-at <= int64(age)
}

// Verify verifies one key, as [Store.Verify] does. When it cannot be said whether there is
// such a key, the error is an *identity.Error of ClassUnavailable.
func (s *Shared) Verify(ctx context.Context, key string) (*identity.Principal, error) {
	env, id, reason := parse(key)
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	if env != s.cfg.Env {
		return nil, identity.Unauthenticated(identity.ReasonAPIKeyEnvironment, nil)
	}
	k, err := s.find(ctx, id)
	if err != nil {
		return nil, identity.Unavailable(identity.ReasonAPIKeysUnavailable, err)
	}
	return k.check(mac(s.cfg.Redis.pepper, key), s.cfg.Now())
}

// Revoked says whether the key called id was revoked, or cannot be looked up.
func (s *Shared) Revoked(ctx context.Context, id string) bool {
	k, err := s.find(ctx, id)
	return err != nil || k.isRevoked(s.cfg.Now())
}

func (s *Shared) shardOf(id string) *shard {
	n := uint32(0)
	for i := range len(id) {
		n = n*31 + uint32(id[i])
	}
	return &s.shard[n%shards]
}

// find returns what is known of an id; nil when there is no such key.
func (s *Shared) find(ctx context.Context, id string) (*known, error) {
	sh := s.shardOf(id)
	sh.mu.RLock()
	e := sh.entries[id]
	sh.mu.RUnlock()
	held := e != nil && s.within(s.cfg.MaxStale)
	if held && e.generation == s.generation.Load() {
		return e.known, nil
	}
	k, err := s.fetch(ctx, sh, id)
	if err != nil && held && !errors.Is(err, errRecord) && e.usable(s.cfg.Now(), s.cfg.MaxStale) {
		return e.known, nil
	}
	return k, err
}

// usable says whether a record that may have changed, and cannot be got again, still counts.
func (e *entry) usable(now time.Time, stale time.Duration) bool {
	e.failing.CompareAndSwap(0, now.UnixNano())
	return now.UnixNano()-e.failing.Load() <= int64(stale)
}

var errBusy = errors.New("apikey: too many keys are looked up at once")

// fetch gets a record, once for all who want it at the same time.
func (s *Shared) fetch(ctx context.Context, sh *shard, id string) (*known, error) {
	sh.mu.Lock()
	c := sh.calls[id]
	if c == nil {
		c = &call{done: make(chan struct{})}
		sh.calls[id] = c
		// It is for everyone who waits for it, and does not end with one caller.
		go s.load(context.WithoutCancel(ctx), sh, id, c)
	}
	sh.mu.Unlock()
	select {
	case <-c.done:
		return c.known, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// load answers a call.
func (s *Shared) load(ctx context.Context, sh *shard, id string, c *call) {
	c.known, c.generation, c.err = s.read(ctx, id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.calls, id)
	switch old := sh.entries[id]; {
	case c.err != nil:
	case c.known == nil:
		// Strangers can make up ids without end: what is not there is not remembered.
		delete(sh.entries, id)
	default:
		if old != nil {
			c.known.used.Store(old.used.Swap(0))
		} else if len(sh.entries) >= max(1, s.cfg.MaxKeys/shards) {
			sh.drop()
		}
		sh.entries[id] = &entry{known: c.known, generation: c.generation}
	}
	close(c.done)
}

func (s *Shared) read(ctx context.Context, id string) (k *known, generation string, err error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return nil, "", errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	r, _, generation, err := s.cfg.Redis.get(ctx, id)
	if err != nil {
		s.errors.Add(1)
		return nil, "", err
	}
	if r == nil {
		return nil, generation, nil
	}
	k, err = newKnown(r)
	return k, generation, err
}

// drop forgets any one record, but not when it was used.
func (sh *shard) drop() {
	for id, e := range sh.entries {
		if len(sh.left) < maxLeft {
			e.take(sh.left)
		}
		delete(sh.entries, id)
		return
	}
}

// maxLeft is how many last uses of dropped records a shard keeps until they are taken.
const maxLeft = 4096

// TakeUsed returns when keys were used last since it was called before, as
// [Store.TakeUsed] does.
func (s *Shared) TakeUsed() map[string]time.Time {
	used := make(map[string]time.Time)
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.Lock()
		for id, at := range sh.left {
			used[id] = at
		}
		clear(sh.left)
		for _, e := range sh.entries {
			e.take(used)
		}
		sh.mu.Unlock()
	}
	return used
}
