package memory

import (
	"context"
	"errors"
	"time"
)

// Errors that every engine returns, wrapped or not.
var (
	// ErrNotFound: there is no such memory or agent within the scope asked for.
	ErrNotFound = errors.New("memory: not found")
	// ErrExists: an agent of this name exists.
	ErrExists = errors.New("memory: already exists")
	// ErrBusy: the engine can take no more work at the moment; trying again later can succeed.
	ErrBusy = errors.New("memory: store is busy")
	// ErrFull: there is no room on the disk.
	ErrFull = errors.New("memory: no room left")
	// ErrReadOnly: the disk takes no writes; reading goes on.
	ErrReadOnly = errors.New("memory: store is read-only")
	// ErrCorrupt: what is stored for the tenant cannot be read, as it is damaged or not what was written.
	ErrCorrupt = errors.New("memory: stored data is damaged")
	// ErrKeys: the tenant's keys cannot be had at the moment, as their key service does not answer.
	ErrKeys = errors.New("memory: keys are unavailable")
	// ErrVersion: the memory is not at the version that Write.IfVersion demands.
	ErrVersion = errors.New("memory: changed meanwhile")
	// ErrReused: Once.Key was used before for a request that asked for something else.
	ErrReused = errors.New("memory: idempotency key was used for another request")
)

// DuplicateError is returned for a memory whose content is remembered already, when Write.Distinct is set.
// Nothing was stored.
type DuplicateError struct {
	ID    string // of the memory that says the same
	Index int    // of the memory among those that were to be added
}

// Error implements error.
func (e *DuplicateError) Error() string { return "memory: remembered already as " + e.ID }

// ReplayedError is returned for a write whose Once.Key was used before for the same request: nothing was
// written this time, and Answer is what the first one recorded.
type ReplayedError struct{ Answer []byte }

// Error implements error.
func (*ReplayedError) Error() string { return "memory: this write was done before" }

// Order is the order of a listing.
type Order uint8

// The orders of a listing. Ties are broken by the order of insertion.
const (
	NewestFirst Order = iota // by Created
	OldestFirst
)

// ListQuery asks for memories without a text.
type ListQuery struct {
	Filter Filter
	Order  Order
	After  *Position // go on behind this memory; nil: from the start
	Offset int       // skip so many (behind After)
	Limit  int       // at most this many; must be positive
	Total  bool      // also count everything that matches, wherever After stands
}

// Position is a place in a listing: that of a memory, also when it is gone meanwhile.
type Position struct {
	Created time.Time
	Seq     int64
}

// SearchQuery asks for the memories that a text is about, best first.
//
// With a Vector, a VectorStore ranks by words and by the cosine to the vector, each among what the filter selects, and
// joins both by reciprocal rank (search.Fuse). Without a Text it ranks by the cosine alone. Other stores ignore vectors.
type SearchQuery struct {
	Text     string
	Filter   Filter
	Limit    int     // must be positive
	MinScore float64 // leave out hits below it; 0 keeps all

	Space  Space     // of Vector
	Vector []float32 // of unit length; nil for none
}

// Hit is a memory that was found. Score lies above 0 and at most at 1. By words alone 1 means that the memory
// says everything that was asked; memories that share no term with the query are no hits. By vectors alone it is the
// cosine, above 0. By both it tells the ranks: 1 for what is first by both, a half for what is first by one only; there
// MinScore is what either the score by words or the cosine must reach.
type Hit struct {
	Memory *Memory
	Score  float64
}

// Write says who changes something, and when.
type Write struct {
	By string    // the verified subject
	At time.Time // by the caller's clock

	// IfVersion makes Update and DeleteIDs fail with ErrVersion unless the memory is at this version; 0: any.
	IfVersion int64
	// Once makes Add and CreateAgent happen once for its key; nil: whenever they are called.
	Once *Once
	// Distinct makes Add fail with a DuplicateError when an active memory of the same agent, user, app and run
	// has exactly the same content, also among those that are added.
	Distinct bool
	// Vectors are what a VectorStore keeps with the memories of an Add, one for each; nil for none. They are of Space.
	Vectors [][]float32
	Space   Space

	// Event is what the history calls the change, where it is more than that something was added, changed or
	// deleted; "" otherwise.
	Event EventKind
	// Forget makes Delete and DeleteIDs leave nothing: no history, no record of who read them, and no answer that
	// is kept for an idempotency key of the tenant.
	Forget bool
	// ForgetUser and ForgetAgent make Delete, with Forget, also drop the histories of what was deleted before and was
	// about this user, or this agent's. "" for none.
	ForgetUser, ForgetAgent string
}

// Once names a write, so that repeating it has no further effect.
type Once struct {
	Key     string        // who asks and how they name it: the same key of two callers must differ here
	Request []byte        // what is asked for: the same key for another request is ErrReused
	Answer  []byte        // returned to whoever repeats it; kept sealed
	For     time.Duration // how long the key is remembered; must be positive
}

// MaxOnce is how many idempotency keys of a tenant are remembered; beyond them the oldest are forgotten.
const MaxOnce = 10_000

// Dropped says what DropTenant destroyed.
type Dropped struct {
	Memories int      // how many there were; -1 if that could not be known, as the keys or the data were gone or damaged
	Keys     []string // identifiers of the data keys that were destroyed; none for a tenant that was not encrypted
}

// Exported is a memory with its history, as it leaves one store and enters another.
type Exported struct {
	Memory  *Memory
	Changes []Change // oldest first
}

