package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/memgate/memgate/memory-backend/memory"
)

// schema2 holds every text sealed and every key of a look-up hashed.
const schema2 = `
ALTER TABLE tenant ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0; -- 1: by the tenant's keys
ALTER TABLE tenant ADD COLUMN probe BLOB NOT NULL DEFAULT x'';   -- a value that only these open

DROP TABLE postings;
CREATE TABLE postings (
	term  BLOB NOT NULL, -- hash
	first INTEGER NOT NULL,
	data  BLOB NOT NULL,
	PRIMARY KEY (term, first)
) STRICT, WITHOUT ROWID;
UPDATE stats SET docs = 0, terms = 0, analysis = 0;

ALTER TABLE agents RENAME TO agents1;
CREATE TABLE agents (
	id      BLOB PRIMARY KEY, -- hash
	info    BLOB NOT NULL,    -- sealed
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX memories_created;
DROP INDEX memories_agent;
DROP INDEX memories_user;
DROP INDEX memories_app;
DROP INDEX memories_run;
ALTER TABLE memories RENAME TO memories1;
CREATE TABLE memories (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	tenant     TEXT NOT NULL,
	version    INTEGER NOT NULL,
	agent      BLOB NOT NULL, -- hashes, empty for none
	user       BLOB NOT NULL,
	app        BLOB NOT NULL,
	run        BLOB NOT NULL,
	tags       INTEGER NOT NULL, -- how many
	categories INTEGER NOT NULL,
	type       TEXT NOT NULL,
	status     TEXT NOT NULL,
	provenance TEXT NOT NULL,
	confidence REAL NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL,
	expired_at INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	title      BLOB NOT NULL, -- sealed, as all that follows
	content    BLOB NOT NULL,
	labels     BLOB NOT NULL, -- tags and categories
	metadata   BLOB NOT NULL,
	origin     BLOB NOT NULL, -- where it came from
	same       BLOB NOT NULL  -- but for this: the hash of the content
) STRICT;
CREATE INDEX memories_created ON memories (created, seq);
CREATE INDEX memories_updated ON memories (updated, seq);
CREATE INDEX memories_agent ON memories (agent, created, seq) WHERE agent <> x'';
CREATE INDEX memories_user ON memories (user, created, seq) WHERE user <> x'';
CREATE INDEX memories_app ON memories (app, created, seq) WHERE app <> x'';
CREATE INDEX memories_run ON memories (run, created, seq) WHERE run <> x'';
CREATE INDEX memories_same ON memories (same);

CREATE TABLE labels (
	label BLOB NOT NULL, -- hash of a tag, category or member of the metadata
	seq   INTEGER NOT NULL,
	PRIMARY KEY (label, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_seq ON labels (seq);

DROP INDEX changes_memory;
ALTER TABLE changes RENAME TO changes1;
CREATE TABLE changes (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	id           TEXT NOT NULL,
	memory       TEXT NOT NULL,
	agent        BLOB NOT NULL, -- hash
	event        TEXT NOT NULL,
	old          BLOB, -- sealed
	old_metadata BLOB, -- sealed
	who          BLOB NOT NULL, -- sealed: user and writer
	at           INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_memory ON changes (memory, seq);

CREATE TABLE once (
	key     BLOB PRIMARY KEY, -- hash
	request BLOB NOT NULL,    -- hash
	answer  BLOB NOT NULL,    -- sealed
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX once_expires ON once (expires);
`

// migrate2 leads from schema1 to schema2, and takes schema3 along.
func migrate2(ctx context.Context, t *writeTx) error {
	// Memories are written as they are today, so what they are written to must be as it is today.
	if _, err := t.tx.ExecContext(ctx, schema2+schema3); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *writeTx) error{migrateMemories2, migrateChanges2, migrateAgents2} {
		if err := step(ctx, t); err != nil {
			return err
		}
	}
	_, err := t.tx.ExecContext(ctx, `
		UPDATE sqlite_sequence SET seq = (SELECT max(o.seq) FROM sqlite_sequence AS o WHERE o.name IN ('memories', 'memories1'))
			WHERE name = 'memories';
		DROP TABLE memories1; DROP TABLE changes1; DROP TABLE agents1`)
	return err
}

