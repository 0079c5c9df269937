package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/memory-backend/crypt"
)

func newKeys(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Show and rotate the keys that memories are encrypted with",
		Long: `keys shows and rotates the keys that memories are encrypted with, while the service runs.

Each tenant has data keys, wrapped by the master key. Rotating the master key wraps them anew and leaves the
data as it is. Rotating a tenant's keys seals what is written from now on with a new one.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd.PersistentFlags())
	// open opens the keyring; the master key must be there.
	open := func(cmd *cobra.Command) (*crypt.Keyring, error) {
		if err := fromEnvironment(cmd, env); err != nil {
			return nil, err
		}
		if err := o.check(); err != nil {
			return nil, usageError{err}
		}
		k, err := o.keyring(cmd.Context(), false)
		if err == nil && k == nil {
			err = usageError{errors.New("--master-key none: there are no keys")}
		}
		return k, err
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "List the master keys and the keys of each tenant",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := open(cmd)
			if err != nil {
				return err
			}
			return keyStatus(cmd.OutOrStdout(), k)
		},
	}, newRotate(&o, open))
	return cmd
}

func keyStatus(out io.Writer, k *crypt.Keyring) error {
	for i, m := range k.Masters {
		use := "unwraps"
		if i == 0 {
			use = "wraps"
		}
		keys := ""
		if f, ok := m.(*crypt.FileMaster); ok {
			keys = ", key " + strings.Join(f.KeyIDs(), ", ")
		}
		printf(out, "master key %s (%s%s)\n", m.URI(), use, keys)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printf(w, "TENANT\tKEYS\tCREATED\tROTATED\tWRAPPED BY\n")
	damaged := 0
	err := k.List(func(s crypt.Status) bool {
		if s.Damaged {
			damaged++
			printf(w, "%s\tdamaged\t\t\t\n", s.Tenant)
			return true
		}
		printf(w, "%q\t%s\t%s\t%s\t%s\n", s.Tenant, strings.Join(s.Keys, " "), s.Created.Format(time.DateOnly), s.Rotated.Format(time.DateOnly), s.Master)
		return true
	})
	if err = errors.Join(err, w.Flush()); err == nil && damaged > 0 {
		err = fmt.Errorf("%d files with keys are damaged", damaged)
	}
	return err
}

func newRotate(o *dataOptions, open func(*cobra.Command) (*crypt.Keyring, error)) *cobra.Command {
	var tenants []string
	var master, reencrypt bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give tenants a new data key, or wrap their keys by a new master key",
		Example: `  memory-backend keys rotate --data ./data                       # a new data key for every tenant
  memory-backend keys rotate --data ./data --tenant acme --re-encrypt
  memory-backend keys rotate --data ./data --master
  memory-backend keys rotate --data ./data --master --master-key hcvault://vault:8200/transit/keys/memories --master-key file:old.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := open(cmd)
			if err != nil {
				return err
			}
			if master && (len(tenants) > 0 || reencrypt) {
				return usageError{errors.New("--master goes with neither --tenant nor --re-encrypt")}
			}
			if master {
				return rotateMaster(cmd.Context(), cmd.OutOrStdout(), k)
			}
			if len(tenants) == 0 {
				if tenants, err = allKeys(k); err != nil {
					return err
				}
			}
			return rotateTenants(cmd.Context(), cmd.OutOrStdout(), o, k, tenants, reencrypt)
		},
	}
	cmd.Flags().BoolVar(&master, "master", false, "make a new master key (in a file; a key management service makes its own) and wrap all tenants' keys by it")
	cmd.Flags().StringSliceVar(&tenants, "tenant", nil, "only this tenant's data key")
	cmd.Flags().BoolVar(&reencrypt, "re-encrypt", false, "also seal everything anew with the new key, and destroy the old ones")
	return cmd
}

// allKeys returns the tenants that have keys.
func allKeys(k *crypt.Keyring) (tenants []string, err error) {
	damaged := 0
	err = k.List(func(s crypt.Status) bool {
		if s.Damaged {
			damaged++
		} else {
			tenants = append(tenants, s.Tenant)
		}
		return true
	})
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d files with keys are damaged; see memory-backend keys status", damaged)
	}
	return tenants, err
}

// rotateMaster can be repeated when it was interrupted: the old keys stay until nothing is wrapped by them.
func rotateMaster(ctx context.Context, out io.Writer, k *crypt.Keyring) error {
	tenants, err := allKeys(k)
	if err != nil {
		return err
	}
	file, isFile := k.Masters[0].(*crypt.FileMaster)
	if isFile {
		if err := file.Rotate(); err != nil {
			return err
		}
	}
	for _, t := range tenants {
		if err := k.Rewrap(ctx, t); err != nil && !errors.Is(err, crypt.ErrNoKeys) {
			return fmt.Errorf("tenant %q: %w", t, err)
		}
	}
	if isFile {
		// Tenants that came meanwhile are wrapped by the new key or, by a process that had not read it, by the old one.
		again, err := allKeys(k)
		if err != nil {
			return err
		}
		for _, t := range again {
			if err := k.Rewrap(ctx, t); err != nil && !errors.Is(err, crypt.ErrNoKeys) {
				return fmt.Errorf("tenant %q: %w", t, err)
			}
		}
		if err := file.Retire(); err != nil {
			return err
		}
	}
	printf(out, "the keys of %d tenants are wrapped by %s\n", len(tenants), k.Masters[0].URI())
	return nil
}

func rotateTenants(ctx context.Context, out io.Writer, o *dataOptions, k *crypt.Keyring, tenants []string, reencrypt bool) (err error) {
	for _, t := range tenants {
		if err := k.Rotate(ctx, t); err != nil {
			return fmt.Errorf("tenant %q: %w", t, err)
		}
	}
	printf(out, "%d tenants have a new data key\n", len(tenants))
	if !reencrypt {
		return nil
	}
	store, _, err := o.openStore(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := claim(ctx, store); err != nil {
		return fmt.Errorf("%w, and call this again with --re-encrypt; what the old keys sealed opens meanwhile", err)
	}
	engine, ok := store.(interface {
		Reencrypt(ctx context.Context, tenant string) (int, error)
	})
	if !ok {
		return errors.New("this engine cannot re-encrypt")
	}
	for i, t := range tenants {
		rows, err := engine.Reencrypt(ctx, t)
		if err != nil {
			return fmt.Errorf("tenant %q: %w", t, err)
		}
		printf(out, "%d of %d: %d records of %q are sealed with it alone\n", i+1, len(tenants), rows, t)
	}
	return nil
}
