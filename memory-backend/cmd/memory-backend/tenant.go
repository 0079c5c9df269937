package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/txntoken"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/receipt"
)

// receiptKey is the file of the key that signs receipts, in the data directory.
const receiptKey = "receipt-key.json"

// signer returns what signs receipts, making its key at first.
func (o *dataOptions) signer() (*receipt.Signer, error) {
	key, err := txntoken.LoadOrCreateKey(filepath.Join(o.data, receiptKey), rand.Reader)
	if err != nil {
		return nil, err
	}
	return receipt.NewSigner(key, rand.Reader)
}

// issuer is what receipts name as the one who states.
const issuer = "memory-backend"

// book returns what signs and keeps receipts, if it can keep one now.
func (o *dataOptions) book() (*receipt.Book, error) {
	signer, err := o.signer()
	if err != nil {
		return nil, err
	}
	b := receipt.NewBook(signer, filepath.Join(o.data, "receipts"))
	return b, b.Ready()
}

func newTenant(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var by string
	var yes bool
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "List tenants, and destroy one",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd.PersistentFlags())
	prepare := func(cmd *cobra.Command) error {
		if err := fromEnvironment(cmd, env); err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return usageError{err}
		}
		return nil
	}
	drop := &cobra.Command{
		Use:   "drop TENANT",
		Short: "Destroy a tenant's keys, then its data, and print a signed receipt",
		Long: `drop destroys everything that is held of a tenant: its keys first, so that nothing that a crash or a disk
leaves behind can be read, then its data. It prints a signed receipt and keeps it in DATA/receipts. The
service must not run meanwhile. Backups that hold the tenant's keys can still be read.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := prepare(cmd); err != nil {
				return err
			}
			if !yes {
				return usageError{errors.New("this cannot be undone: say --yes")}
			}
			store, _, err := o.openStore(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			book, err := o.book() // before anything is destroyed that could not be stated then
			if err != nil {
				return err
			}
			var dropped memory.Dropped
			if err = claim(cmd.Context(), store); err == nil {
				dropped, err = store.DropTenant(cmd.Context(), args[0])
			}
			if errors.Is(err, memory.ErrNotFound) {
				return fmt.Errorf("there is no tenant %q", args[0])
			}
			if errors.Is(err, memory.ErrBusy) {
				return errors.New("the service is running on this data: stop it first")
			}
			if err != nil {
				return err
			}
			_, signed, err := book.Sign(receipt.Receipt{Issuer: issuer, At: time.Now(), By: by, Tenant: args[0], What: "tenant",
				Memories: dropped.Memories, Keys: dropped.Keys})
			printf(cmd.OutOrStdout(), "%s\n", signed)
			return err
		},
	}
	drop.Flags().StringVar(&by, "by", "operator", "who asks for it, for the receipt")
	drop.Flags().BoolVar(&yes, "yes", false, "destroy it")
	cmd.AddCommand(drop, &cobra.Command{
		Use:   "list",
		Short: "List the tenants",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := prepare(cmd); err != nil {
				return err
			}
			store, _, err := o.openStore(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			return store.Tenants(cmd.Context(), func(name string) bool {
				printf(cmd.OutOrStdout(), "%q\n", name)
				return true
			})
		},
	})
	return cmd
}

func newReceipt(env func(string) (string, bool)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipt",
		Short: "Check receipts of what was destroyed",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var jwks string
	verify := &cobra.Command{
		Use:     "verify FILE",
		Short:   "Check a receipt (- for standard input) by a key set, and print what it says",
		Example: "  memory-backend receipt verify --jwks receipts.jwks.json receipt.jws",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if jwks == "" {
				return usageError{errors.New("--jwks is required")}
			}
			keys, err := os.ReadFile(jwks)
			if err != nil {
				return err
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
			signed, err := io.ReadAll(io.LimitReader(in, 1<<20))
			if err != nil {
				return err
			}
			r, err := receipt.Verify(string(signed), keys)
			if err != nil {
				return err
			}
			memories := fmt.Sprint(r.Memories, " memories")
			if r.Memories < 0 {
				memories = "an unknown number of memories"
			}
			printf(cmd.OutOrStdout(), "valid: receipt %s of %s\n%s destroyed %s %q of tenant %q: %s, data keys %s; %d kept by a legal hold\n", r.ID, r.At.Format(time.RFC3339),
				r.By, r.What, r.Of, r.Tenant, memories, strings.Join(r.Keys, ", "), r.Held)
			return nil
		},
	}
	verify.Flags().StringVar(&jwks, "jwks", "", "file with the public keys")
	var o dataOptions
	public := &cobra.Command{
		Use:   "jwks",
		Short: "Print the public key that receipts are checked with",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			s, err := o.signer()
			if err == nil {
				_, err = cmd.OutOrStdout().Write(s.JWKS())
			}
			return err
		},
	}
	public.Flags().StringVar(&o.data, "data", "", "directory of the tenants' files")
	cmd.AddCommand(verify, public)
	return cmd
}
