package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/session"
)

// File keeps state in a SQLite file (with a write-ahead log), which several processes of
// one machine can have open. What one writes the others see within a tenth of a second.
// When the file is replaced, it is opened anew.
type File struct {
	path string
	now  func() time.Time

	write sync.Mutex // of this process; SQLite keeps the others apart

	mu   sync.RWMutex // held for reading while db is in use
	db   *sql.DB
	info fs.FileInfo // of what is open
}

const (
	applicationID = 0x6d677374
	schemaVersion = 1
	pollEvery     = 100 * time.Millisecond
	busy          = time.Second // for another process that writes
	connections   = 4
)

const schema = `
CREATE TABLE log (
	seq   INTEGER PRIMARY KEY AUTOINCREMENT,
	entry TEXT NOT NULL
) STRICT;
CREATE TABLE session (
	id      TEXT PRIMARY KEY,
	owner   TEXT NOT NULL,
	expires INTEGER NOT NULL, -- milliseconds of Unix time
	data    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_owner ON session (owner);
CREATE INDEX session_expires ON session (expires);
`

// Errors of a [File].
var (
	// ErrForeign is that a file is not one of this package, or of a newer version of it.
	ErrForeign = errors.New("state: not a state file of this version of memgate")
	// ErrOpen is that others than its owner may read or write the file.
	ErrOpen = errors.New("state: the file is open to others: chmod 600 it")

	errReplaced = errors.New("state: the file was replaced or cut back")
)

// OpenFile opens the file at path, which it makes where there is none, with mode 0600.
func OpenFile(path string, now func() time.Time) (*File, error) {
	f := &File{path: path, now: now}
	return f, f.open()
}

func (f *File) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	// SQLite gives its other files the mode of this one.
	h, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	info, err := h.Stat()
	if closed := h.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
		return fmt.Errorf("state: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no regular file", ErrForeign, f.path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%w: %s (mode %#o)", ErrOpen, f.path, info.Mode().Perm())
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)",
		"trusted_schema(0)", "temp_store(MEMORY)", "journal_size_limit(16777216)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: f.path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := migrate(db); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.path, err), db.Close())
	}
	f.db, f.info = db, info
	return nil
}

func migrate(db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*busy)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	defer tx.Rollback()
	var version, app, tables int
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`).Scan(&version, &app, &tables); err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	switch {
	case version == schemaVersion && app == applicationID:
		return nil
	case version != 0 || app != 0 || tables != 0:
		return ErrForeign
	}
	if _, err := tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", schemaVersion, applicationID)); err != nil {
		return err
	}
	return tx.Commit()
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.db.Close()
}

// reopen opens what is at the path now, if that is another file.
func (f *File) reopen() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := os.Stat(f.path); err == nil && os.SameFile(info, f.info) {
		return false, nil
	}
	old := f.db
	if err := f.open(); err != nil {
		return false, err
	}
	return true, old.Close()
}

// change runs a transaction that writes.
func (f *File) change(ctx context.Context, work func(*sql.Tx) error) error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer tx.Rollback()
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func add(ctx context.Context, tx *sql.Tx, e revocation.Entry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO log (entry) VALUES (?)`, e.Marshal())
	return err
}

