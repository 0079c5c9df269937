package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Backup writes the file of a tenant, as it is at one moment, to a path where nothing is yet, durably,
// while the store goes on. The copy is sealed by the same keys, which are not in it. ErrNotFound if the
// tenant does not exist.
func (s *Store) Backup(ctx context.Context, tenant, path string) error {
	f, err := s.pool.acquire(ctx, tenant, false)
	if err != nil {
		return classify(err)
	}
	if f == nil {
		return memory.ErrNotFound
	}
	defer s.pool.release(f)
	h, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite fills an empty file
	if err != nil {
		return classify(err)
	}
	// On a connection of its own: those of the pool are kept for requests.
	db, err := sql.Open("sqlite", source(filepath.Join(s.pool.dir, FileName(tenant)), s.busy))
	if err == nil {
		_, err = db.ExecContext(ctx, `VACUUM INTO ?`, path)
		err = errors.Join(err, db.Close())
	}
	if err = errors.Join(err, h.Sync(), h.Close()); err != nil {
		return errors.Join(classify(err), os.Remove(path))
	}
	return nil
}
