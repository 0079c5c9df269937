package rights

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// MaxAccess is how many reads of a memory are kept; beyond them the oldest go.
const MaxAccess = 100

// Access is that somebody read a memory.
type Access struct {
	By  string    `json:"by"`  // the verified subject
	At  time.Time `json:"at"`  // to the microsecond
	How string    `json:"how"` // "get", "list", "search", "history" or "export"
}

// read records that the one whom the context names reads memories.
func (g *Guard) read(ctx context.Context, tenant, how string, ids ...string) error {
	if !g.Access || len(ids) == 0 {
		return nil
	}
	by, _ := ctx.Value(readerKey{}).(string)
	entry := Access{by, g.Now().UTC().Truncate(time.Microsecond), how}
	return g.Store.EditRecords(ctx, tenant, memory.RecordAccess, ids, func(_ string, old []byte) ([]byte, error) {
		list, err := decodeAccess(old)
		if err != nil {
			return nil, err
		}
		list = append(list, entry)
		return json.Marshal(list[max(0, len(list)-MaxAccess):])
	})
}

func decodeAccess(data []byte) ([]Access, error) {
	var list []Access
	if data == nil {
		return nil, nil
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.Join(memory.ErrCorrupt, err)
	}
	return list, nil
}

// Accesses returns who read a memory, oldest first, as far as it was recorded.
func (g *Guard) Accesses(ctx context.Context, tenant, id string) ([]Access, error) {
	data, err := g.Store.Record(ctx, tenant, memory.RecordAccess, id)
	if err != nil {
		return nil, err
	}
	return decodeAccess(data)
}