// Add implements [revocation.Log].
func (f *File) Add(ctx context.Context, entries ...revocation.Entry) error {
	return f.change(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM log`).Scan(&n); err != nil {
			return err
		}
		if n >= revocation.MaxEntries {
			return revocation.ErrFull
		}
		for _, e := range entries {
			if err := e.Valid(); err != nil {
				return err
			}
			if err := add(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Read implements [revocation.Log].
func (f *File) Read(ctx context.Context, after string, wait time.Duration) (revocation.Page, error) {
	replaced, err := f.reopen()
	if err != nil {
		return revocation.Page{}, err
	}
	if replaced && after != "" {
		return revocation.Page{}, errReplaced
	}
	seq := int64(0)
	if after != "" {
		if seq, err = strconv.ParseInt(after, 10, 64); err != nil {
			return revocation.Page{}, fmt.Errorf("state: not a position: %w", err)
		}
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		page, err := f.page(ctx, seq)
		if err != nil || len(page.Entries) > 0 || wait <= 0 {
			return page, err
		}
		select {
		case <-ctx.Done():
			return page, ctx.Err()
		case <-timeout.C:
			return page, nil
		case <-tick.C:
		}
	}
}

func (f *File) page(ctx context.Context, after int64) (revocation.Page, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	page := revocation.Page{Next: strconv.FormatInt(after, 10)}
	// The highest number that was ever given, which goes back only when an older state of
	// the file was restored.
	var last int64
	err := f.db.QueryRowContext(ctx, `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0)`).Scan(&last)
	switch {
	case err != nil:
		return page, fmt.Errorf("state: %w", err)
	case last < after:
		return page, errReplaced
	case last == after:
		return page, nil
	}
	rows, err := f.db.QueryContext(ctx, `SELECT seq, entry FROM log WHERE seq > ? ORDER BY seq LIMIT ?`, after, pageSize)
	if err != nil {
		return page, fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var text string
		if err := rows.Scan(&seq, &text); err != nil {
			return page, fmt.Errorf("state: %w", err)
		}
		e, err := revocation.Parse(text)
		if err != nil {
			return page, fmt.Errorf("%w: number %d", err, seq)
		}
		page.Next = strconv.FormatInt(seq, 10)
		page.Entries = append(page.Entries, revocation.Placed{Entry: e, Position: page.Next})
	}
	page.More = len(page.Entries) == pageSize
	return page, rows.Err()
}

// Remove implements [revocation.Log].
func (f *File) Remove(ctx context.Context, positions ...string) error {
	return f.change(ctx, func(tx *sql.Tx) error {
		for _, position := range positions {
			if _, err := tx.ExecContext(ctx, `DELETE FROM log WHERE seq = ?`, position); err != nil {
				return err
			}
		}
		return nil
	})
}

// Insert implements [session.Backend].
func (f *File) Insert(ctx context.Context, s session.Stored, limit int) error {
	return f.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE expires <= ?`, f.now().UnixMilli()); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM session`).Scan(&n); err != nil {
			return err
		}
		if n >= limit {
			return session.ErrFull
		}
		r, err := tx.ExecContext(ctx, `INSERT INTO session (id, owner, expires, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			s.ID, s.Owner, s.Expires.UnixMilli()+1, s.Data)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(session.ErrTaken, err)
		}
		return nil
	})
}

// Replace implements [session.Backend].
func (f *File) Replace(ctx context.Context, old []byte, next session.Stored, tell bool) (bool, error) {
	var n int64
	err := f.change(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE session SET expires = ?, data = ? WHERE id = ? AND owner = ? AND data = ?`,
			next.Expires.UnixMilli()+1, next.Data, next.ID, next.Owner, old)
		if err != nil {
			return err
		}
		if n, err = r.RowsAffected(); err != nil || n == 0 || !tell {
			return err
		}
		return add(ctx, tx, changed(next.ID, f.now()))
	})
	return n > 0 && err == nil, err
}

// Load implements [session.Backend].
func (f *File) Load(ctx context.Context, id string) ([]byte, error) {
	all, err := f.sessions(ctx, `SELECT data FROM session WHERE id = ?`, id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

// Of implements [session.Backend].
func (f *File) Of(ctx context.Context, owner string) ([][]byte, error) {
	return f.sessions(ctx, `SELECT data FROM session WHERE owner = ?`, owner)
}

// All implements [session.Backend].
func (f *File) All(ctx context.Context, limit int) ([][]byte, error) {
	return f.sessions(ctx, `SELECT data FROM session ORDER BY expires DESC LIMIT ?`, limit)
}

func (f *File) sessions(ctx context.Context, query string, args ...any) ([][]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	rows, err := f.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	var all [][]byte
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		all = append(all, data)
	}
	return all, rows.Err()
}

// End implements [session.Backend].
func (f *File) End(ctx context.Context, ids ...string) ([]string, error) {
	var gone []string
	err := f.change(ctx, func(tx *sql.Tx) error {
		gone = nil
		for _, id := range ids {
			r, err := tx.ExecContext(ctx, `DELETE FROM session WHERE id = ?`, id)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				continue
			}
			if err := add(ctx, tx, ended(id, f.now())); err != nil {
				return err
			}
			gone = append(gone, id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// Len implements [session.Backend].
func (f *File) Len(ctx context.Context) (n int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	err = f.db.QueryRowContext(ctx, `SELECT count(*) FROM session WHERE expires > ?`, f.now().UnixMilli()).Scan(&n)
	return n, err
}
