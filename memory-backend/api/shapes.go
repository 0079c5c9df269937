package api

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// stamp formats a time as Python's isoformat does, which every ISO 8601 parser reads; nil for none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000000-07:00")
	return &s
}

// optional returns nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// memoryItem is a memory as MEMANTO shows it.
type memoryItem struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Content    string   `json:"content"`
	Text       string   `json:"text"`
	Type       string   `json:"type"`
	Confidence float64  `json:"confidence"`
	Status     string   `json:"status"`
	Tags       []string `json:"tags"`
	CreatedAt  *string  `json:"created_at"`
	UpdatedAt  *string  `json:"updated_at"`
	ExpiredAt  *string  `json:"expired_at"`
	ExpiredBy  *string  `json:"expired_by"`
	ActorID    *string  `json:"actor_id"`
	Source     *string  `json:"source"`
	SourceRef  *string  `json:"source_ref"`
	AgentID    *string  `json:"agent_id"`
	Score      *float64 `json:"score"`
	Provenance string   `json:"provenance"`
	ChangeType *string  `json:"change_type"`

	Trust       string  `json:"trust"`
	Principal   *string `json:"principal"`
	Provisional *string `json:"provisional_until"`
	Hold        *string `json:"legal_hold"`
	Conflict    string  `json:"conflict_with,omitempty"`
}

// trustOf says how the writer of a memory is trusted: not, where nobody said so.
func trustOf(m *memory.Memory) string {
	if m.Trust == "" {
		return memory.TrustUnconfirmed
	}
	return m.Trust
}

func (s *Server) item(m *memory.Memory, score *float64) memoryItem {
	text := "[" + strings.ToUpper(m.Type) + "] " + m.Title + "\n\n" + m.Content
	if len(m.Tags) > 0 {
		text += "\n\nTags: " + strings.Join(m.Tags, ", ")
	}
	i := memoryItem{
		ID: m.ID, Title: m.Title, Content: m.Content, Text: text, Type: m.Type, Confidence: m.Confidence,
		Status: m.StatusAt(s.Now()), Tags: list(m.Tags), CreatedAt: stamp(m.Created), UpdatedAt: stamp(m.Updated),
		ExpiredAt: stamp(m.ExpiredAt), ExpiredBy: optional(m.ExpiredBy), ActorID: optional(m.Actor),
		Source: optional(m.Source), SourceRef: optional(m.SourceRef), AgentID: optional(m.Agent), Score: score,
		Provenance: m.Provenance, Trust: trustOf(m), Principal: optional(m.Writer), Provisional: stamp(m.Provisional), Hold: optional(m.Hold), Conflict: m.Conflict,
	}
	if i.Status == memory.StatusExpired && i.ExpiredAt == nil {
		i.ExpiredAt = stamp(m.Expires)
		if m.Expires.IsZero() {
			i.ExpiredAt = stamp(m.Provisional)
		}
	}
	return i
}

// mem0Memory is a memory as mem0 shows it.
type mem0Memory struct {
	ID         string          `json:"id"`
	Memory     string          `json:"memory"`
	UserID     *string         `json:"user_id"`
	AgentID    *string         `json:"agent_id"`
	AppID      *string         `json:"app_id"`
	RunID      *string         `json:"run_id"`
	ActorID    *string         `json:"actor_id"`
	Role       *string         `json:"role"`
	Hash       string          `json:"hash"`
	Metadata   json.RawMessage `json:"metadata"`
	Categories []string        `json:"categories"`
	CreatedAt  *string         `json:"created_at"`
	UpdatedAt  *string         `json:"updated_at"`
	Expiration *string         `json:"expiration_date"`
	Trust      string          `json:"trust"`
	Principal  *string         `json:"principal"`
	Held       bool            `json:"held,omitempty"`
	Conflict   string          `json:"conflict_with,omitempty"`
	Score      *float64        `json:"score,omitempty"`
	Event      string          `json:"event,omitempty"`
	Data       *mem0Data       `json:"data,omitempty"`
}

// mem0Data repeats the text of an added memory where older clients look for it.
type mem0Data struct {
	Memory string `json:"memory"`
}

func mem0Shape(m *memory.Memory) mem0Memory {
	sum := md5.Sum([]byte(m.Content)) // what mem0 calls the hash; nothing relies on its strength
	o := mem0Memory{
		ID: m.ID, Memory: m.Content, UserID: optional(m.User), AgentID: optional(m.Agent), AppID: optional(m.App),
		RunID: optional(m.Run), ActorID: optional(m.Actor), Role: optional(m.Role), Hash: hex.EncodeToString(sum[:]),
		Metadata: m.Metadata, Categories: list(m.Category), CreatedAt: stamp(m.Created), UpdatedAt: stamp(m.Updated),
		Trust: trustOf(m), Principal: optional(m.Writer), Held: m.Held, Conflict: m.Conflict,
	}
	if len(o.Metadata) == 0 {
		o.Metadata = json.RawMessage("null")
	}
	if !m.Expires.IsZero() {
		day := m.Expires.Add(-time.Microsecond).UTC().Format(time.DateOnly)
		o.Expiration = &day
	}
	return o
}
