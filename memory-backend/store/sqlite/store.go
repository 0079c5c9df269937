// Package sqlite keeps memories in SQLite: one file per tenant, in WAL mode with full synchronization,
// through the pure Go port of SQLite.
//
// A file has the mode 0600 in a directory of 0700, and at most Config.MaxOpen are open at a time. What
// is acknowledged was written to the disk. Deleted text is overwritten (secure_delete).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
const (
	codeBusy   = 5
	codeLocked = 6
	codeFull   = 13
)

// Config says where and how to store.
type Config struct {
	Dir     string           // created with mode 0700 when missing; must not be open to others
	MaxOpen int              // tenants' files open at a time; 64 when 0
	Busy    time.Duration    // how long to wait for another process's lock; 5 s when 0
	Now     func() time.Time // required
	Random  io.Reader        // for ids of changes; required
}

// Store implements memory.Store.
type Store struct {
	pool   *pool
	random io.Reader
}

var _ memory.Store = (*Store)(nil)

// Open prepares the directory. Tenants' files are opened when they are first used.
func Open(c Config) (*Store, error) {
	if c.Dir == "" || c.Now == nil || c.Random == nil {
		return nil, errors.New("sqlite: Dir, Now and Random are required")
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 64
	}
	if c.Busy <= 0 {
		c.Busy = 5 * time.Second
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sqlite: data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("sqlite: data directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("sqlite: %s is not a directory", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return nil, fmt.Errorf("sqlite: data directory is open to others: %w", err)
		}
	}
	s := &Store{
		pool: &pool{dir: dir, max: c.MaxOpen, busy: c.Busy, now: c.Now,
			files: make(map[string]*file), freed: make(chan struct{})},
		random: c.Random,
	}
	return s, s.Ready(context.Background())
}

// OpenFiles returns how many tenants' files are open, for metrics.
func (s *Store) OpenFiles() int { return s.pool.openFiles() }

// Ready reports whether the directory can be written to.
func (s *Store) Ready(context.Context) error {
	s.pool.mu.Lock()
	closed := s.pool.closed
	s.pool.mu.Unlock()
	if closed {
		return errClosed
	}
	f, err := os.CreateTemp(s.pool.dir, ".ready-*")
	if err != nil {
		return fmt.Errorf("sqlite: data directory: %w", err)
	}
	_, err = f.Write([]byte{0})
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Close waits until no call is under way and closes all files.
func (s *Store) Close() error { return s.pool.close() }

// writeTx is a transaction on the one connection of a file that writes.
type writeTx struct {
	statements
	tx     *sql.Tx
	tenant string
}

// readTx is a snapshot of a file.
type readTx struct {
	statements
	tx     *sql.Tx
	tenant string
}

func (t *writeTx) exec(ctx context.Context, query string, args ...any) error {
	st, err := t.get(ctx, t.tx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return err
}

func (t *writeTx) row(ctx context.Context, query string, args ...any) (*sql.Row, error) {
	st, err := t.get(ctx, t.tx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryRowContext(ctx, args...), nil
}

func (t *readTx) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := t.get(ctx, t.tx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// write runs do in a transaction, creating the tenant's file when it is missing.
func (s *Store) write(ctx context.Context, tenant string, do func(*writeTx) error) error {
	f, err := s.pool.acquire(ctx, tenant, true)
	if err != nil {
		return classify(err)
	}
	defer s.pool.release(f)
	tx, err := f.writer.BeginTx(ctx, nil)
	if err != nil {
		return classify(err)
	}
	defer tx.Rollback()
	if err := do(&writeTx{f.writes, tx, tenant}); err != nil {
		return classify(err)
	}
	return classify(tx.Commit())
}

// read runs do on a snapshot. It reports false, without calling do, when the tenant has no file.
func (s *Store) read(ctx context.Context, tenant string, do func(*readTx) error) (bool, error) {
	f, err := s.pool.acquire(ctx, tenant, false)
	if err != nil {
		return false, classify(err)
	}
	if f == nil {
		return false, nil
	}
	defer s.pool.release(f)
	tx, err := f.reader.BeginTx(ctx, nil)
	if err != nil {
		return false, classify(err)
	}
	defer tx.Rollback()
	return true, classify(do(&readTx{f.reads, tx, tenant}))
}

// classify gives the errors of SQLite that a caller can do something about their meaning.
func classify(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case codeBusy, codeLocked:
			return fmt.Errorf("%w: %w", memory.ErrBusy, err)
		case codeFull:
			return fmt.Errorf("%w: %w", memory.ErrFull, err)
		}
	}
	return err
}

func (s *Store) newID() (string, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	return id.String(), err
}
