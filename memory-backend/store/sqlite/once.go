package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"

	"github.com/memgate/memgate/memory-backend/memory"
)

// once records a write that is to happen once, in the transaction that does it, and fails if it did.
func once(ctx context.Context, t *writeTx, w memory.Write) error {
	o := w.Once
	if o == nil {
		return nil
	}
	key, err := t.keys.Hash(hashOnce, o.Key)
	if err != nil {
		return err
	}
	record := hex.EncodeToString(key)
	request, err := t.keys.Hash(hashRequest, string(o.Request))
	if err != nil {
		return err
	}
	if err := t.exec(ctx, `DELETE FROM once WHERE expires <= ?`, micros(w.At)); err != nil {
		return err
	}
	var known, sealed []byte
	err = t.tx.QueryRowContext(ctx, `SELECT request, answer FROM once WHERE key = ?`, key).Scan(&known, &sealed)
	switch {
	case err == nil && !bytes.Equal(known, request):
		return memory.ErrReused
	case err == nil:
		answer, err := t.keys.Open(sealAnswer, record, sealed)
		if err != nil {
			return foreign(err)
		}
		return &memory.ReplayedError{Answer: answer}
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	s := sealing{keys: t.keys, record: record}
	answer := s.seal(sealAnswer, o.Answer)
	if s.err != nil {
		return s.err
	}
	if err := t.exec(ctx, `INSERT INTO once (key, request, answer, expires) VALUES (?, ?, ?, ?)`, key, request, answer,
		micros(w.At.Add(o.For))); err != nil {
		return err
	}
	// Whoever asks for more than fits loses the oldest.
	return t.exec(ctx, `DELETE FROM once WHERE key IN (SELECT key FROM once ORDER BY expires LIMIT max(0, (SELECT count(*) FROM once) - ?))`,
		memory.MaxOnce)
}
