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
)

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
	Offset int
	Limit  int  // at most this many; must be positive
	Total  bool // also count everything that matches
}

// SearchQuery asks for the memories that a text is about, best first.
type SearchQuery struct {
	Text     string
	Filter   Filter
	Limit    int     // must be positive
	MinScore float64 // leave out hits below it; 0 keeps all
}

// Hit is a memory that was found. Score lies above 0 and at most at 1, where 1 means that the memory
// says everything that was asked; memories that share no term with the query are no hits.
type Hit struct {
	Memory *Memory
	Score  float64
}

// Write says who changes something, and when.
type Write struct {
	By string    // the verified subject
	At time.Time // by the caller's clock
}

// Store keeps the memories of all tenants. No call can see or touch two tenants. All methods may be
// called at once from many goroutines. A write that returned nil is durable: it survives the end of the
// process and of the machine. Writes are atomic: a failed one left nothing behind.
//
// A tenant comes into being with its first write; reading one that does not exist finds nothing.
type Store interface {
	// Add stores memories as they are. Their ids must be new. Agents that they name and that are valid
	// agent ids become registered.
	Add(ctx context.Context, tenant string, w Write, memories []*Memory) error
	// Get returns the memory with this id if the scope selects it, else ErrNotFound.
	Get(ctx context.Context, tenant, id string, scope Filter) (*Memory, error)
	// Update lets edit change the memory and stores it. What edit must not change (ID, Created unless
	// deliberate) is its own duty. An error of edit is returned as it is and nothing is stored.
	Update(ctx context.Context, tenant string, w Write, id string, scope Filter, edit func(*Memory) error) (*Memory, error)
	// UpdateAll is Update for several memories at once: all or none.
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
	// Entities returns the users, agents, apps and runs of the selected memories, by kind and name, at most limit.
	Entities(ctx context.Context, tenant string, filter Filter, limit int) ([]Entity, error)

	// CreateAgent registers an agent; ErrExists if it is registered.
	CreateAgent(ctx context.Context, tenant string, a Agent) error
	// Agent returns a registered agent, with its number of memories when count is set.
	Agent(ctx context.Context, tenant, id string, count bool) (*Agent, error)
	// Agents returns the registered agents, newest first, at most limit.
	Agents(ctx context.Context, tenant string, count bool, limit int) ([]Agent, error)
	// DeleteAgent unregisters an agent and, when memories is set, removes its memories.
	DeleteAgent(ctx context.Context, tenant string, w Write, id string, memories bool) error

	// Ready returns nil if the store can take reads and writes.
	Ready(ctx context.Context) error
	// Close waits for work under way and releases everything.
	Close() error
}
