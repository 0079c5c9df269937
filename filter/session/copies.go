package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// copies are what a process knows of sessions that are kept elsewhere, at most so many.
// What ends or changes elsewhere is dropped when the process is told.
type copies struct {
	perShard int
	// generation changes with each drop: what was read before one is not kept after it.
	generation atomic.Uint64
	shard      [shards]copyShard
}

type copyShard struct {
	mu   sync.RWMutex
	held map[string]*held
}

// held is what is known of one session until some time: that it is as the record says,
// that it was revoked, or with neither that there is none.
type held struct {
	record  *record
	revoked bool
	until   time.Time
}

var (
	errUnknown = errors.New("session: no session has this id")
	errRevoked = errors.New("session: the session was revoked")
)

func (h *held) err() error {
	switch {
	case h.revoked:
		return errRevoked
	case h.record == nil:
		return errUnknown
	}
	return nil
}

func newCopies(limit int) *copies {
	c := &copies{perShard: max(limit/shards, 1)}
	for i := range c.shard {
		c.shard[i].held = make(map[string]*held)
	}
	return c
}

func (c *copies) shardOf(id string) *copyShard { return &c.shard[id[0]%shards] }

func (c *copies) get(id string, now time.Time) (*held, bool) {
	s := c.shardOf(id)
	s.mu.RLock()
	h := s.held[id]
	s.mu.RUnlock()
	if h == nil || !now.Before(h.until) {
		return nil, false
	}
	return h, true
}

// put keeps h, unless something was dropped since generation.
func (c *copies) put(id string, h *held, generation uint64) {
	s := c.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.generation.Load() == generation {
		s.set(id, h, c.perShard)
	}
}

// drop forgets what is known of a session, and knows h instead unless it is nil. That it
// was revoked is not forgotten.
func (c *copies) drop(id string, h *held) {
	c.generation.Add(1)
	s := c.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h == nil {
		if known := s.held[id]; known != nil && !known.revoked {
			delete(s.held, id)
		}
		return
	}
	s.set(id, h, c.perShard)
}

// set makes room by forgetting any other.
func (s *copyShard) set(id string, h *held, limit int) {
	if _, ok := s.held[id]; !ok && len(s.held) >= limit {
		for other := range s.held {
			delete(s.held, other)
			break
		}
	}
	s.held[id] = h
}

// forget forgets all.
func (c *copies) forget() {
	c.generation.Add(1)
	for i := range c.shard {
		s := &c.shard[i]
		s.mu.Lock()
		clear(s.held)
		s.mu.Unlock()
	}
}
