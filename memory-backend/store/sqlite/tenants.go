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

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// DropTenant implements memory.Store. It fails with memory.ErrBusy while another process has the directory
// open, as that one could go on writing into a file that is gone.
func (s *Store) DropTenant(ctx context.Context, tenant string) (memory.Dropped, error) {
	dropped := memory.Dropped{Memories: -1}
	if _, n, err := s.List(ctx, tenant, memory.ListQuery{Limit: 1, Total: true}); err == nil {
		dropped.Memories = n
	}
	err := s.pool.alone(ctx, tenant, func() error {
		s.alone.Lock()
		defer s.alone.Unlock()
		if err := exclude(s.lock); err != nil {
			return fmt.Errorf("sqlite: another process has the data open: %w", err)
		}
		defer share(s.lock) // cannot fail: we hold more
		s.vectors.drop(tenant)
		found := false
		if s.keyring != nil {
			keys, err := s.keyring.Destroy(tenant)
			if err != nil && !errors.Is(err, crypt.ErrNoKeys) {
				return err
			}
			found, dropped.Keys = err == nil, keys
		}
		path := filepath.Join(s.pool.dir, FileName(tenant))
		for _, suffix := range []string{"-wal", "-shm", "-journal", ""} {
			err := os.Remove(path + suffix)
			if err == nil {
				found = true
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if !found {
			return memory.ErrNotFound
		}
		return syncDir(s.pool.dir)
	})
	return dropped, classify(err)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Tenants implements memory.Store. Files that are not tenants' are passed over, damaged ones too.
func (s *Store) Tenants(ctx context.Context, yield func(tenant string) bool) error {
	files, err := os.ReadDir(s.pool.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".db") {
			continue
		}
		name, err := tenantOf(ctx, filepath.Join(s.pool.dir, f.Name()))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && FileName(name) == f.Name() && !yield(name) {
			return nil
		}
	}
	return nil
}

// tenantOf reads whose a file is.
func tenantOf(ctx context.Context, path string) (name string, err error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, `SELECT name FROM tenant`).Scan(&name)
	return name, err
}
