package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"
)

var errClosed = errors.New("sqlite: store is closed")

// pool keeps a bounded number of tenants' files open and closes the one that was idle longest to make
// room for another.
type pool struct {
	dir  string
	max  int
	now  func() time.Time
	load func(f *file, create bool) error // opens

	mu      sync.Mutex
	files   map[string]*file
	open    int             // files in the map plus those that are being closed
	freed   chan struct{}   // closed and replaced whenever a file becomes idle or closed
	closing map[string]bool // tenants that nobody may open now
	closed  bool
}

// acquire returns the open file of a tenant, which release must be called for. When create is not set
// and the tenant has no file it returns nil.
func (p *pool) acquire(ctx context.Context, tenant string, create bool) (*file, error) {
	for looked := false; ; {
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
		if p.closing[tenant] {
			freed := p.freed
			p.mu.Unlock()
			if err := await(ctx, freed); err != nil {
				return nil, err
			}
			continue
		}
		if !create && !looked {
			p.mu.Unlock()
			found, err := exists(p.dir, tenant)
			if err != nil || !found {
				return nil, err
			}
			looked = true
			continue
		}
		if p.open < p.max {
			f := &file{tenant: tenant, opened: make(chan struct{}), holders: 1, used: p.now()}
			p.files[tenant] = f
			p.open++
			p.mu.Unlock()
			f.err = p.load(f, create)
			close(f.opened)
			f, err := p.opened(ctx, f)
			if !create && errors.Is(err, fs.ErrNotExist) { // it went since we looked
				return nil, nil
			}
			return f, err
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
		if err := await(ctx, freed); err != nil {
			return nil, err
		}
	}
}

func await(ctx context.Context, freed <-chan struct{}) error {
	select {
	case <-freed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// alone closes the file of a tenant as soon as nobody holds it, and runs do while nobody can open it.
func (p *pool) alone(ctx context.Context, tenant string, do func() error) error {
	p.mu.Lock()
	for p.closing[tenant] || p.closed {
		if p.closed {
			p.mu.Unlock()
			return errClosed
		}
		freed := p.freed
		p.mu.Unlock()
		if err := await(ctx, freed); err != nil {
			return err
		}
		p.mu.Lock()
	}
	p.closing[tenant] = true
	f := p.files[tenant]
	delete(p.files, tenant) // the next one to ask waits
	for f != nil && f.holders > 0 {
		freed := p.freed
		p.mu.Unlock()
		if err := await(ctx, freed); err != nil {
			p.mu.Lock()
			p.files[tenant] = f
			delete(p.closing, tenant)
			p.wake()
			p.mu.Unlock()
			return err
		}
		p.mu.Lock()
	}
	p.mu.Unlock()
	var err error
	if f != nil {
		err = f.close()
	}
	if err == nil {
		err = do()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f != nil {
		p.open--
	}
	delete(p.closing, tenant)
	p.wake()
	return err
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
