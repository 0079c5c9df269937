package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
)

// importStep is how many lines are imported at a time.
const importStep = 200

func newExport(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var tenant, user, agent, to, cursor, purpose string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write everything that is held on a tenant, a user or an agent, a line of JSON each",
		Long: `export writes what the service holds: memories with their histories and readers, what users agreed to, agents,
and how long memories are kept. It is readable text: keep it as safe as the service. The last line says that it
is whole; each other one has a cursor to go on from. The service can run meanwhile.`,
		Example: "  memory-backend export --data DATA --tenant acme --user alice --to alice.ndjson",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			sel := rights.Selection{Tenant: user == "" && agent == "", User: user, Agent: agent}
			switch {
			case tenant == "":
				return usageError{errors.New("--tenant is required")}
			case user != "" && agent != "":
				return usageError{errors.New("--user and --agent exclude each other")}
			case user != "":
				sel.Filter = memory.Eq(memory.FieldUser, user)
			case agent != "":
				sel.Filter = memory.Eq(memory.FieldAgent, agent)
			}
			guard, closing, err := o.guard(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closing()) }()
			out := cmd.OutOrStdout()
			if to != "-" {
				f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
				out = f
			}
			buffered := bufio.NewWriter(out)
			err = guard.Export(rights.For(cmd.Context(), purpose), tenant, sel, cursor, func(l *rights.Line) error {
				data, err := json.Marshal(l)
				if err == nil {
					_, err = buffered.Write(append(data, '\n'))
				}
				return err
			})
			return errors.Join(err, buffered.Flush())
		},
	}
	o.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant", "", "whose")
	f.StringVar(&user, "user", "", "only what is held on this user")
	f.StringVar(&agent, "agent", "", "only what is held of this agent")
	f.StringVar(&to, "to", "-", "file to make, with mode 0600; - for standard output")
	f.StringVar(&cursor, "cursor", "", "go on behind the line that has this cursor")
	f.StringVar(&purpose, "purpose", "", "what it is for: leave out users who refuse that")
	return cmd
}

func newImport(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var tenant, by string
	var part bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Store what export wrote (- for standard input)",
		Long: `import stores the lines of an export: memories with their ids, versions, histories and readers, and the rest.
What is there already stays as it is, so it can be repeated. The service can run meanwhile.`,
		Example: "  memory-backend import --data DATA --tenant acme alice.ndjson",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if tenant == "" {
				return usageError{errors.New("--tenant is required")}
			}
			var in io.Reader = cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			guard, closing, err := o.guard(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closing()) }()
			n, whole, err := importAll(cmd.Context(), guard, tenant, by, in)
			printf(cmd.OutOrStdout(), "stored %d memories, %d consents and %d agents; %d were there already\n", n.Memories, n.Consents, n.Agents, n.Skipped)
			if err == nil && !whole && !part {
				err = errors.New("the export has no end line: it is not whole (--part accepts that)")
			}
			return err
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose they become")
	cmd.Flags().StringVar(&by, "by", "operator", "who imports, for what has no history")
	cmd.Flags().BoolVar(&part, "part", false, "accept an export that was cut off")
	return cmd
}

// guard opens the store of the options, with the rights that are kept in it.
func (o *dataOptions) guard(ctx context.Context, create bool) (*rights.Guard, func() error, error) {
	if err := o.check(); err != nil {
		return nil, nil, usageError{err}
	}
	store, _, err := o.openStore(ctx, create)
	if err != nil {
		return nil, nil, err
	}
	if create {
		if err := claim(ctx, store); err != nil {
			return nil, nil, errors.Join(err, store.Close())
		}
	}
	return &rights.Guard{Store: store, Now: time.Now}, store.Close, nil
}

// importAll imports in steps, and reports whether the end of an export was among the lines.
func importAll(ctx context.Context, guard *rights.Guard, tenant, by string, in io.Reader) (n rights.Imported, whole bool, err error) {
	var batch []*rights.Line
	read := 0
	store := func() error {
		got, err := guard.Import(ctx, tenant, memory.Write{By: by, At: time.Now().UTC().Truncate(time.Microsecond)}, batch)
		n.Memories, n.Consents, n.Agents, n.Skipped = n.Memories+got.Memories, n.Consents+got.Consents, n.Agents+got.Agents, n.Skipped+got.Skipped
		if err != nil {
			return fmt.Errorf("behind line %d: %w", read-len(batch), err)
		}
		batch = batch[:0]
		return nil
	}
	err = rights.EachLine(in, func(l *rights.Line) error {
		read++
		whole = l.Kind == rights.LineEnd
		if batch = append(batch, l); len(batch) < importStep {
			return nil
		}
		return store()
	})
	if err == nil && len(batch) > 0 {
		err = store()
	}
	return n, whole, err
}
