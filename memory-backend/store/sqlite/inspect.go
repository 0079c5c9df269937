package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/memgate/memgate/memory-backend/crypt"
)

// Inspection is what is found in a tenant's file without changing it.
type Inspection struct {
	Tenant  string
	Version int  // of its schema
	Newest  int  // that this program knows
	Sealed  bool // whether it is encrypted
}

// Inspect looks at the file at a path: whose it is, whether SQLite finds it sound, and whether the keys open it
// (nil for no encryption). It brings nothing up to date. The error says the first thing that is wrong.
func Inspect(ctx context.Context, path string, keys *crypt.Keyring) (i Inspection, err error) {
	i.Newest = len(migrations)
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	if err != nil {
		return i, err
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&i.Version); err != nil {
		return i, classify(err)
	}
	if err := db.QueryRowContext(ctx, `SELECT name FROM tenant`).Scan(&i.Tenant); err != nil {
		return i, fmt.Errorf("%w: %w", ErrForeignFile, err)
	}
	if FileName(i.Tenant) != filepath.Base(path) {
		return i, fmt.Errorf("%w: the file of another tenant", ErrForeignFile)
	}
	if i.Version > i.Newest {
		return i, fmt.Errorf("%w: version %d, this program knows %d", ErrNewerFile, i.Version, i.Newest)
	}
	var sound string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&sound); err != nil {
		return i, classify(err)
	}
	if sound != "ok" {
		return i, fmt.Errorf("sqlite: damaged: %s", sound)
	}
	if i.Version < 2 {
		return i, nil // not sealed yet
	}
	var value []byte
	if err := db.QueryRowContext(ctx, `SELECT sealed, probe FROM tenant`).Scan(&i.Sealed, &value); err != nil {
		return i, classify(err)
	}
	if i.Sealed != (keys != nil) {
		return i, ErrSealedFile
	}
	if keys == nil {
		return i, nil
	}
	k, err := keys.Tenant(ctx, i.Tenant, true)
	if err != nil {
		return i, err
	}
	if got, err := k.Open(sealCheck, "", value); err != nil || string(got) != probe {
		return i, fmt.Errorf("%w: these are not the keys of the file", errors.Join(ErrForeignFile, err))
	}
	return i, nil
}
