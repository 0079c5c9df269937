package sqlite

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/memgate/memgate/memory-backend/memory"
)

const (
	sqlPutVector = `INSERT INTO vectors (seq, id, space, change, vector) VALUES (?, ?, ?, (SELECT vectors FROM stats), ?)
		ON CONFLICT (seq) DO UPDATE SET space = excluded.space, change = excluded.change, vector = excluded.vector`
	sqlCountVector = `UPDATE stats SET vectors = vectors + 1, removals = removals + (SELECT count(*) FROM vectors WHERE seq = ?)`
)

// encodeVector returns the numbers of a vector one after the other, as 32 bits in little endian.
func encodeVector(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// decodeVector reads what encodeVector wrote of a vector of this length.
func decodeVector(b []byte, dimensions int) ([]float32, error) {
	if len(b) != 4*dimensions {
		return nil, errList
	}
	v := make([]float32, dimensions)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v, nil
}

// putVector stores the vector of a memory, in the place of any that it has. One of another length than its space has is
// left out.
func putVector(ctx context.Context, t *writeTx, space memory.Space, seq int64, id string, v []float32) error {
	if len(v) == 0 || len(v) != space.Dimensions {
		return nil
	}
	sealed, err := t.keys.Seal(sealVector, id, encodeVector(v))
	if err != nil {
		return err
	}
	if err := t.exec(ctx, sqlCountVector, seq); err != nil {
		return err
	}
	return t.exec(ctx, sqlPutVector, seq, id, space.String(), sealed)
}

// dropVectors removes the vectors that a condition selects.
func dropVectors(ctx context.Context, t *writeTx, condition string, args ...any) error {
	result, err := t.tx.ExecContext(ctx, `DELETE FROM vectors WHERE `+condition, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return t.exec(ctx, `UPDATE stats SET removals = removals + 1`)
}

// SetVectors implements memory.VectorStore.
func (s *Store) SetVectors(ctx context.Context, tenant string, space memory.Space, list []memory.Embedded) (stored int, err error) {
	err = s.write(ctx, tenant, false, func(t *writeTx) error {
		stored = 0
		for _, e := range list {
			rows, err := t.tx.QueryContext(ctx, `SELECT seq FROM memories WHERE id = ? AND version = ?`, e.ID, e.Version)
			if err != nil {
				return err
			}
			var seq int64
			if rows.Next() {
				err = rows.Scan(&seq)
			}
			rows.Close()
			if err != nil {
				return err
			}
			if err := rows.Err(); err != nil {
				return err
			}
			if seq == 0 || len(e.Vector) != space.Dimensions {
				continue // gone or changed meanwhile
			}
			if err := putVector(ctx, t, space, seq, e.ID, e.Vector); err != nil {
				return err
			}
			stored++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// Unembedded implements memory.VectorStore.
func (s *Store) Unembedded(ctx context.Context, tenant string, space memory.Space, filter memory.Filter, after int64, limit int) (list []*memory.Memory, err error) {
	_, err = s.read(ctx, tenant, func(t *readTx) error {
		list = nil
		sel, err := where(t.keys, filter)
		if err != nil {
			return err
		}
		for last := after; len(list) < limit; {
			args := append([]any{last, space.String()}, sel.args...)
			rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE m.seq > ?
				AND NOT EXISTS (SELECT 1 FROM vectors AS v WHERE v.seq = m.seq AND v.space = ?) AND `+sel.sql+` ORDER BY m.seq LIMIT ?`,
				append(args, limit)...)
			if err != nil {
				return err
			}
			found, err := scanAll(rows, t.tenant, t.keys)
			if err != nil || len(found) == 0 {
				return err
			}
			for _, m := range found {
				if last = m.Seq; sel.passes(m) && len(list) < limit {
					list = append(list, m)
				}
			}
		}
		return nil
	})
	return list, err
}

// CountVectors implements memory.VectorStore.
func (s *Store) CountVectors(ctx context.Context, tenant string, space memory.Space) (have, all int, err error) {
	_, err = s.read(ctx, tenant, func(t *readTx) error {
		return t.tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM vectors WHERE space = ?), (SELECT count(*) FROM memories)`,
			space.String()).Scan(&have, &all)
	})
	return have, all, err
}
