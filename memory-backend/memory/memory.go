// Package memory holds what a memory is: the records, their limits, the filters over them and the
// interface that each storage engine implements.
//
// It knows nothing of HTTP, of SQL or of tokens. Times are UTC with microsecond precision, lengths are
// counted in Unicode code points unless a name says bytes.
package memory

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of one memory and of one request. They are those of MEMANTO v2 where it has one.
const (
	MaxContent       = 10_000 // code points of the content
	MaxTitle         = 100    // code points of a title
	MaxTags          = 20     // tags of one memory
	MaxTag           = 64     // code points of one tag
	MaxSource        = 64     // bytes of a source label
	MaxMetadataBytes = 5_000  // bytes of the metadata, as JSON
	MaxBatch         = 100    // memories in one write
	MaxQuery         = 1_000  // code points of a search query
	MaxLimit         = 100    // results of one recall
	MaxName          = 256    // bytes of an agent, user, app or run id
	DefaultLimit     = 10     // results of a recall that names no limit
)

// DefaultConfidence is the confidence of a memory whose writer stated none.
const DefaultConfidence = 0.8

// Statuses of a memory.
const (
	StatusActive  = "active"
	StatusExpired = "expired"
)

// Types that a memory can have, in the order in which messages list them.
var types = []string{
	"artifact", "commitment", "context", "decision", "error", "event", "fact", "goal",
	"instruction", "learning", "observation", "preference", "relationship",
}

// Provenances that a memory can have, in the order in which messages list them.
var provenances = []string{
	"corrected", "explicit_statement", "imported", "inferred", "observed", "validated",
}

// Types returns every valid memory type, sorted.
func Types() []string { return append([]string(nil), types...) }

// Provenances returns every valid provenance, sorted.
func Provenances() []string { return append([]string(nil), provenances...) }

// ValidType reports whether s is a memory type.
func ValidType(s string) bool { return contains(types, s) }

// ValidProvenance reports whether s is a provenance.
func ValidProvenance(s string) bool { return contains(provenances, s) }

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// Memory is one thing remembered. The empty string and the zero time mean "none".
type Memory struct {
	ID       string          // UUID, unique within the tenant
	Version  int64           // 1 when it was added, and one more with each change; set by the store
	Seq      int64           // grows with each memory that is added to the tenant; set by the store
	Agent    string          // the agent it belongs to
	User     string          // the user it is about
	App      string          // the application it came from
	Run      string          // the run or session it came from
	Actor    string          // who said it: an agent id, or the name of a message's author
	Role     string          // the role of the message it came from: "user", "assistant", …
	Title    string          // a single line
	Content  string          // the text itself
	Type     string          // one of Types
	Tags     []string        // at most MaxTags
	Category []string        // categories, as mem0 names them
	Metadata json.RawMessage // a JSON object, or nil

	Confidence float64 // 0 to 1
	Status     string  // StatusActive or StatusExpired, as stamped; see StatusAt
	Source     string  // who wrote it, for example "agent" or "cursor"
	SourceRef  string  // where it was found
	Provenance string  // one of Provenances
	Writer     string  // the verified subject that wrote it

	Created   time.Time // when it was remembered, or when it happened if the writer said so
	Updated   time.Time // when it last changed
	ExpiredAt time.Time // when it was stamped expired
	ExpiredBy string    // what stamped it
	Expires   time.Time // when it stops being valid by itself

	Trust       string    // how its writer was trusted: TrustTrusted or TrustUnconfirmed; "" of before that was known
	Provisional time.Time // until when it is valid without a second principal that confirms it; zero: confirmed or not in need of it
	Held        bool      // in quarantine: nobody recalls it until a reviewer releases it
	Finding     string    // why the edge had it held, as the edge put it; stays when it is released
	Conflict    string    // the memory that said nearly the same when it was added; "" for none
	Hold        string    // why it must not be erased, expire or be forgotten (a legal hold); "" for none
}

// How the writer of a memory was trusted, as the edge says it.
const (
	TrustTrusted     = "trusted"
	TrustUnconfirmed = "unconfirmed"
)

// StatusAt returns the status at the given time: a memory past its Expires or its Provisional is expired
// although nothing has stamped it, unless a legal hold keeps it.
func (m *Memory) StatusAt(now time.Time) string {
	if m.Status == StatusExpired {
		return StatusExpired
	}
	for _, end := range []time.Time{m.Expires, m.Provisional} {
		if m.Hold == "" && !end.IsZero() && !end.After(now) {
			return StatusExpired
		}
	}
	return StatusActive
}

