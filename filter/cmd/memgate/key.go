package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Create, list, rotate and revoke API keys",
		Long: "Create, list, rotate and revoke the API keys of the policy's identity.api_keys, in its file or\n" +
			"its Redis. Each running memgate takes notice within a second.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keyCreateCommand(), keyListCommand(), keyRotateCommand(), keyRevokeCommand(), keySigningCommand())
	return cmd
}

// keysAt returns where the policy file at path keeps its keys, and what records what a command
// does to them.
func keysAt(cmd *cobra.Command, path string) (server.Keys, recorder, error) {
	p, _, err := policy.Load(path)
	if err != nil {
		return server.Keys{}, recorder{}, err
	}
	keys, err := server.KeysOf(p)
	return keys, recorderOf(cmd, p), err
}

func keyCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create --tenant TENANT --scope SCOPE...",
		Short: "Create a key and print it; it is not shown again",
		Args:  usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	tenant := cmd.Flags().String("tenant", "", "tenant that the key belongs to (required)")
	subject := cmd.Flags().String("subject", "", "whom the key stands for; key:<id> when empty")
	name := cmd.Flags().String("name", "", "a note on what the key is for")
	scope := cmd.Flags().String("scope", "", "scopes, separated by spaces")
	ttl := cmd.Flags().Duration("expires-in", 0, "lifetime; 0 for none")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *tenant == "" {
			return usageError{fmt.Errorf("--tenant is required")}
		}
		keys, log, err := keysAt(cmd, *config)
		if err != nil {
			return err
		}
		grant := apikey.Record{Name: *name, Tenant: *tenant, Subject: *subject, Scopes: strings.Fields(*scope)}
		if *ttl < 0 {
			return usageError{fmt.Errorf("--expires-in must not be negative")}
		}
		if *ttl > 0 {
			grant.Expires = time.Now().Add(*ttl)
		}
		if err := log.ready(); err != nil {
			return err
		}
		record, key, err := keys.Create(cmd.Context(), grant, rand.Reader, time.Now)
		if err != nil {
			return err
		}
		recorded := log.did(made(record))
		fmt.Fprintf(cmd.ErrOrStderr(), "key %s for tenant %s; it is shown once:\n", record.ID, record.Tenant)
		_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
		return errors.Join(err, recorded)
	}
	return cmd
}

func keyListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys, without their secrets",
		Args:  usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keys, _, err := keysAt(cmd, *config)
		if err != nil {
			return err
		}
		records, used, err := keys.List(cmd.Context())
		if err != nil {
			return err
		}
		out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "ID\tSTATE\tTENANT\tSUBJECT\tSCOPES\tCREATED\tEXPIRES\tLAST USED\tNAME")
		now := time.Now()
		for _, r := range records {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, state(r, now), r.Tenant, dash(r.Subject),
				dash(strings.Join(r.Scopes, " ")), date(r.Created), date(r.Expires), lastUsed(used[r.ID]), r.Name)
		}
		return out.Flush()
	}
	return cmd
}

func state(r apikey.Record, now time.Time) string {
	switch {
	case !r.Revoked.IsZero() && !now.Before(r.Revoked):
		return "revoked"
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		return "expired"
	case !r.Revoked.IsZero():
		return "until " + r.Revoked.UTC().Format(time.RFC3339)
	case !r.Expires.IsZero() && r.Expires.Sub(now) < server.ExpiresSoon:
		return fmt.Sprintf("expires in %dd", int(r.Expires.Sub(now)/(24*time.Hour)))
	}
	return "active"
}

// lastUsed is when a key was used last, to the minute: it is put away that often.
func lastUsed(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04Z")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func keyRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a key",
		Args:  usage(cobra.ExactArgs(1)),
	}
	config := configFlag(cmd)
	after := cmd.Flags().Duration("after", 0, "revoke it only after this time, to overlap with its successor")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, log, err := keysAt(cmd, *config)
		if err != nil {
			return err
		}
		record, err := keys.Revoke(cmd.Context(), args[0], time.Now().Add(*after))
		if err != nil {
			return err
		}
		if err := log.did(ended(record)); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s is revoked from %s on\n", record.ID, record.Revoked.UTC().Format(time.RFC3339))
		return err
	}
	return cmd
}

func keyRotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Create a key like another, which is revoked after a while; print the new one",
		Args:  usage(cobra.ExactArgs(1)),
	}
	config := configFlag(cmd)
	overlap := cmd.Flags().Duration("overlap", 24*time.Hour, "for how long both keys work")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *overlap < 0 {
			return usageError{fmt.Errorf("--overlap must not be negative")}
		}
		keys, log, err := keysAt(cmd, *config)
		if err != nil {
			return err
		}
		if err := log.ready(); err != nil {
			return err
		}
		old, next, key, err := keys.Rotate(cmd.Context(), args[0], time.Now().Add(*overlap), rand.Reader, time.Now)
		if key == "" {
			return err
		}
		// The new key exists, whatever became of the old one.
		did := []audit.Action{made(next)}
		did[0].Replaces = args[0]
		if err == nil {
			did = append(did, ended(old))
		}
		recorded := log.did(did...)
		fmt.Fprintf(cmd.ErrOrStderr(), "key %s for tenant %s; it is shown once:\n", next.ID, next.Tenant)
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), key); err != nil {
			return err
		}
		if err != nil {
			return errors.Join(fmt.Errorf("the old key %s is not revoked: %w", args[0], err), recorded)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "key %s is revoked from %s on\n", old.ID, old.Revoked.UTC().Format(time.RFC3339))
		return recorded
	}
	return cmd
}
