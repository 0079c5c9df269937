package sqlite

import "context"

// schema3 adds what reviewers, holds and confirmation need to know of a memory, and records beside memories.
const schema3 = `
ALTER TABLE memories ADD COLUMN held INTEGER NOT NULL DEFAULT 0;        -- 1: in quarantine
ALTER TABLE memories ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;        -- 1: under a legal hold
ALTER TABLE memories ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0; -- until when it is valid unconfirmed
CREATE INDEX memories_held ON memories (created, seq) WHERE held = 1;

CREATE TABLE records (
	seq   INTEGER PRIMARY KEY AUTOINCREMENT,
	kind  TEXT NOT NULL,
	key   BLOB NOT NULL UNIQUE, -- hash of kind and name
	name  BLOB NOT NULL,        -- sealed
	value BLOB NOT NULL         -- sealed
) STRICT;
CREATE INDEX records_kind ON records (kind, seq);
`

// migrate3 leads from schema2 to schema3, if migrate2 has not done so.
func migrate3(ctx context.Context, t *writeTx) error {
	var done bool
	if err := t.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_table_info('memories') WHERE name = 'held')`).Scan(&done); err != nil || done {
		return err
	}
	_, err := t.tx.ExecContext(ctx, schema3)
	return err
}