// Record is something beside memories that is kept for a tenant: sealed like a memory's text, and found by its
// kind and name, of which the name is kept as a hash and sealed.
type Record struct {
	Seq   int64 // grows with each record that is made
	Name  string
	Value []byte
}

// MaxRecord is the longest value of a record, in bytes.
const MaxRecord = 256 << 10

// The kinds of records.
const (
	// RecordAccess holds who read a memory, by its id. It goes when the memory is forgotten.
	RecordAccess = "access"
)

// Store keeps the memories of all tenants. No call can see or touch two tenants. All methods may be
// called at once from many goroutines. A write that returned nil is durable: it survives the end of the
// process and of the machine. Writes are atomic: a failed one left nothing behind.
//
// A tenant comes into being with its first write; reading one that does not exist finds nothing.
type Store interface {
	// Add stores memories as they are, as version 1; it sets their Version and Seq. Their ids must be new. Agents that they name and that are valid
	// agent ids become registered.
	Add(ctx context.Context, tenant string, w Write, memories []*Memory) error
	// Get returns the memory with this id if the scope selects it, else ErrNotFound.
	Get(ctx context.Context, tenant, id string, scope Filter) (*Memory, error)
	// UpdateAll lets edit change each of the memories, and stores them, all or none. What edit must not change
	// (ID, Created unless deliberate) is its own duty. An error of edit is returned as it is and nothing is stored.
	UpdateAll(ctx context.Context, tenant string, w Write, ids []string, scope Filter, edit func(i int, m *Memory) error) error
	// Delete removes every memory that the filter selects, and the text of their histories. It returns
	// how many it removed. A nil filter removes all memories of the tenant.
	Delete(ctx context.Context, tenant string, w Write, filter Filter) (int, error)
	// DeleteIDs removes the memories with these ids, all or none: ErrNotFound if one does not exist
	// within the scope.
	DeleteIDs(ctx context.Context, tenant string, w Write, ids []string, scope Filter) error
	// List returns memories in order, and how many match in total when asked (else -1).
	List(ctx context.Context, tenant string, q ListQuery) ([]*Memory, int, error)
	// Search returns the best hits first; equally good ones newest first.
	Search(ctx context.Context, tenant string, q SearchQuery) ([]Hit, error)
	// History returns the changes of one memory, oldest first; also of one that was deleted.
	// ErrNotFound if there never was one. A non-empty agent confines it to memories of that agent.
	History(ctx context.Context, tenant, id, agent string) ([]Change, error)
	// Restore stores memories as they were exported, with their versions and histories, all or none. Those whose
	// id is there already are left as they are. It sets the Seq of those that it stored, and returns how many
	// these are. Agents become registered as by Add.
	Restore(ctx context.Context, tenant string, w Write, items []Exported) (int, error)
	// Entities returns the users, agents, apps and runs of the selected memories, by kind and name, at most limit.
	Entities(ctx context.Context, tenant string, filter Filter, limit int) ([]Entity, error)

	// CreateAgent registers an agent; ErrExists if it is registered.
	CreateAgent(ctx context.Context, tenant string, w Write, a Agent) error
	// Agent returns a registered agent, with its number of memories when count is set.
	Agent(ctx context.Context, tenant, id string, count bool) (*Agent, error)
	// Agents returns the registered agents, newest first, at most limit.
	Agents(ctx context.Context, tenant string, count bool, limit int) ([]Agent, error)
	// DeleteAgent unregisters an agent and, when memories is set, removes its memories.
	DeleteAgent(ctx context.Context, tenant string, w Write, id string, memories bool) error

	// Record returns what is recorded under a kind and name; nil if nothing is.
	Record(ctx context.Context, tenant, kind, name string) ([]byte, error)
	// EditRecords replaces what is recorded under each of the names by what edit makes of it, all or none; nil
	// stands for nothing, before and after. Values are at most MaxRecord bytes. edit may be called more than once.
	EditRecords(ctx context.Context, tenant, kind string, names []string, edit func(name string, old []byte) ([]byte, error)) error
	// Records returns records of a kind in the order in which they were first made, behind the number after,
	// at most limit.
	Records(ctx context.Context, tenant, kind string, after int64, limit int) ([]Record, error)
	// Compact gives back to the disk what deleted memories left, so that no byte of them stays in what the
	// store holds. ErrBusy if somebody reads all the while.
	Compact(ctx context.Context, tenant string) error

	// DropTenant destroys everything that is held of a tenant: its keys first, so that what a crash leaves
	// behind cannot be read, then its data. It can be repeated until it succeeds; ErrNotFound if there is
	// nothing. Afterwards the name is free, and a write makes a new tenant with new keys.
	DropTenant(ctx context.Context, tenant string) (Dropped, error)
	// Tenants calls yield with the name of each tenant until yield returns false.
	Tenants(ctx context.Context, yield func(tenant string) bool) error

	// Ready returns nil if the store can take reads and writes.
	Ready(ctx context.Context) error
	// Close waits for work under way and releases everything.
	Close() error
}

// Update is [Store.UpdateAll] for one memory, which it returns as it was stored.
func Update(ctx context.Context, s Store, tenant string, w Write, id string, scope Filter, edit func(*Memory) error) (*Memory, error) {
	var updated *Memory
	err := s.UpdateAll(ctx, tenant, w, []string{id}, scope, func(_ int, m *Memory) error {
		updated = m
		return edit(m)
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}
