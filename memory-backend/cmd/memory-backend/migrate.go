package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
)

// migrateStep is how many memories are moved in one write.
const migrateStep = 50

func newMigrate(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var from, to, only string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move all tenants from one engine to another",
		Long: `Copies every memory with its history, every agent, consents, the policy of retention and the records of who read what, and compares both sides by count and checksum in the
end. What is there already is left as it is, so a migration that was interrupted goes on where it was. Idempotency keys stay behind. Stop
the service first; the files stay until you remove them.`,
		Example: `  memory-backend migrate --from sqlite --to qdrant --data ./data --qdrant https://qdrant.example.com:6334`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			if from != "sqlite" || to != "qdrant" || o.qdrant.url == "" {
				return usageError{errors.New("say --from sqlite --to qdrant, and where the Qdrant is with --qdrant")}
			}
			files := o
			files.qdrant = qdrantOptions{}
			source, keys, err := files.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, source.Close()) }()
			target, err := o.openQdrant(cmd.Context(), keys)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, target.Close()) }()
			if err := claim(cmd.Context(), target); err != nil {
				return err
			}
			return migrate(cmd.Context(), source, target, only, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	o.flags(f)
	f.StringVar(&from, "from", "", "engine to move from: sqlite")
	f.StringVar(&to, "to", "", "engine to move to: qdrant")
	f.StringVar(&only, "tenant", "", "move this tenant only")
	return cmd
}

// migrate moves tenants and says on out what was moved; progress is told meanwhile.
func migrate(ctx context.Context, source, target memory.Store, only string, out, progress io.Writer) error {
	var names []string
	if err := source.Tenants(ctx, func(name string) bool {
		if only == "" || name == only {
			names = append(names, name)
		}
		return true
	}); err != nil {
		return err
	}
	if only != "" && len(names) == 0 {
		return fmt.Errorf("there is no tenant %q", only)
	}
	for i, name := range names {
		bar := func(done, all int) {
			const width = 30
			full := width
			if all > 0 {
				full = width * done / all
			}
			printf(progress, "\rtenant %d of %d [%s%s] %d of %d memories", i+1, len(names), strings.Repeat("#", full), strings.Repeat(" ", width-full), done, all)
		}
		sum, n, stored, err := migrateTenant(ctx, source, target, name, bar)
		printf(progress, "\n")
		if err != nil {
			return fmt.Errorf("tenant %q: %w", name, err)
		}
		printf(out, "%q: %d memories, %d of them new, checksum %x\n", name, n, stored, sum)
	}
	return nil
}

// migrateTenant moves one tenant and compares both sides.
func migrateTenant(ctx context.Context, source, target memory.Store, name string, bar func(done, all int)) (sum [sha256.Size]byte, n, stored int, err error) {
	w := memory.Write{By: "migrate", At: time.Now().UTC()}
	agents, err := source.Agents(ctx, name, false, 1<<20)
	if err != nil {
		return sum, 0, 0, err
	}
	for _, a := range agents {
		if err := target.CreateAgent(ctx, name, w, a); err != nil && !errors.Is(err, memory.ErrExists) {
			return sum, 0, 0, err
		}
	}
	var moved [sha256.Size]byte // the same over what the target holds
	q := memory.ListQuery{Order: memory.OldestFirst, Limit: migrateStep, Total: true}
	for {
		found, all, err := source.List(ctx, name, q)
		if err != nil {
			return sum, n, stored, err
		}
		if len(found) == 0 {
			break
		}
		items := make([]memory.Exported, len(found))
		for i, m := range found {
			last := memory.Position{Created: m.Created, Seq: m.Seq}
			q.After = &last // Restore numbers them anew
			if items[i], err = exported(ctx, source, name, m); err != nil {
				return sum, n, stored, err
			}
			if err := mix(&sum, items[i]); err != nil {
				return sum, n, stored, err
			}
		}
		fresh, err := target.Restore(ctx, name, w, items)
		if err != nil {
			return sum, n, stored, err
		}
		stored += fresh
		for _, item := range items {
			m, err := target.Get(ctx, name, item.Memory.ID, nil)
			if err != nil {
				return sum, n, stored, fmt.Errorf("memory %s did not arrive: %w", item.Memory.ID, err)
			}
			arrived, err := exported(ctx, target, name, m)
			if err != nil {
				return sum, n, stored, err
			}
			if err := mix(&moved, arrived); err != nil {
				return sum, n, stored, err
			}
		}
		n += len(found)
		bar(n, all)
	}
	for _, kind := range rights.RecordKinds() {
		if err := migrateRecords(ctx, source, target, name, kind); err != nil {
			return sum, n, stored, err
		}
	}
	_, there, err := target.List(ctx, name, memory.ListQuery{Limit: 1, Total: true})
	switch {
	case err != nil:
		return sum, n, stored, err
	case there != n:
		return sum, n, stored, fmt.Errorf("there are %d memories in the one and %d in the other", n, there)
	case sum != moved:
		return sum, n, stored, errors.New("both have the same memories, which differ: one side was written to")
	}
	return sum, n, stored, nil
}

func exported(ctx context.Context, s memory.Store, name string, m *memory.Memory) (memory.Exported, error) {
	changes, err := s.History(ctx, name, m.ID, "")
	if errors.Is(err, memory.ErrNotFound) {
		err = nil
	}
	return memory.Exported{Memory: m, Changes: changes}, err
}

// mix counts a memory and its history in to a checksum that does not depend on their order.
func mix(sum *[sha256.Size]byte, item memory.Exported) error {
	m := item.Memory.Clone()
	m.Seq, m.Metadata = 0, nil // numbers are an engine's own
	if len(m.Tags) == 0 {
		m.Tags = nil
	}
	if len(m.Category) == 0 {
		m.Category = nil
	}
	parts := []any{m, string(item.Memory.Metadata)}
	for _, c := range item.Changes {
		text := string(c.Metadata)
		c.Metadata = nil
		parts = append(parts, c, text)
	}
	data, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	for i, b := range sha256.Sum256(data) {
		sum[i] ^= b
	}
	return nil
}

// migrateRecords moves the records of a kind; what the target has by a name stays.
func migrateRecords(ctx context.Context, source, target memory.Store, name, kind string) error {
	for after := int64(0); ; {
		list, err := source.Records(ctx, name, kind, after, migrateStep)
		if err != nil || len(list) == 0 {
			return err
		}
		names, values := make([]string, len(list)), make(map[string][]byte, len(list))
		for i, r := range list {
			names[i], values[r.Name], after = r.Name, r.Value, r.Seq
		}
		if err := target.EditRecords(ctx, name, kind, names, func(name string, old []byte) ([]byte, error) {
			if old != nil {
				return old, nil
			}
			return values[name], nil
		}); err != nil {
			return err
		}
	}
}
