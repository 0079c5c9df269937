package session

import (
	"context"
	"sync"
	"time"
)

const (
	shards     = 32
	sweepEvery = time.Minute
)

// memory keeps sessions in this process, with which they end.
type memory struct {
	now   func() time.Time
	shard [shards]shard

	mu        sync.Mutex // guards what follows, and is taken before a shard's lock
	owners    map[string]map[string]*record
	count     int
	nextSweep time.Time
}

type shard struct {
	mu      sync.RWMutex
	records map[string]*record
}

func newMemory(now func() time.Time) *memory {
	m := &memory{now: now, owners: make(map[string]map[string]*record)}
	for i := range m.shard {
		m.shard[i].records = make(map[string]*record)
	}
	return m
}

func (m *memory) shardOf(id string) *shard { return &m.shard[id[0]%shards] }

func (m *memory) load(_ context.Context, id string) (*record, error) {
	sh := m.shardOf(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	r := sh.records[id]
	if r == nil {
		return nil, errUnknown
	}
	return r, nil
}

func (m *memory) latest(ctx context.Context, id string) (*record, error) { return m.load(ctx, id) }

func (m *memory) of(_ context.Context, owner string) ([]*record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*record, 0, len(m.owners[owner]))
	for _, r := range m.owners[owner] {
		out = append(out, r)
	}
	return out, nil
}

func (m *memory) insert(_ context.Context, r *record, limit int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.now(); !now.Before(m.nextSweep) || m.count >= limit {
		m.sweep(now)
	}
	if m.count >= limit {
		return ErrFull
	}
	id, owner := r.principal.ID, r.owner()
	sh := m.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.records[id] != nil {
		return ErrTaken
	}
	if m.owners[owner] == nil {
		m.owners[owner] = make(map[string]*record)
	}
	m.owners[owner][id] = r
	m.count++
	sh.records[id] = r
	return nil
}

func (m *memory) replace(_ context.Context, old, next *record) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := old.principal.ID
	sh := m.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.records[id] != old {
		return false, nil
	}
	m.owners[old.owner()][id] = next
	sh.records[id] = next
	return true, nil
}

func (m *memory) end(_ context.Context, ids ...string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ended []string
	for _, id := range ids {
		if m.remove(id) {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

// remove drops the session called id. The caller holds m.mu.
func (m *memory) remove(id string) bool {
	sh := m.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.records[id]
	if r == nil {
		return false
	}
	delete(sh.records, id)
	owner := r.owner()
	delete(m.owners[owner], id)
	if len(m.owners[owner]) == 0 {
		delete(m.owners, owner)
	}
	m.count--
	return true
}

// sweep removes what has expired. The caller holds m.mu.
func (m *memory) sweep(now time.Time) {
	m.nextSweep = now.Add(sweepEvery)
	for _, all := range m.owners {
		for id, r := range all {
			if !r.alive(now) {
				m.remove(id)
			}
		}
	}
}

func (m *memory) len(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count, nil
}
