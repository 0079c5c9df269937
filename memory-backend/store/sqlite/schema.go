package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/memgate/memgate/memory-backend/search"
)

// schemaVersion is the version of the files that this package writes. It reads older ones by migrating
// them and refuses newer ones.
const schemaVersion = 1

// applicationID marks the files as ours in SQLite's header ("mgMB").
const applicationID = 0x6d674d42

var (
	// ErrNewerFile: a tenant's file was written by a newer version of this program.
	ErrNewerFile = errors.New("sqlite: file is of a newer version")
	// ErrForeignFile: a file in the data directory is not one of ours, or is another tenant's.
	ErrForeignFile = errors.New("sqlite: file belongs to something else")
)

// migrations[i] leads from version i to version i+1.
var migrations = []string{`
CREATE TABLE tenant (name TEXT NOT NULL) STRICT;

CREATE TABLE stats (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	docs     INTEGER NOT NULL, -- documents in the index
	terms    INTEGER NOT NULL, -- terms of all of them
	analysis INTEGER NOT NULL  -- the version of the rules that made terms of text
) STRICT;
INSERT INTO stats VALUES (1, 0, 0, 0);

CREATE TABLE agents (
	id          TEXT PRIMARY KEY,
	pattern     TEXT NOT NULL,
	description TEXT NOT NULL,
	created     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE memories (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	tenant     TEXT NOT NULL,
	agent      TEXT NOT NULL,
	user       TEXT NOT NULL,
	app        TEXT NOT NULL,
	run        TEXT NOT NULL,
	actor      TEXT NOT NULL,
	role       TEXT NOT NULL,
	title      TEXT NOT NULL,
	content    TEXT NOT NULL,
	type       TEXT NOT NULL,
	tags       TEXT NOT NULL,
	categories TEXT NOT NULL,
	metadata   TEXT NOT NULL,
	confidence REAL NOT NULL,
	status     TEXT NOT NULL,
	source     TEXT NOT NULL,
	source_ref TEXT NOT NULL,
	provenance TEXT NOT NULL,
	writer     TEXT NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL,
	expired_at INTEGER NOT NULL,
	expired_by TEXT NOT NULL,
	expires    INTEGER NOT NULL
) STRICT;
CREATE INDEX memories_created ON memories (created, seq);
CREATE INDEX memories_agent ON memories (agent, created, seq) WHERE agent <> '';
CREATE INDEX memories_user ON memories (user, created, seq) WHERE user <> '';
CREATE INDEX memories_app ON memories (app, created, seq) WHERE app <> '';
CREATE INDEX memories_run ON memories (run, created, seq) WHERE run <> '';

CREATE TABLE changes (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	id           TEXT NOT NULL,
	memory       TEXT NOT NULL,
	agent        TEXT NOT NULL,
	user         TEXT NOT NULL,
	event        TEXT NOT NULL,
	old          TEXT,
	old_metadata TEXT,
	writer       TEXT NOT NULL,
	at           INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_memory ON changes (memory, seq);

CREATE TABLE postings (
	term  TEXT NOT NULL,
	first INTEGER NOT NULL,
	data  BLOB NOT NULL,
	PRIMARY KEY (term, first)
) STRICT, WITHOUT ROWID;
`}

// migrate brings the file of a tenant to schemaVersion, and checks that it is this tenant's file.
func migrate(ctx context.Context, db *sql.DB, tenant string) error {
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
	case version > schemaVersion:
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewerFile, version, schemaVersion)
	case version == 0 && tables > 0, version > 0 && app != applicationID:
		return fmt.Errorf("%w: not a memory file", ErrForeignFile)
	}
	if version < schemaVersion {
		for v := version; v < schemaVersion; v++ {
			if _, err := tx.ExecContext(ctx, migrations[v]); err != nil {
				return fmt.Errorf("sqlite: migrate to version %d: %w", v+1, err)
			}
		}
		if version == 0 {
			if _, err := tx.ExecContext(ctx, `INSERT INTO tenant (name) VALUES (?)`, tenant); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d",
			schemaVersion, applicationID)); err != nil {
			return err
		}
	}
	var name string
	if err := tx.QueryRowContext(ctx, `SELECT name FROM tenant`).Scan(&name); err != nil {
		return fmt.Errorf("%w: %w", ErrForeignFile, err)
	}
	if name != tenant {
		return fmt.Errorf("%w: of another tenant", ErrForeignFile)
	}
	var analysis int
	if err := tx.QueryRowContext(ctx, `SELECT analysis FROM stats`).Scan(&analysis); err != nil {
		return err
	}
	if version == schemaVersion && analysis == search.Version {
		return nil
	}
	if analysis != search.Version {
		if err := reindex(ctx, &writeTx{tx: tx, tenant: tenant}); err != nil {
			return err
		}
	}
	return tx.Commit()
}
