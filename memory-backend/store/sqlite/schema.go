package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/memgate/memgate/memory-backend/search"
)

// applicationID marks the files as ours in SQLite's header ("mgMB").
const applicationID = 0x6d674d42

var (
	// ErrNewerFile: a tenant's file was written by a newer version of this program.
	ErrNewerFile = errors.New("sqlite: file is of a newer version")
	// ErrForeignFile: a file in the data directory is not one of ours, or is another tenant's.
	ErrForeignFile = errors.New("sqlite: file belongs to something else")
	// ErrSealedFile: a tenant's file is encrypted and the store has no keys, or the other way round.
	ErrSealedFile = errors.New("sqlite: file and store do not agree on encryption")
)

// migrations[i] leads from version i to version i+1. A file is brought from where it is to the last one in
// one transaction, so that it is whole at each moment; newer ones are refused. What a migration leaves in
// free pages is overwritten, and then given back to the disk.
var migrations = []func(context.Context, *writeTx) error{
	func(ctx context.Context, t *writeTx) error {
		if _, err := t.tx.ExecContext(ctx, schema1); err != nil {
			return err
		}
		_, err := t.tx.ExecContext(ctx, `INSERT INTO tenant (name) VALUES (?)`, t.tenant)
		return err
	},
	migrate2,
	migrate3,
	migrate4,
}

// probe is what the probe of a file opens to.
const probe = "memgate"

// migrate brings the file of a tenant to the newest schema, and checks that it is this tenant's file and
// that the store has its keys.
func (s *Store) migrate(ctx context.Context, db *sql.DB, tenant string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version, app, tables int
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`).
		Scan(&version, &app, &tables); err != nil {
		return err
	}
	switch {
	case version > len(migrations):
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewerFile, version, len(migrations))
	case version == 0 && tables > 0, version > 0 && app != applicationID:
		return fmt.Errorf("%w: not a memory file", ErrForeignFile)
	}
	if version > 0 {
		var name string
		if err := tx.QueryRowContext(ctx, `SELECT name FROM tenant`).Scan(&name); err != nil {
			return fmt.Errorf("%w: %w", ErrForeignFile, err)
		}
		if name != tenant {
			return fmt.Errorf("%w: of another tenant", ErrForeignFile)
		}
	}
	t := &writeTx{tx: tx, tenant: tenant}
	if t.keys, err = s.keysFor(ctx, t, version); err != nil {
		return err
	}
	for _, m := range migrations[version:] {
		if err := m(ctx, t); err != nil {
			return fmt.Errorf("sqlite: migrate from version %d: %w", version, err)
		}
	}
	if version < 2 {
		sealed, err := t.keys.Seal(sealCheck, "", []byte(probe))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE tenant SET sealed = ?, probe = ?`, s.keyring != nil, sealed); err != nil {
			return err
		}
	}
	var analysis int
	if err := tx.QueryRowContext(ctx, `SELECT analysis FROM stats`).Scan(&analysis); err != nil {
		return err
	}
	if version == len(migrations) && analysis == search.Version {
		return nil
	}
	if analysis != search.Version {
		if err := reindex(ctx, t); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d",
		len(migrations), applicationID)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil || version == 0 || version == len(migrations) {
		return err
	}
	if _, err := db.ExecContext(ctx, `VACUUM`); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// keysFor returns the keys of a file, and makes them for one that has none yet.
func (s *Store) keysFor(ctx context.Context, t *writeTx, version int) (sealer, error) {
	if version < 2 {
		if s.keyring == nil {
			return plain{}, nil
		}
		return s.keyring.Create(ctx, t.tenant)
	}
	var sealed bool
	var value []byte
	if err := t.tx.QueryRowContext(ctx, `SELECT sealed, probe FROM tenant`).Scan(&sealed, &value); err != nil {
		return nil, err
	}
	if sealed != (s.keyring != nil) {
		if sealed {
			return nil, fmt.Errorf("%w: it is encrypted, and no master key was given", ErrSealedFile)
		}
		return nil, fmt.Errorf("%w: it is not encrypted", ErrSealedFile)
	}
	k, err := s.keys(ctx, t.tenant, true)
	if err != nil {
		return nil, err
	}
	if got, err := k.Open(sealCheck, "", value); err != nil || string(got) != probe {
		return nil, fmt.Errorf("%w: these are not the keys of the file", errors.Join(ErrForeignFile, err))
	}
	return k, nil
}