// each calls do for every row of a query that selects behind a number, in steps.
func each(ctx context.Context, t *writeTx, query string, scan func(*sql.Rows) (int64, error), do func() error) error {
	for after := int64(-1); ; {
		rows, err := t.tx.QueryContext(ctx, query+` LIMIT 200`, after)
		if err != nil {
			return err
		}
		n := 0
		for ; rows.Next(); n++ {
			if after, err = scan(rows); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		if err := do(); err != nil || n == 0 {
			return err
		}
	}
}

func migrateMemories2(ctx context.Context, t *writeTx) error {
	var batch []*memory.Memory
	return each(ctx, t, `SELECT seq, id, agent, user, app, run, actor, role, title, content, type, tags, categories, metadata,
		confidence, status, source, source_ref, provenance, writer, created, updated, expired_at, expired_by, expires
		FROM memories1 WHERE seq > ? ORDER BY seq`, func(rows *sql.Rows) (int64, error) {
		m := &memory.Memory{Version: 1}
		var tags, categories, metadata []byte
		var created, updated, expiredAt, expires int64
		if err := rows.Scan(&m.Seq, &m.ID, &m.Agent, &m.User, &m.App, &m.Run, &m.Actor, &m.Role, &m.Title, &m.Content,
			&m.Type, &tags, &categories, &metadata, &m.Confidence, &m.Status, &m.Source, &m.SourceRef, &m.Provenance,
			&m.Writer, &created, &updated, &expiredAt, &m.ExpiredBy, &expires); err != nil {
			return 0, err
		}
		if err := json.Unmarshal(tags, &m.Tags); err != nil {
			return 0, err
		}
		if err := json.Unmarshal(categories, &m.Category); err != nil {
			return 0, err
		}
		if string(metadata) != "{}" {
			m.Metadata = metadata
		}
		m.Created, m.Updated = fromMicros(created), fromMicros(updated)
		m.ExpiredAt, m.Expires = fromMicros(expiredAt), fromMicros(expires)
		batch = append(batch, m)
		return m.Seq, nil
	}, func() error {
		for _, m := range batch {
			if err := insert(ctx, t, m, m.Seq); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	})
}

func migrateChanges2(ctx context.Context, t *writeTx) error {
	type change struct {
		seq, at                               int64
		id, memory, agent, user, event, write string
		old, oldMetadata                      sql.NullString
	}
	var batch []change
	return each(ctx, t, `SELECT seq, id, memory, agent, user, event, old, old_metadata, writer, at FROM changes1
		WHERE seq > ? ORDER BY seq`, func(rows *sql.Rows) (int64, error) {
		var c change
		err := rows.Scan(&c.seq, &c.id, &c.memory, &c.agent, &c.user, &c.event, &c.old, &c.oldMetadata, &c.write, &c.at)
		batch = append(batch, c)
		return c.seq, err
	}, func() error {
		for _, c := range batch {
			s := sealing{keys: t.keys, record: c.id}
			var old, oldMetadata any
			if c.old.Valid {
				if c.oldMetadata.String == "{}" {
					c.oldMetadata.String = ""
				}
				old, oldMetadata = s.seal(sealOld, []byte(c.old.String)), s.seal(sealOldMeta, []byte(c.oldMetadata.String))
			}
			args := []any{c.id, c.memory, s.hash(hashAgent, c.agent), c.event, old, oldMetadata,
				s.seal(sealWho, appendStrings(nil, c.user, c.write)), c.at}
			if s.err != nil {
				return s.err
			}
			if err := t.exec(ctx, sqlChange, args...); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	})
}

func migrateAgents2(ctx context.Context, t *writeTx) error {
	rows, err := t.tx.QueryContext(ctx, `SELECT id, pattern, description, created FROM agents1`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []memory.Agent
	for rows.Next() {
		var a memory.Agent
		var created int64
		if err := rows.Scan(&a.ID, &a.Pattern, &a.Description, &created); err != nil {
			return err
		}
		a.Created = fromMicros(created)
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, a := range list {
		if _, err := insertAgent(ctx, t, a); err != nil {
			return err
		}
	}
	return nil
}
