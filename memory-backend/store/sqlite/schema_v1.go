package sqlite

// schema1 is the first schema, whose texts are not sealed. No file is left at it.
const schema1 = `
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
`
