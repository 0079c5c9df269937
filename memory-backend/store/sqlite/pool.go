package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errClosed = errors.New("sqlite: store is closed")

// pool keeps a bounded number of tenants' files open and closes the one that was idle longest to make
// room for another.
type pool struct {
	dir  string
	max  int
	busy time.Duration
	now  func() time.Time

	mu     sync.Mutex
	files  map[string]*file
	open   int           // files in the map plus those that are being closed
	freed  chan struct{} // closed and replaced whenever a file becomes idle or closed
	closed bool
}

// acquire returns the open file of a tenant, which release must be called for. When create is not set
// and the tenant has no file it returns nil.
func (p *pool) acquire(ctx context.Context, tenant string, create bool) (*file, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errClosed
		}
		if f := p.files[tenant]; f != nil {
			f.holders++
			f.used = p.now()
			p.mu.Unlock()
			return p.opened(ctx, f)
		}
		if !create {
			p.mu.Unlock()
			found, err := exists(p.dir, tenant)
			if err != nil || !found {
				return nil, err
			}
			create = true // it will not vanish: files are never removed while the store runs
			continue
		}
		if p.open < p.max {
			f := &file{tenant: tenant, opened: make(chan struct{}), holders: 1, used: p.now()}
			p.files[tenant] = f
			p.open++
			p.mu.Unlock()
			f.err = f.open(p.dir, p.busy)
			close(f.opened)
			return p.opened(ctx, f)
		}
		if f := p.idlest(); f != nil {
			delete(p.files, f.tenant)
			p.mu.Unlock()
			err := f.close()
			p.mu.Lock()
			p.open--
			p.wake()
			p.mu.Unlock()
			if err != nil {
				return nil, err
			}
			continue
		}
		freed := p.freed
		p.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// opened waits until a held file is open; if it could not be opened it is let go.
func (p *pool) opened(ctx context.Context, f *file) (*file, error) {
	select {
	case <-f.opened:
	case <-ctx.Done():
		p.release(f)
		return nil, ctx.Err()
	}
	if f.err == nil {
		return f, nil
	}
	p.mu.Lock()
	if p.files[f.tenant] == f { // the next one to ask tries again
		delete(p.files, f.tenant)
		p.open--
	}
	p.mu.Unlock()
	p.release(f)
	return nil, f.err
}

func (p *pool) release(f *file) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.holders--
	f.used = p.now()
	if f.holders == 0 {
		p.wake()
	}
}

// idlest returns the file that nobody holds and that was used longest ago.
func (p *pool) idlest() *file {
	var best *file
	for _, f := range p.files {
		if f.holders == 0 && (best == nil || f.used.Before(best.used)) {
			best = f
		}
	}
	return best
}

func (p *pool) wake() {
	close(p.freed)
	p.freed = make(chan struct{})
}

// openFiles returns how many tenants' files are open.
func (p *pool) openFiles() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// close waits until nobody holds a file and closes all of them.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	var errs []error
	for len(p.files) > 0 {
		if f := p.idlest(); f != nil {
			delete(p.files, f.tenant)
			p.open--
			p.mu.Unlock()
			errs = append(errs, f.close())
			p.mu.Lock()
			continue
		}
		freed := p.freed
		p.mu.Unlock()
		<-freed
		p.mu.Lock()
	}
	p.mu.Unlock()
	return errors.Join(errs...)
}