// Clone returns a deep copy.
func (m *Memory) Clone() *Memory {
	c := *m
	c.Tags = append([]string(nil), m.Tags...)
	c.Category = append([]string(nil), m.Category...)
	c.Metadata = append(json.RawMessage(nil), m.Metadata...)
	return &c
}

// IndexText returns the text by which the memory is found: author, title (when it says more than the
// content does), content, tags, categories, and the date on which it was created, spelt out, because
// people ask by date.
func (m *Memory) IndexText() string {
	var b strings.Builder
	b.Grow(len(m.Content) + len(m.Title) + 64)
	if m.Actor != "" && m.Actor != m.Agent {
		b.WriteString(m.Actor)
		b.WriteByte('\n')
	}
	if m.Title != "" && !strings.HasPrefix(m.Content, strings.TrimSuffix(m.Title, "...")) {
		b.WriteString(m.Title)
		b.WriteByte('\n')
	}
	b.WriteString(m.Content)
	for _, list := range [][]string{m.Tags, m.Category} {
		for _, s := range list {
			b.WriteByte('\n')
			b.WriteString(s)
		}
	}
	if !m.Created.IsZero() {
		b.WriteByte('\n')
		b.WriteString(m.Created.UTC().Format("2 January 2006"))
	}
	return b.String()
}

// TitleFrom returns the title of a memory that was given none: the start of its content on one line.
func TitleFrom(content string) string {
	const most = 50
	if utf8.RuneCountInString(content) > most {
		n := 0
		for i := range content {
			if n == most {
				content = content[:i] + "..."
				break
			}
			n++
		}
	}
	return OneLine(content)
}

// OneLine folds every kind of line break, with the blanks around it, into one space.
func OneLine(s string) string {
	fields := strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '\n', '\r', '\v', '\f', 0x85, 0x2028, 0x2029:
			return true
		}
		return false
	})
	if len(fields) == 1 && len(fields[0]) == len(s) {
		return strings.Trim(s, " \t")
	}
	kept := fields[:0]
	for _, f := range fields {
		if f = strings.Trim(f, " \t"); f != "" {
			kept = append(kept, f)
		}
	}
	return strings.Join(kept, " ")
}

// Agent is a registered agent: a named set of memories.
type Agent struct {
	ID          string
	Pattern     string // "support", "project" or "tool"
	Description string
	Created     time.Time
	Memories    int // how many memories it has; filled only when asked for
}

// ValidAgentID reports whether s can name an agent: letters, digits, "-" and "_", at most 128 bytes.
func ValidAgentID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// EventKind says what a Change did.
type EventKind string

// The kinds of change.
const (
	EventAdd    EventKind = "ADD"
	EventUpdate EventKind = "UPDATE"
	EventDelete EventKind = "DELETE"

	EventRelease EventKind = "RELEASE" // a reviewer let it out of quarantine
	EventReject  EventKind = "REJECT"  // a reviewer deleted it from quarantine
	EventConfirm EventKind = "CONFIRM" // another principal confirmed it
	EventHold    EventKind = "HOLD"    // a legal hold was put on it
	EventUnhold  EventKind = "UNHOLD"  // the legal hold was taken off
)

// Change is one step in the history of a memory. When a memory is deleted its text is also removed
// from its history: the steps stay, Old and New do not.
type Change struct {
	ID       string // UUID
	MemoryID string
	Event    EventKind
	Old, New string          // the content before and after
	Metadata json.RawMessage // after the change
	User     string          // the user the memory was about
	Writer   string          // the verified subject that made the change
	At       time.Time
}

// EntityKind is one of the four dimensions by which memories are grouped.
type EntityKind string

// The kinds of entity.
const (
	EntityUser  EntityKind = "user"
	EntityAgent EntityKind = "agent"
	EntityApp   EntityKind = "app"
	EntityRun   EntityKind = "run"
)

// Field returns the field of a memory that names an entity of this kind; false when there is no such kind.
func (k EntityKind) Field() (Field, bool) {
	switch k {
	case EntityUser:
		return FieldUser, true
	case EntityAgent:
		return FieldAgent, true
	case EntityApp:
		return FieldApp, true
	case EntityRun:
		return FieldRun, true
	}
	return 0, false
}

// Entity is a user, agent, app or run for which memories exist.
type Entity struct {
	Kind             EntityKind
	Name             string
	Memories         int
	Created, Updated time.Time // of its first memory, of its last change
}
