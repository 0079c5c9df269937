// Package sqlite keeps memories in SQLite: one file per tenant, in WAL mode with full synchronization,
// through the pure Go port of SQLite.
//
// What a file says is sealed with the keys of its tenant, and what is looked up in it is a keyed hash. A
// file has the mode 0600 in a directory of 0700, and at most Config.MaxOpen are open at a time. What is
// acknowledged was written to the disk. What is deleted is overwritten (secure_delete).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

// Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeCorrupt  = 11
	codeFull     = 13
	codeNotADB   = 26
)

// Extended result codes of SQLite: what the disk did not take.
const (
	codeWrite    = 10 | 3<<8
	codeFsync    = 10 | 4<<8
	codeTruncate = 10 | 6<<8
	codeShmSize  = 10 | 19<<8
)

// Config says where and how to store.
type Config struct {
	Dir     string           // created with mode 0700 when missing; must not be open to others
	MaxOpen int              // tenants' files open at a time; 64 when 0
	Busy    time.Duration    // how long to wait for another process's lock; 5 s when 0
	Now     func() time.Time // required
	Random  io.Reader        // for ids of changes; required
	Keys    *crypt.Keyring   // nil: files are not encrypted
	// VectorMemory is how many bytes of opened vectors are kept for searching; 256 MiB when 0. Those of a tenant that
	// has more are read and opened for each search.
	VectorMemory int64
}

// Store implements memory.Store.
type Store struct {
	pool    *pool
	random  io.Reader
	busy    time.Duration
	keyring *crypt.Keyring
	vectors *vectorCache
	lock    *os.File   // held as long as the store is open
	alone   sync.Mutex // held while it is held exclusively
}

var _ memory.VectorStore = (*Store)(nil)

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
	if c.VectorMemory <= 0 {
		c.VectorMemory = 256 << 20
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
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlite: data directory: %w", err)
	}
	s := &Store{
		pool: &pool{dir: dir, max: c.MaxOpen, now: c.Now,
			files: make(map[string]*file), freed: make(chan struct{}), closing: make(map[string]bool)},
		random: c.Random, busy: c.Busy, keyring: c.Keys, vectors: newVectorCache(c.VectorMemory), lock: lock,
	}
	s.pool.load = func(f *file, create bool) error { return s.openFile(f, create) }
	if err := errors.Join(share(lock), s.Ready(context.Background())); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
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
func (s *Store) Close() error {
	err := s.pool.close()
	if e := s.lock.Close(); !errors.Is(e, os.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// writeTx is a transaction on the one connection of a file that writes.
type writeTx struct {
	statements
	tx     *sql.Tx
	tenant string
	keys   sealer
}

// readTx is a snapshot of a file.
type readTx struct {
	statements
	tx     *sql.Tx
	tenant string
	keys   sealer
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

// write runs do in a transaction. The tenant's file is made when it is missing and create is set, else that
// is ErrNotFound.
func (s *Store) write(ctx context.Context, tenant string, create bool, do func(*writeTx) error) error {
	f, err := s.pool.acquire(ctx, tenant, create)
	if err != nil {
		return classify(err)
	}
	if f == nil {
		return memory.ErrNotFound
	}
	defer s.pool.release(f)
	tx, err := f.writer.BeginTx(ctx, nil)
	if err != nil {
		return classify(err)
	}
	defer tx.Rollback()
	// Nobody else writes now, so what is sealed with these keys is there before others can retire them.
	k, err := s.keys(ctx, tenant, true)
	if err != nil {
		return classify(err)
	}
	if err := do(&writeTx{f.writes, tx, tenant, k}); err != nil {
		return classify(err)
	}
	return classify(tx.Commit())
}

// read runs do on a snapshot, and once more if that holds what newer keys sealed. It reports false,
// without calling do, when the tenant has no file.
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
	k, err := s.keys(ctx, tenant, false)
	if err != nil {
		return false, classify(err)
	}
	err = do(&readTx{f.reads, tx, tenant, k})
	if errors.Is(err, crypt.ErrSealed) {
		newer, failed := s.keys(ctx, tenant, true)
		if failed != nil {
			return false, classify(failed)
		}
		if newer != k {
			err = do(&readTx{f.reads, tx, tenant, newer})
		}
	}
	return true, classify(err)
}

// classify gives the errors that a caller can do something about their meaning.
func classify(err error) error {
	meaning := error(nil)
	var e *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		switch e.Code() & 0xff {
		case codeBusy, codeLocked:
			meaning = memory.ErrBusy
		case codeFull:
			meaning = memory.ErrFull
		case codeReadOnly:
			meaning = memory.ErrReadOnly
		case codeCorrupt, codeNotADB:
			meaning = memory.ErrCorrupt
		}
		switch e.Code() {
		case codeWrite, codeFsync, codeTruncate, codeShmSize:
			meaning = memory.ErrReadOnly
		}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		meaning = memory.ErrFull
	case errors.Is(err, syscall.EROFS):
		meaning = memory.ErrReadOnly
	case errors.Is(err, crypt.ErrUnavailable):
		meaning = memory.ErrKeys
	case errors.Is(err, crypt.ErrNoKeys), errors.Is(err, crypt.ErrWrongMaster), errors.Is(err, crypt.ErrSealed),
		errors.Is(err, ErrForeignFile), errors.Is(err, search.ErrCorrupt), errors.Is(err, errList):
		meaning = memory.ErrCorrupt
	}
	if meaning == nil {
		return err
	}
	return fmt.Errorf("%w: %w", meaning, err)
}

func (s *Store) newID() (string, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	return id.String(), err
}
