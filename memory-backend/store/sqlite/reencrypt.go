package sqlite

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// reencryptStep is how many rows are sealed anew in one transaction, so that others can write in between.
const reencryptStep = 200

// sealedColumns are all sealed columns of each table.
var sealedColumns = map[string][]string{
	"memories": {"title", "content", "labels", "metadata", "origin"},
	"changes":  {"old", "old_metadata", "who"},
	"agents":   {"info"},
	"once":     {"answer"},
	"tenant":   {"probe"},
	"records":  {"name", "value"},
	"vectors":  {"vector"},
}

// stale is the condition that a row has something that was not sealed with the primary key, and its
// arguments.
func stale(k *crypt.Tenant, table string) (string, []any) {
	var parts []string
	var args []any
	for _, c := range sealedColumns[table] {
		parts = append(parts, "(length("+c+") > 0 AND substr("+c+", 1, ?) <> ?)")
		args = append(args, len(k.Prefix()), k.Prefix())
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// Reencrypt seals everything of a tenant with its newest data key while the store goes on, and then destroys
// the others. It can be repeated when it was interrupted. It returns how many rows it sealed anew.
func (s *Store) Reencrypt(ctx context.Context, tenant string) (rows int, err error) {
	if s.keyring == nil {
		return 0, errors.New("sqlite: files are not encrypted")
	}
	for _, table := range []string{"memories", "changes", "agents", "once", "records", "vectors", "tenant"} {
		for {
			n := 0
			if err := s.write(ctx, tenant, false, func(t *writeTx) error {
				k, ok := t.keys.(*crypt.Tenant)
				if !ok {
					return errors.New("sqlite: files are not encrypted")
				}
				n, err = reseal(ctx, t, k, table)
				return err
			}); err != nil {
				return rows, err
			}
			if rows += n; n == 0 {
				break
			}
		}
	}
	// Nobody can seal anything while this transaction is open.
	return rows, s.write(ctx, tenant, false, func(t *writeTx) error {
		k, _ := t.keys.(*crypt.Tenant)
		for table := range sealedColumns {
			condition, args := stale(k, table)
			var left bool
			if err := t.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+` WHERE `+condition+`)`, args...).Scan(&left); err != nil {
				return err
			}
			if left {
				return errors.New("sqlite: keys were rotated meanwhile: re-encrypt again")
			}
		}
		return s.keyring.Retire(ctx, tenant)
	})
}

// reseal seals some rows of a table anew.
func reseal(ctx context.Context, t *writeTx, k *crypt.Tenant, table string) (int, error) {
	condition, args := stale(k, table)
	switch table {
	case "memories":
		rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE `+condition+` LIMIT ?`,
			append(args, reencryptStep)...)
		if err != nil {
			return 0, err
		}
		found, err := scanAll(rows, t.tenant, t.keys)
		if err != nil {
			return 0, err
		}
		for _, m := range found {
			if err := resealMemory(ctx, t, m); err != nil {
				return 0, err
			}
		}
		return len(found), nil
	case "changes":
		return resealRows(ctx, t, `SELECT seq, id, `, table, condition, args, map[string]string{"old": sealOld, "old_metadata": sealOldMeta, "who": sealWho},
			`seq`)
	case "agents":
		return resealRows(ctx, t, `SELECT id, id, `, table, condition, args, map[string]string{"info": sealAgent}, `id`)
	case "once":
		return resealRows(ctx, t, `SELECT key, key, `, table, condition, args, map[string]string{"answer": sealAnswer}, `key`)
	case "vectors":
		return resealRows(ctx, t, `SELECT seq, id, `, table, condition, args, map[string]string{"vector": sealVector}, `seq`)
	case "records":
		return resealRows(ctx, t, `SELECT seq, key, `, table, condition, args, map[string]string{"name": sealName, "value": sealValue}, `seq`)
	}
	return resealRows(ctx, t, `SELECT rowid, '', `, table, condition, args, map[string]string{"probe": sealCheck}, `rowid`)
}

func resealMemory(ctx context.Context, t *writeTx, m *memory.Memory) error {
	s := sealing{keys: t.keys, record: m.ID}
	args := []any{s.seal(sealTitle, []byte(m.Title)), s.seal(sealContent, []byte(m.Content)), s.seal(sealLabels, encodeLabels(m)),
		s.seal(sealMetadata, m.Metadata), s.seal(sealOrigin, encodeOrigin(m)), m.Seq}
	if s.err != nil {
		return s.err
	}
	return t.exec(ctx, `UPDATE memories SET (title, content, labels, metadata, origin) = (?, ?, ?, ?, ?) WHERE seq = ?`, args...)
}

// resealRows seals the columns of a table anew that fields names, in rows that are found by a key column. The
// record that they are bound to is the second column of the query, in hexadecimal if it is no text.
func resealRows(ctx context.Context, t *writeTx, query, table, condition string, args []any, fields map[string]string, key string) (int, error) {
	names := sealedColumns[table]
	rows, err := t.tx.QueryContext(ctx, query+strings.Join(names, ", ")+` FROM `+table+` WHERE `+condition+` LIMIT ?`, append(args, reencryptStep)...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var updates [][]any
	for rows.Next() {
		var id, record any
		values := make([][]byte, len(names))
		into := []any{&id, &record}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return 0, err
		}
		s := sealing{keys: t.keys}
		switch r := record.(type) {
		case string:
			s.record = r
		case []byte:
			s.record = hex.EncodeToString(r)
		}
		var update []any
		for i, name := range names {
			if values[i] == nil { // stays NULL
				update = append(update, nil)
				continue
			}
			update = append(update, s.seal(fields[name], s.open(fields[name], values[i])))
		}
		if s.err != nil {
			return 0, foreign(s.err)
		}
		updates = append(updates, append(update, id))
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(names)), ", ")
	for _, u := range updates {
		if err := t.exec(ctx, `UPDATE `+table+` SET (`+strings.Join(names, ", ")+`) = (`+marks+`) WHERE `+key+` = ?`, u...); err != nil {
			return 0, err
		}
	}
	return len(updates), nil
}
