package token

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errReplayFull = errors.New("too many proofs are in use at once")

// MemoryReplay is a Replay of this process alone. It holds a bounded number of ids; when
// that many are in use it cannot say any more whether one was used, and returns an error
// instead of forgetting one that could then be used again.
type MemoryReplay struct {
	now      func() time.Time
	perShard int
	shard    [shards]replayShard
}

type replayShard struct {
	mu    sync.Mutex
	until map[[32]byte]int64 // Unix nanoseconds
	swept int64              // when it was last cleared of what is over
	_     [24]byte           // keeps shards on cache lines of their own
}

// NewMemoryReplay returns a memory of about limit ids.
func NewMemoryReplay(limit int, now func() time.Time) *MemoryReplay {
	m := &MemoryReplay{now: now, perShard: max((limit+shards-1)/shards, 1)}
	for i := range m.shard {
		m.shard[i].until = make(map[[32]byte]int64)
	}
	return m
}

// First implements Replay.
func (m *MemoryReplay) First(_ context.Context, id [32]byte, ttl time.Duration) (bool, error) {
	now := m.now().UnixNano()
	s := &m.shard[id[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if until, ok := s.until[id]; ok && now < until {
		return false, nil
	}
	// Cleared once a second at most, so that a full shard does not cost a walk each time.
	if len(s.until) >= m.perShard && now-s.swept >= int64(time.Second) {
		s.swept = now
		for id, until := range s.until {
			if now >= until {
				delete(s.until, id)
			}
		}
	}
	if _, ok := s.until[id]; !ok && len(s.until) >= m.perShard {
		return false, errReplayFull
	}
	s.until[id] = now + int64(ttl)
	return true, nil
}
