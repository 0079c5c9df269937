package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// manifest says what a backup holds. It is written last: a backup without it is not whole.
type manifest struct {
	Format  int               `json:"format"`
	Created time.Time         `json:"created"`
	Tenants int               `json:"tenants"`
	Keys    bool              `json:"keys"`  // whether the wrapped keys are in it
	Files   map[string]string `json:"files"` // SHA-256 by path
}

const (
	manifestFile   = "manifest.json"
	manifestFormat = 1
)

func newBackup(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var to string
	var withoutKeys bool
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy all tenants to a new directory while the service runs",
		Long: `backup copies each tenant's file, as it is at one moment, and its wrapped keys to a new directory, while the
service goes on. The copies are as encrypted as the files are. The master key is not copied: without it
the backup cannot be read, and whoever has only the backup cannot read it.

A tenant that is destroyed later can still be restored from backups that hold its keys. With --without-keys
they are left out; keep a copy of the directory of the keys then, for as short as you must be able to forget.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			if to == "" {
				return usageError{errors.New("--to is required")}
			}
			store, keys, err := o.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			if withoutKeys {
				keys = nil
			}
			n, err := backup(cmd.Context(), store, keys, to)
			if err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "%d tenants are in %s\n", n, to)
			return nil
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&to, "to", "", "directory to make")
	cmd.Flags().BoolVar(&withoutKeys, "without-keys", false, "leave out the tenants' wrapped keys")
	return cmd
}

func backup(ctx context.Context, store *sqlite.Store, keys *crypt.Keyring, to string) (int, error) {
	if err := os.Mkdir(to, 0o700); err != nil {
		return 0, err
	}
	if err := os.Mkdir(filepath.Join(to, "keys"), 0o700); err != nil {
		return 0, err
	}
	m := manifest{Format: manifestFormat, Created: time.Now().UTC(), Keys: keys != nil, Files: map[string]string{}}
	var failed error
	if err := store.Tenants(ctx, func(tenant string) bool {
		failed = backupTenant(ctx, store, keys, to, tenant, &m)
		return failed == nil
	}); err != nil || failed != nil {
		return 0, errors.Join(err, failed)
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return 0, err
	}
	return m.Tenants, writeNew(filepath.Join(to, manifestFile), bytes.NewReader(append(data, '\n')))
}

// backupTenant copies the file and the keys of a tenant. The keys must be those that the file was sealed
// with, so it tries again when they change meanwhile.
func backupTenant(ctx context.Context, store *sqlite.Store, keys *crypt.Keyring, to, tenant string, m *manifest) error {
	file := filepath.Join(to, sqlite.FileName(tenant))
	for range 5 {
		var before, after []byte
		var err error
		if keys != nil {
			if before, err = keys.Wrapped(tenant); errors.Is(err, crypt.ErrNoKeys) {
				return nil // destroyed meanwhile
			} else if err != nil {
				return err
			}
		}
		if err := store.Backup(ctx, tenant, file); errors.Is(err, memory.ErrNotFound) {
			return nil
		} else if err != nil {
			return fmt.Errorf("tenant %q: %w", tenant, err)
		}
		if keys != nil {
			if after, err = keys.Wrapped(tenant); err != nil && !errors.Is(err, crypt.ErrNoKeys) {
				return err
			}
		}
		if !bytes.Equal(before, after) {
			if err := os.Remove(file); err != nil {
				return err
			}
			continue
		}
		m.Tenants++
		if m.Files[filepath.Base(file)], err = digest(file); err != nil || keys == nil {
			return err
		}
		name := filepath.Join("keys", crypt.FileName(tenant)+crypt.FileSuffix)
		sum := sha256.Sum256(before)
		m.Files[filepath.ToSlash(name)] = hex.EncodeToString(sum[:])
		return writeNew(filepath.Join(to, name), bytes.NewReader(before))
	}
	return fmt.Errorf("tenant %q: its keys change all the time", tenant)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeNew writes a file that does not exist yet, durably.
func writeNew(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

func newRestore(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var from string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Fill an empty data directory from a backup",
		Long: `restore checks a backup by its manifest, copies it to a data directory that has no tenants yet, and opens each
of them with the master key. Nothing is copied from a backup that is not whole.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			if from == "" {
				return usageError{errors.New("--from is required")}
			}
			tenants, memories, err := restore(cmd.Context(), &o, from)
			if err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "%d tenants with %d memories are in %s\n", tenants, memories, o.data)
			return nil
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&from, "from", "", "directory that backup made")
	return cmd
}

// restore returns how many tenants and memories there are now.
func restore(ctx context.Context, o *dataOptions, from string) (tenants, memories int, err error) {
	m, err := readManifest(from)
	if err != nil {
		return 0, 0, err
	}
	there, err := filepath.Glob(filepath.Join(o.data, "*.db"))
	if err != nil || len(there) > 0 {
		return 0, 0, errors.Join(err, fmt.Errorf("%s has tenants already", o.data))
	}
	for _, dir := range []string{o.data, o.keys} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return 0, 0, err
		}
	}
	for name := range m.Files {
		to := filepath.Join(o.data, name)
		if key, ok := strings.CutPrefix(name, "keys/"); ok {
			to = filepath.Join(o.keys, key)
		}
		f, err := os.Open(filepath.Join(from, filepath.FromSlash(name)))
		if err != nil {
			return 0, 0, err
		}
		err = writeNew(to, f)
		if errors.Is(err, fs.ErrExist) && !m.Keys {
			err = nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, 0, fmt.Errorf("restore: %w; empty %s and try again", err, o.data)
		}
	}
	store, _, err := o.open(ctx, false)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var failed error
	err = store.Tenants(ctx, func(name string) bool {
		_, n, err := store.List(ctx, name, memory.ListQuery{Limit: 1, Total: true})
		if err != nil {
			failed = fmt.Errorf("tenant %q is restored and cannot be opened: %w", name, err)
			return false
		}
		tenants, memories = tenants+1, memories+n
		return true
	})
	if err = errors.Join(err, failed); err == nil && tenants != m.Tenants {
		err = fmt.Errorf("%d of %d tenants can be opened", tenants, m.Tenants)
	}
	return tenants, memories, err
}

// readManifest reads the manifest of a backup, and checks every file by it.
func readManifest(from string) (*manifest, error) {
	data, err := os.ReadFile(filepath.Join(from, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no backup that was finished: it has no %s", from, manifestFile)
	} else if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil || m.Format != manifestFormat {
		return nil, fmt.Errorf("%s is not one that this program reads", filepath.Join(from, manifestFile))
	}
	for name, want := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fmt.Errorf("%s names a file elsewhere: %q", manifestFile, name)
		}
		got, err := digest(filepath.Join(from, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, fmt.Errorf("%s is damaged: it is not as it was copied", filepath.Join(from, name))
		}
	}
	return m, nil
}
