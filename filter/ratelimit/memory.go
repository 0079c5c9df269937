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

// MaxKey is how long a group and a key may be together, in bytes.
const MaxKey = 1024

// ErrKey is returned for a group that is empty, or one that is together with a
// key longer than [MaxKey].
var ErrKey = errors.New("ratelimit: group is empty, or group and key are too long")

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
	places *places
	shards [shardCount]shard
}

// shard is a part of the keys, with the one that is idle first on top of a heap.
type shard struct {
	mu      sync.Mutex
	entries map[name]*entry
	heap    []*entry
	// first is heap[0].tat, to be read without the lock; math.MaxInt64 when empty.
	first atomic.Int64
	_     [64]byte // keeps shards on cache lines of their own
}

// name is a key within its group.
type name struct{ group, key string }

type entry struct {
	key   name
	tat   int64
	index int // in heap
}

// NewMemory returns a limiter that holds at most maxKeys keys, and as many places, give or take those
// of the calls that are under way. now is its clock; it should be
// monotonic, as [time.Now] is, and it may go backwards. A maxKeys below 1 is
// taken as 1.
func NewMemory(now func() time.Time, maxKeys int) *Memory {
	m := &Memory{now: now, start: now(), max: int64(max(maxKeys, 1)), seed: maphash.MakeSeed()}
	m.places = newPlaces(m.max)
	for i := range m.shards {
		m.shards[i].entries = make(map[name]*entry)
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
	// Places is the number of places that are held, and Expired how many were
	// held until their time was over.
	Places  int
	Expired uint64
}

// Stats returns the numbers of now.
func (m *Memory) Stats() Stats {
	return Stats{Keys: int(m.keys.Load()), Forgotten: m.lost.Load(), Places: int(m.places.held.Load()), Expired: m.places.expired.Load()}
}

// Allow is [Memory.Take] for one bucket that is a group of its own.
func (m *Memory) Allow(_ context.Context, key string, r Rate) (Decision, error) {
	buckets, room := [1]Bucket{{Rate: r}}, [1]Decision{}
	d, err := m.take(key, buckets[:], room[:0], false)
	if err != nil {
		return Decision{}, err
	}
	return d[0], nil
}

// Take implements [Limiter]. It does not allocate for keys that are held, never
// waits for anything but the lock of a part of the groups, and ignores ctx. The
// error is [ErrRate], [ErrKey] or [ErrBuckets].
func (m *Memory) Take(_ context.Context, group string, buckets []Bucket, dst []Decision) ([]Decision, error) {
	return m.take(group, buckets, dst, false)
}

// take is Take. With force the request was admitted elsewhere and is counted in
// any case, up to a whole burst.
func (m *Memory) take(group string, buckets []Bucket, dst []Decision, force bool) ([]Decision, error) {
	if err := check(group, buckets); err != nil {
		return dst, err
	}
	var array [MaxBuckets]cells
	all := array[:len(buckets)]
	for i := range buckets {
		var err error
		if all[i], err = cellsOf(&buckets[i], 1); err != nil {
			return dst, err
		}
	}
	s := &m.shards[maphash.String(m.seed, group)%shardCount]
	now := int64(m.now().Sub(m.start))

	s.mu.Lock()
	missing := 0
	for i := range buckets {
		if s.entries[name{group, buckets[i].Key}] == nil {
			missing++
		}
	}
	if missing > 0 {
		s.mu.Unlock()
		for range missing {
			m.makeRoom(now)
		}
		s.mu.Lock()
	}
	dst = m.count(s, group, buckets, all, now, dst, missing, force)
	s.mu.Unlock()
	return dst, nil
}

// count decides about one request while it holds the lock of s. Places are
// reserved for as many new keys as were missing before it had it.
func (m *Memory) count(s *shard, group string, buckets []Bucket, all []cells, now int64, dst []Decision, reserved int, force bool) []Decision {
	var entries [MaxBuckets]*entry
	ok := true
	for i := range buckets {
		key := name{group, buckets[i].Key}
		e := s.entries[key]
		if e == nil {
			// The key may be part of a larger message, which is not to be kept.
			key = name{strings.Clone(group), strings.Clone(key.key)}
			e = &entry{key: key, tat: now}
			s.push(e)
			reserved--
		}
		entries[i] = e
		ok = ok && all[i].room(all[i].used(e.tat, now))
	}
	if reserved != 0 {
		m.keys.Add(int64(-reserved))
	}
	for i := range buckets {
		e, c := entries[i], all[i]
		used := c.used(e.tat, now)
		dst = append(dst, c.decision(used, ok, 1))
		switch {
		case ok:
			used += c.cost
		case force:
			used = min(used+c.cost, c.span)
		}
		e.tat = now + used
		s.moved(e)
	}
	return dst
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

// moved restores the order of the heap after a change of e.
func (s *shard) moved(e *entry) {
	s.down(e.index)
	s.up(e.index)
	s.first.Store(s.heap[0].tat)
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
