package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/memgate/memgate/memory-backend/crypt"
)

// FileName returns the name of a tenant's file: a hash, so that any string whatever is a safe name. The
// file itself holds the tenant's real name, which is compared when it is opened.
func FileName(tenant string) string { return crypt.FileName(tenant) + ".db" }

// lockFile is locked, shared, by every process that has the directory open.
const lockFile = ".lock"

// file is the open file of one tenant: one connection that writes and a few that read.
type file struct {
	tenant  string
	writer  *sql.DB
	reader  *sql.DB
	writes  statements
	reads   statements
	opened  chan struct{} // closed when err, writer and reader are set
	err     error
	holders int       // guarded by the pool
	used    time.Time // guarded by the pool
}

// statements are prepared once per file, by their text.
type statements map[string]*sql.Stmt

// get returns the statement bound to the transaction.
func (s statements) get(ctx context.Context, tx *sql.Tx, query string) (*sql.Stmt, error) {
	if st := s[query]; st != nil {
		return tx.StmtContext(ctx, st), nil
	}
	return tx.PrepareContext(ctx, query)
}

// prepare prepares the statements that are run most.
func prepare(ctx context.Context, db *sql.DB, queries ...string) (statements, error) {
	s := make(statements, len(queries))
	for _, q := range queries {
		st, err := db.PrepareContext(ctx, q)
		if err != nil {
			return nil, err
		}
		s[q] = st
	}
	return s, nil
}

// exists reports whether the tenant has a file.
func exists(dir, tenant string) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, FileName(tenant)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// source returns what opens the file at a path, with pragmas beyond those of every connection.
func source(path string, busy time.Duration, extra ...string) string {
	q := url.Values{"_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"secure_delete(1)",
		"trusted_schema(0)",
		"temp_store(MEMORY)",
		"cache_size(-8192)", // KiB
	}, extra...), "_txlock": {"immediate"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// openFile opens the file of a tenant. When it is missing it is made if create is set, else that is
// fs.ErrNotExist.
func (s *Store) openFile(f *file, create bool) error {
	path := filepath.Join(s.pool.dir, FileName(f.tenant))
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	// SQLite gives its journal files the mode of the main file, so only that one must be right.
	h, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	info, err := h.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a regular file", ErrForeignFile, filepath.Base(path))
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = h.Chmod(0o600)
	}
	if closeErr := h.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	dsn := func(extra ...string) string { return source(path, s.busy, extra...) }
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.busy+time.Minute)
	defer cancel()
	if f.writer, err = sql.Open("sqlite", dsn("journal_size_limit(67108864)")); err != nil {
		return err
	}
	f.writer.SetMaxOpenConns(1)
	err = s.migrate(ctx, f.writer, f.tenant)
	if err == nil {
		f.writes, err = prepare(ctx, f.writer, sqlBlockFor, sqlPutBlock, sqlDropBlock, sqlStats, sqlInsert, sqlLabel, sqlChange)
	}
	if err == nil {
		f.reader, err = sql.Open("sqlite", strings.Replace(dsn("query_only(1)"), "_txlock=immediate", "_txlock=deferred", 1))
	}
	if err == nil {
		f.reader.SetMaxOpenConns(4)
		f.reader.SetMaxIdleConns(2)
		f.reads, err = prepare(ctx, f.reader, sqlBlocks, sqlExtent)
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	return nil
}

func (f *file) close() error {
	var errs []error
	for _, db := range []*sql.DB{f.reader, f.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
