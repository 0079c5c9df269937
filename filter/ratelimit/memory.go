package ratelimit

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxKey is the length of a key in bytes.
const MaxKey = 512

// ErrKey is returned for a key that is empty or longer than [MaxKey].
var ErrKey = errors.New("ratelimit: key is empty or too long")

// shardCount is a power of two well above the number of cores.
const shardCount = 64

// Memory is a [Limiter] in this process's memory. It needs no background work:
// idle keys are dropped as new ones come.
//
// It holds a bounded number of keys. When all are taken, the key that is
// nearest to being idle is forgotten: one that is idle already, as long as
// there is one in any shard, which loses nothing. Only when every key is in use
// is one forgotten that has used something, and [Stats] counts it.
type Memory struct {
	now    func() time.Time
	start  time.Time
	max    int64
	seed   maphash.Seed
	keys   atomic.Int64
	lost   atomic.Uint64
	shards [shardCount]shard
}

// shard is a part of the keys, with the one that is idle first on top of a heap.
type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
	heap    []*entry
	// first is heap[0].tat, to be read without the lock; math.MaxInt64 when empty.
	first atomic.Int64
	_     [64]byte // keeps shards on cache lines of their own
}

type entry struct {
	key   string
	tat   int64
	index int // in heap
}

// NewMemory returns a limiter that holds at most maxKeys keys, give or take one
// for each call of Allow that is under way. now is its clock; it should be
// monotonic, as [time.Now] is, and it may go backwards. A maxKeys below 1 is
// taken as 1.
func NewMemory(now func() time.Time, maxKeys int) *Memory {
	m := &Memory{now: now, start: now(), max: int64(max(maxKeys, 1)), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].entries = make(map[string]*entry)
		m.shards[i].first.Store(math.MaxInt64)
	}
	return m
}

// Stats are numbers about a [Memory].
type Stats struct {
	// Keys is the number of keys that are held.
	Keys int
	// Forgotten is how many keys were dropped while they still had something
	// used up. When it grows, maxKeys is too small.
	Forgotten uint64
}

// Stats returns the numbers of now.
func (m *Memory) Stats() Stats {
	return Stats{Keys: int(m.keys.Load()), Forgotten: m.lost.Load()}
}

// Allow implements [Limiter]. It does not allocate for a key that is held, never
// waits for anything but a shard's lock, and ignores ctx. The error is [ErrRate]
// or [ErrKey].
func (m *Memory) Allow(_ context.Context, key string, r Rate) (Decision, error) {
	interval, burst, err := r.cell()
	if err != nil {
		return Decision{}, err
	}
	if key == "" || len(key) > MaxKey {
		return Decision{}, ErrKey
	}
	s := &m.shards[maphash.String(m.seed, key)%shardCount]
	now := int64(m.now().Sub(m.start))

	s.mu.Lock()
	if e := s.entries[key]; e != nil {
		d := s.count(e, now, interval, burst)
		s.mu.Unlock()
		return d, nil
	}
	s.mu.Unlock()

	return m.admit(s, key, now, interval, burst), nil
}

// admit counts the first request of a key, or a further one when another call
// was faster to admit it.
func (m *Memory) admit(s *shard, key string, now, interval, burst int64) Decision {
	m.makeRoom(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		// The key may be part of a larger message, which is not to be kept.
		e = &entry{key: strings.Clone(key), tat: now}
		s.push(e)
	} else {
		m.keys.Add(-1)
	}
	return s.count(e, now, interval, burst)
}

// makeRoom reserves the place of one key, forgetting others as needed.
func (m *Memory) makeRoom(now int64) {
	over := m.keys.Add(1) > m.max
	// Two idle keys go for each that comes, so that idle ones do not pile up.
	for i := 0; i < 2 || over; i++ {
		first, tat := m.first()
		if first == nil || tat > now && !over {
			return
		}
		first.mu.Lock()
		// When another call was faster, the search starts again.
		if len(first.heap) > 0 && first.heap[0].tat <= tat {
			if first.heap[0].tat > now {
				m.lost.Add(1)
			}
			first.pop()
			over = m.keys.Add(-1) > m.max
		}
		first.mu.Unlock()
	}
}

// first returns the shard whose first key is idle soonest, or nil when no shard
// has a key.
func (m *Memory) first() (*shard, int64) {
	var found *shard
	least := int64(math.MaxInt64)
	for i := range m.shards {
		if tat := m.shards[i].first.Load(); tat < least {
			found, least = &m.shards[i], tat
		}
	}
	return found, least
}

// count decides about one request of e and keeps the heap in order.
func (s *shard) count(e *entry, now, interval, burst int64) Decision {
	tat, d := decide(e.tat, now, interval, burst)
	e.tat = tat
	s.down(e.index)
	s.up(e.index)
	s.first.Store(s.heap[0].tat)
	return d
}

func (s *shard) push(e *entry) {
	s.entries[e.key] = e
	e.index = len(s.heap)
	s.heap = append(s.heap, e)
	s.up(e.index)
	s.first.Store(s.heap[0].tat)
}

// pop forgets the first key of the heap.
func (s *shard) pop() {
	last := len(s.heap) - 1
	delete(s.entries, s.heap[0].key)
	s.heap[0] = s.heap[last]
	s.heap[0].index = 0
	s.heap[last] = nil
	s.heap = s.heap[:last]
	if last == 0 {
		s.first.Store(math.MaxInt64)
		return
	}
	s.down(0)
	s.first.Store(s.heap[0].tat)
}

func (s *shard) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if s.heap[parent].tat <= s.heap[i].tat {
			return
		}
		s.swap(i, parent)
		i = parent
	}
}

func (s *shard) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.heap[child].tat < s.heap[least].tat {
				least = child
			}
		}
		if least == i {
			return
		}
		s.swap(i, least)
		i = least
	}
}

func (s *shard) swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.heap[i].index, s.heap[j].index = i, j
}
