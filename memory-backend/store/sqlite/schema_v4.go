package sqlite

import "context"

// schema4 adds dense vectors. What changes them counts in stats, so that a copy of them in memory can tell whether it is
// what the file says: vectors has those that came since a number, and removals grows when one went or was replaced.
const schema4 = `
ALTER TABLE stats ADD COLUMN vectors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stats ADD COLUMN removals INTEGER NOT NULL DEFAULT 0;

CREATE TABLE vectors (
	seq    INTEGER PRIMARY KEY, -- of the memory
	id     TEXT NOT NULL,       -- of the memory
	space  TEXT NOT NULL,       -- model and length
	change INTEGER NOT NULL,
	vector BLOB NOT NULL        -- sealed
) STRICT;
CREATE INDEX vectors_change ON vectors (space, change);
`

// migrate4 leads from schema3 to schema4.
func migrate4(ctx context.Context, t *writeTx) error {
	_, err := t.tx.ExecContext(ctx, schema4)
	return err
}
