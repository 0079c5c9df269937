package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// columns of a memory, in the order of scanMemory and memoryArgs.
const columns = `m.id, m.tenant, m.agent, m.user, m.app, m.run, m.actor, m.role, m.title, m.content, m.type,
	m.tags, m.categories, m.metadata, m.confidence, m.status, m.source, m.source_ref, m.provenance, m.writer,
	m.created, m.updated, m.expired_at, m.expired_by, m.expires`

// scanMemory reads one row of "seq, columns". A row of another tenant is an error, never a result.
func scanMemory(rows *sql.Rows, tenant string) (seq int64, m *memory.Memory, err error) {
	m = new(memory.Memory)
	var owner, tags, categories, metadata string
	var created, updated, expiredAt, expires int64
	if err := rows.Scan(&seq, &m.ID, &owner, &m.Agent, &m.User, &m.App, &m.Run, &m.Actor, &m.Role, &m.Title, &m.Content,
		&m.Type, &tags, &categories, &metadata, &m.Confidence, &m.Status, &m.Source, &m.SourceRef, &m.Provenance,
		&m.Writer, &created, &updated, &expiredAt, &m.ExpiredBy, &expires); err != nil {
		return 0, nil, err
	}
	if owner != tenant {
		return 0, nil, fmt.Errorf("%w: a row of another tenant", ErrForeignFile)
	}
	if m.Tags, err = decodeList(tags); err != nil {
		return 0, nil, err
	}
	if m.Category, err = decodeList(categories); err != nil {
		return 0, nil, err
	}
	if metadata != noMetadata {
		m.Metadata = json.RawMessage(metadata)
	}
	m.Created, m.Updated = fromMicros(created), fromMicros(updated)
	m.ExpiredAt, m.Expires = fromMicros(expiredAt), fromMicros(expires)
	return seq, m, nil
}

// row is a memory with its number in the file.
type row struct {
	seq    int64
	memory *memory.Memory
}

// scanAll reads and closes rows of "seq, columns".
func scanAll(rows *sql.Rows, tenant string) ([]row, error) {
	defer rows.Close()
	var found []row
	for rows.Next() {
		seq, m, err := scanMemory(rows, tenant)
		if err != nil {
			return nil, err
		}
		found = append(found, row{seq, m})
	}
	return found, rows.Err()
}

// noMetadata stands for none, so that the JSON functions can always read the column.
const noMetadata = "{}"

func metadataText(m json.RawMessage) string {
	if len(m) == 0 {
		return noMetadata
	}
	return string(m)
}

// memoryArgs returns the values of columns.
func memoryArgs(tenant string, m *memory.Memory) []any {
	return []any{m.ID, tenant, m.Agent, m.User, m.App, m.Run, m.Actor, m.Role, m.Title, m.Content, m.Type,
		encodeList(m.Tags), encodeList(m.Category), metadataText(m.Metadata), m.Confidence, m.Status, m.Source,
		m.SourceRef, m.Provenance, m.Writer, micros(m.Created), micros(m.Updated), micros(m.ExpiredAt), m.ExpiredBy,
		micros(m.Expires)}
}

// micros returns a time as microseconds since 1970, and 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func encodeList(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(list) // strings always encode
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}

func decodeList(text string) ([]string, error) {
	if text == "[]" {
		return nil, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("sqlite: stored list: %w", err)
	}
	return list, nil
}
