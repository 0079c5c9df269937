package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// columns of a memory, in the order of scanMemory.
const columns = `m.id, m.tenant, m.version, m.type, m.status, m.provenance, m.confidence, m.created, m.updated,
	m.expired_at, m.expires, m.held, m.provisional, m.title, m.content, m.labels, m.metadata, m.origin`

// scanMemory reads one row of "seq, columns". A row of another tenant is an error, never a result.
func scanMemory(rows *sql.Rows, tenant string, k sealer) (*memory.Memory, error) {
	m := new(memory.Memory)
	var owner string
	var created, updated, expiredAt, expires, provisional int64
	var title, content, labels, metadata, origin sql.RawBytes
	if err := rows.Scan(&m.Seq, &m.ID, &owner, &m.Version, &m.Type, &m.Status, &m.Provenance, &m.Confidence, &created, &updated,
		&expiredAt, &expires, &m.Held, &provisional, &title, &content, &labels, &metadata, &origin); err != nil {
		return nil, err
	}
	if owner != tenant {
		return nil, fmt.Errorf("%w: a row of another tenant", ErrForeignFile)
	}
	m.Created, m.Updated = fromMicros(created), fromMicros(updated)
	m.ExpiredAt, m.Expires, m.Provisional = fromMicros(expiredAt), fromMicros(expires), fromMicros(provisional)
	s := sealing{keys: k, record: m.ID}
	m.Title, m.Content = string(s.open(sealTitle, title)), string(s.open(sealContent, content))
	if b := s.open(sealMetadata, metadata); len(b) > 0 {
		m.Metadata = append(json.RawMessage(nil), b...)
	}
	lists, from := s.open(sealLabels, labels), s.open(sealOrigin, origin)
	if s.err != nil {
		return nil, foreign(s.err)
	}
	if err := decodeLabels(m, lists); err != nil {
		return nil, err
	}
	return m, decodeOrigin(m, from)
}

// origins are the texts of a memory that say where it came from, in the order in which they are encoded.
// New ones are added at the end.
func origins(m *memory.Memory) []*string {
	return []*string{&m.Agent, &m.User, &m.App, &m.Run, &m.Actor, &m.Role, &m.Source, &m.SourceRef, &m.Writer, &m.ExpiredBy,
		&m.Trust, &m.Finding, &m.Hold, &m.Conflict}
}

func encodeOrigin(m *memory.Memory) []byte {
	var b []byte
	for _, s := range origins(m) {
		b = appendStrings(b, *s)
	}
	return b
}

func decodeOrigin(m *memory.Memory, data []byte) error {
	list, err := cutStrings(data)
	if err != nil {
		return err
	}
	for i, s := range origins(m) {
		if i < len(list) {
			*s = list[i]
		}
	}
	return nil
}

func encodeLabels(m *memory.Memory) []byte {
	if len(m.Tags)+len(m.Category) == 0 {
		return nil
	}
	b := []byte{byte(len(m.Tags) >> 8), byte(len(m.Tags))}
	return appendStrings(appendStrings(b, m.Tags...), m.Category...)
}

func decodeLabels(m *memory.Memory, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) < 2 {
		return errList
	}
	tags := int(data[0])<<8 | int(data[1])
	list, err := cutStrings(data[2:])
	if err != nil || tags > len(list) {
		return errList
	}
	if tags > 0 {
		m.Tags = list[:tags:tags]
	}
	if tags < len(list) {
		m.Category = list[tags:]
	}
	return nil
}

// scanAll reads and closes rows of "seq, columns".
func scanAll(rows *sql.Rows, tenant string, k sealer) ([]*memory.Memory, error) {
	defer rows.Close()
	var found []*memory.Memory
	for rows.Next() {
		m, err := scanMemory(rows, tenant, k)
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, rows.Err()
}

// memoryArgs returns the values of what is stored of a memory, in the order of sqlInsert and sqlReplace.
func memoryArgs(tenant string, k sealer, m *memory.Memory) ([]any, error) {
	if len(m.Tags) > 0xffff {
		return nil, errList
	}
	s := sealing{keys: k, record: m.ID}
	args := []any{m.ID, tenant, m.Version, s.hash(hashAgent, m.Agent), s.hash(hashUser, m.User), s.hash(hashApp, m.App),
		s.hash(hashRun, m.Run), len(m.Tags), len(m.Category), m.Type, m.Status, m.Provenance, m.Confidence, micros(m.Created),
		micros(m.Updated), micros(m.ExpiredAt), micros(m.Expires), s.seal(sealTitle, []byte(m.Title)),
		s.seal(sealContent, []byte(m.Content)), s.seal(sealLabels, encodeLabels(m)), s.seal(sealMetadata, m.Metadata),
		s.seal(sealOrigin, encodeOrigin(m)), s.hash(hashContent, m.Content), m.Held, m.Hold != "", micros(m.Provisional)}
	return args, s.err
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
