package token

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// shards divides the cache so that callers hardly ever wait for each other. It is a power
// of two.
const shards = 64

// cache keeps verified tokens by the SHA-256 of their text. Only tokens whose signature
// was verified enter it, so that a stranger cannot fill it.
type cache struct {
	perShard int
	shard    [shards]shard
	hits     atomic.Uint64
	misses   atomic.Uint64
	evicted  atomic.Uint64
}

type shard struct {
	mu      sync.RWMutex
	entries map[[32]byte]*entry
	_       [24]byte // keeps shards on cache lines of their own
}

type entry struct {
	principal *identity.Principal
	issuer    *issuer
	key       *key
	until     int64 // Unix seconds, leeway included
}

func newCache(size int) *cache {
	c := &cache{perShard: (size + shards - 1) / shards}
	for i := range c.shard {
		c.shard[i].entries = make(map[[32]byte]*entry)
	}
	return c
}

// get returns what was verified under digest, if that still holds.
func (c *cache) get(digest *[32]byte, now time.Time) *entry {
	s := &c.shard[digest[0]%shards]
	s.mu.RLock()
	e := s.entries[*digest]
	s.mu.RUnlock()
	if e != nil && now.Unix() < e.until && !e.key.withdrawn.Load() {
		c.hits.Add(1)
		return e
	}
	c.misses.Add(1)
	return nil
}

// put keeps e. A full shard first loses what has expired among a few entries, and if that
// frees nothing, one of them.
func (c *cache) put(digest *[32]byte, e *entry, now time.Time) {
	if c.perShard == 0 {
		return
	}
	s := &c.shard[digest[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[*digest]; !ok && len(s.entries) >= c.perShard {
		c.evict(s, now)
	}
	s.entries[*digest] = e
}

func (c *cache) evict(s *shard, now time.Time) {
	const looks = 16
	seen := 0
	var victim [32]byte
	freed := false
	for d, e := range s.entries { // in random order
		victim = d
		if now.Unix() >= e.until || e.key.withdrawn.Load() {
			delete(s.entries, d)
			freed = true
		}
		if seen++; seen == looks {
			break
		}
	}
	if !freed {
		delete(s.entries, victim)
		c.evicted.Add(1)
	}
}

// sweep drops every entry that has expired or whose key was withdrawn.
func (c *cache) sweep(now time.Time) {
	for i := range c.shard {
		s := &c.shard[i]
		s.mu.Lock()
		for d, e := range s.entries {
			if now.Unix() >= e.until || e.key.withdrawn.Load() {
				delete(s.entries, d)
			}
		}
		s.mu.Unlock()
	}
}

func (c *cache) len() int {
	n := 0
	for i := range c.shard {
		s := &c.shard[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}
