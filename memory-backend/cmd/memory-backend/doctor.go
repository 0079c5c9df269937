package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/store/qdrant"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// leastRoom is how many bytes must be free on the disk of the data.
const leastRoom = 256 << 20

// doctor collects what is wrong.
type doctor struct {
	out    io.Writer
	wrong  int
	checks int
}

// check tells what came of one check.
func (d *doctor) check(what string, err error) {
	d.checks++
	if err == nil {
		return
	}
	d.wrong++
	printf(d.out, "WRONG %s: %v\n", what, err)
}

func newDoctor(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var room int64
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the data directory, its keys and every tenant's file",
		Long: `doctor looks at everything that the service needs and changes nothing: the modes of directories and files, room on
the disk, the master key and each tenant's wrapped keys, and for each file whose it is, whether SQLite finds it
sound, and whether its keys open it. With --qdrant it looks at the collection, its indexes and, tenant by tenant, whether
the keys open all that it holds. The service can run meanwhile.

Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			if _, err := os.Stat(o.data); err != nil {
				return fmt.Errorf("data directory: %w", err)
			}
			d := &doctor{out: cmd.OutOrStdout()}
			tenants := d.examine(cmd.Context(), &o, room)
			if d.wrong > 0 {
				return fmt.Errorf("%d of %d checks failed", d.wrong, d.checks)
			}
			printf(d.out, "all is well: %d tenants, %d checks\n", tenants, d.checks)
			return nil
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().Int64Var(&room, "least-room", leastRoom, "bytes that must be free on the disk of the data")
	return cmd
}

// examine makes all checks and returns how many tenants there are.
func (d *doctor) examine(ctx context.Context, o *dataOptions, room int64) int {
	d.check("modes", private(o.data))
	if rel, err := filepath.Rel(o.data, o.keys); err != nil || strings.HasPrefix(rel, "..") {
		if _, err := os.Stat(o.keys); err == nil {
			d.check("modes of the keys", private(o.keys))
		}
	}
	free, err := freeBytes(o.data)
	if err == nil && free < room {
		err = fmt.Errorf("%d bytes are free, fewer than %d", free, room)
	}
	d.check("room on the disk", err)
	keys, err := o.keyring(ctx, false)
	d.check("master key", err)
	if err != nil {
		return 0 // without it nothing opens
	}
	if o.qdrant.url != "" {
		return d.examineQdrant(ctx, o, keys)
	}
	files, err := filepath.Glob(filepath.Join(o.data, "*.db"))
	d.check("data directory", err)
	known := map[string]bool{}
	for _, path := range files {
		i, err := sqlite.Inspect(ctx, path, keys)
		name := filepath.Base(path)
		if i.Tenant != "" {
			name = fmt.Sprintf("tenant %q", i.Tenant)
		}
		d.check(name, err)
		known[strings.TrimSuffix(filepath.Base(path), ".db")] = true
	}
	wrapped, err := filepath.Glob(filepath.Join(o.keys, "*"+crypt.FileSuffix))
	d.check("directory of the keys", err)
	for _, path := range wrapped {
		var err error
		if name := strings.TrimSuffix(filepath.Base(path), crypt.FileSuffix); !known[name] {
			err = errors.New("keys of a tenant that has no file: its data is lost, or it was erased and the keys came back")
		}
		d.check("keys "+filepath.Base(path), err)
	}
	return len(files)
}

// examineQdrant checks the collection and what it holds of each tenant, and returns how many tenants there are.
func (d *doctor) examineQdrant(ctx context.Context, o *dataOptions, keys *crypt.Keyring) (tenants int) {
	c, err := o.qdrant.config()
	if err != nil {
		d.check("qdrant", err)
		return 0
	}
	c.Keys, c.Existing = keys, true
	store, err := qdrant.Open(ctx, c)
	d.check("qdrant", err)
	if err != nil {
		return 0
	}
	err = keys.List(func(k crypt.Status) bool {
		tenants++
		if k.Damaged {
			d.check("keys "+k.Tenant, errors.New("they are damaged"))
			return true
		}
		_, err := store.Inspect(ctx, k.Tenant)
		d.check(fmt.Sprintf("tenant %q", k.Tenant), err)
		return ctx.Err() == nil
	})
	d.check("directory of the keys", errors.Join(err, ctx.Err()))
	d.check("qdrant", store.Close())
	return tenants
}

// private returns an error that names what below a directory others can reach.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("%s has mode %04o: others can reach it", path, info.Mode().Perm())
		}
		return nil
	})
}
