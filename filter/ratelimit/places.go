package ratelimit

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Place is what one request of a group takes among those that are under way at
// once, until [Limiter.Leave] gives it back.
type Place struct {
	// Key names, within the group, what the place is one of.
	Key string
	// ID tells the request from all others, of other processes as well. Together
	// with group and key it has at most [MaxKey] bytes.
	ID string
	// Limit is how many places there are.
	Limit int
	// Hold is after how long the place is free by itself, for a request of which
	// nobody says that it has ended.
	Hold time.Duration
}

// ErrPlace is returned for a place without an id, or whose limit or hold is not
// positive, or whose hold is longer than 366 days.
var ErrPlace = errors.New("ratelimit: not a place")

func (p *Place) check(group string) error {
	if p == nil {
		return nil
	}
	if p.ID == "" || p.Limit <= 0 || p.Hold <= 0 || p.Hold > maxSpan {
		return ErrPlace
	}
	if len(group)+len(p.Key)+len(p.ID) > MaxKey {
		return ErrKey
	}
	return nil
}

// places are the requests that are under way, in this process's memory. They
// need no background work: what was held too long goes as others come.
type places struct {
	max     int64
	seed    maphash.Seed
	held    atomic.Int64
	expired atomic.Uint64
	shards  [shardCount]placeShard
}

// placeShard is a part of the groups. Its leases are a list in the order in which
// they came, which is that in which they expire as long as all are held for the
// same time; one that is to be held shorter than those before it is freed with
// them.
type placeShard struct {
	mu     sync.Mutex
	used   map[name]int
	leases map[leaseName]*lease
	oldest *lease
	newest *lease
	_      [64]byte // keeps shards on cache lines of their own
}

type leaseName struct {
	name
	id string
}

type lease struct {
	name         leaseName
	until        int64
	older, newer *lease
}

func newPlaces(max int64) *places {
	p := &places{max: max, seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].used, p.shards[i].leases = make(map[name]int), make(map[leaseName]*lease)
	}
	return p
}

func (p *places) shard(group string) *placeShard {
	return &p.shards[maphash.String(p.seed, group)%shardCount]
}

// enter takes a place, if one is free. An id that has one keeps it.
func (p *places) enter(group string, place *Place, now int64) bool {
	if p.held.Load() >= p.max {
		for i := range p.shards {
			p.shards[i].mu.Lock()
			p.expire(&p.shards[i], now)
			p.shards[i].mu.Unlock()
		}
	}
	s := p.shard(group)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.expire(s, now)
	of := leaseName{name{group, place.Key}, place.ID}
	if s.leases[of] != nil {
		return true
	}
	if s.used[of.name] >= place.Limit || p.held.Load() >= p.max {
		return false
	}
	// The texts may be part of a larger message, which is not to be kept.
	of = leaseName{name{strings.Clone(group), strings.Clone(place.Key)}, strings.Clone(place.ID)}
	l := &lease{name: of, until: now + int64(place.Hold), older: s.newest}
	if s.newest != nil {
		s.newest.newer = l
	} else {
		s.oldest = l
	}
	s.newest = l
	s.leases[of] = l
	s.used[of.name]++
	p.held.Add(1)
	return true
}

// leave gives a place back. It reports whether there was one.
func (p *places) leave(group, key, id string) bool {
	s := p.shard(group)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[leaseName{name{group, key}, id}]
	if l == nil {
		return false
	}
	p.free(s, l)
	return true
}

// expire frees what was held too long.
func (p *places) expire(s *placeShard, now int64) {
	for s.oldest != nil && s.oldest.until <= now {
		p.free(s, s.oldest)
		p.expired.Add(1)
	}
}

func (p *places) free(s *placeShard, l *lease) {
	if l.older != nil {
		l.older.newer = l.newer
	} else {
		s.oldest = l.newer
	}
	if l.newer != nil {
		l.newer.older = l.older
	} else {
		s.newest = l.older
	}
	delete(s.leases, l.name)
	if s.used[l.name.name]--; s.used[l.name.name] == 0 {
		delete(s.used, l.name.name)
	}
	p.held.Add(-1)
}

// Enter implements [Limiter]. It takes the place first and gives it back when a
// bucket has no room, so that for that moment it is missing to others. A process
// that holds its maximum of places has none to give.
func (m *Memory) Enter(ctx context.Context, group string, buckets []Bucket, place *Place, dst []Decision) ([]Decision, bool, error) {
	if err := place.check(group); err != nil {
		return dst, false, err
	}
	if place == nil {
		out, err := m.take(group, buckets, dst, false)
		return out, true, err
	}
	if !m.places.enter(group, place, int64(m.now().Sub(m.start))) {
		return dst, false, nil
	}
	out, err := m.take(group, buckets, dst, false)
	if err != nil || !Allowed(out[len(dst):]) {
		m.places.leave(group, place.Key, place.ID)
	}
	return out, true, err
}

// Leave implements [Limiter].
func (m *Memory) Leave(group, key, id string) { m.places.leave(group, key, id) }
