package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Record implements memory.Store.
func (s *Store) Record(ctx context.Context, tenant, kind, name string) (value []byte, err error) {
	_, err = s.read(ctx, tenant, func(t *readTx) (err error) {
		value, err = record(ctx, t.tx, t.keys, kind, name)
		return err
	})
	return value, err
}

// record reads a record; nil if there is none.
func record(ctx context.Context, tx *sql.Tx, k sealer, kind, name string) ([]byte, error) {
	key, err := k.Hash(hashRecord+kind, name)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	err = tx.QueryRowContext(ctx, `SELECT value FROM records WHERE key = ?`, key).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value, err := k.Open(sealValue, hex.EncodeToString(key), sealed)
	return value, foreign(err)
}

// EditRecords implements memory.Store.
func (s *Store) EditRecords(ctx context.Context, tenant, kind string, names []string, edit func(name string, old []byte) ([]byte, error)) error {
	return s.write(ctx, tenant, true, func(t *writeTx) error {
		for _, name := range names {
			old, err := record(ctx, t.tx, t.keys, kind, name)
			if err != nil {
				return err
			}
			value, err := edit(name, old)
			if err != nil {
				return err
			}
			if err := putRecord(ctx, t, kind, name, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// putRecord replaces a record, or removes it for nil.
func putRecord(ctx context.Context, t *writeTx, kind, name string, value []byte) error {
	if len(value) > memory.MaxRecord {
		return fmt.Errorf("sqlite: a record of %d bytes is too long", len(value))
	}
	key, err := t.keys.Hash(hashRecord+kind, name)
	if err != nil {
		return err
	}
	if value == nil {
		return t.exec(ctx, `DELETE FROM records WHERE key = ?`, key)
	}
	k := sealing{keys: t.keys, record: hex.EncodeToString(key)}
	sealedName, sealedValue := k.seal(sealName, []byte(name)), k.seal(sealValue, value)
	if k.err != nil {
		return k.err
	}
	return t.exec(ctx, `INSERT INTO records (kind, key, name, value) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET name = excluded.name, value = excluded.value`, kind, key, sealedName, sealedValue)
}

// Records implements memory.Store.
func (s *Store) Records(ctx context.Context, tenant, kind string, after int64, limit int) ([]memory.Record, error) {
	var list []memory.Record
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		list = nil
		rows, err := t.tx.QueryContext(ctx, `SELECT seq, key, name, value FROM records WHERE kind = ? AND seq > ? ORDER BY seq LIMIT ?`, kind, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r memory.Record
			var key, name, value []byte
			if err := rows.Scan(&r.Seq, &key, &name, &value); err != nil {
				return err
			}
			k := sealing{keys: t.keys, record: hex.EncodeToString(key)}
			r.Name, r.Value = string(k.open(sealName, name)), k.open(sealValue, value)
			if k.err != nil {
				return foreign(k.err)
			}
			list = append(list, r)
		}
		return rows.Err()
	})
	return list, err
}

// forget removes what is left of memories that are deleted: their histories, who read them, and the answers that
// are kept for idempotency keys, which may repeat their text.
func forget(ctx context.Context, t *writeTx, ids []string) error {
	if err := t.exec(ctx, `DELETE FROM changes WHERE memory IN (SELECT value FROM json_each(?))`, jsonText(ids)); err != nil {
		return err
	}
	for _, id := range ids {
		if err := putRecord(ctx, t, memory.RecordAccess, id, nil); err != nil {
			return err
		}
	}
	return t.exec(ctx, `DELETE FROM once`)
}

// forgetDeleted removes the histories of memories that were deleted before and were a user's or an agent's, and
// the answers that are kept, also when there was nothing to delete.
func forgetDeleted(ctx context.Context, t *writeTx, w memory.Write) error {
	if err := t.exec(ctx, `DELETE FROM once`); err != nil {
		return err
	}
	const orphaned = ` FROM changes WHERE memory NOT IN (SELECT id FROM memories)`
	if w.ForgetAgent != "" {
		agent, err := t.keys.Hash(hashAgent, w.ForgetAgent)
		if err != nil {
			return err
		}
		if err := t.exec(ctx, `DELETE`+orphaned+` AND agent = ?`, agent); err != nil {
			return err
		}
	}
	if w.ForgetUser == "" {
		return nil
	}
	// Whom a change was about is sealed, so each that is left of a deleted memory is opened.
	var gone []int64
	collect := func() error {
		rows, err := t.tx.QueryContext(ctx, `SELECT seq, id, who`+orphaned)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq int64
			var id string
			var who []byte
			if err := rows.Scan(&seq, &id, &who); err != nil {
				return err
			}
			opened, err := t.keys.Open(sealWho, id, who)
			if err != nil {
				return foreign(err)
			}
			list, err := cutStrings(opened)
			if err != nil || len(list) < 2 {
				return errList
			}
			if list[0] == w.ForgetUser {
				gone = append(gone, seq)
			}
		}
		return rows.Err()
	}
	if err := collect(); err != nil {
		return err
	}
	for _, seq := range gone {
		if err := t.exec(ctx, `DELETE FROM changes WHERE seq = ?`, seq); err != nil {
			return err
		}
	}
	return nil
}
