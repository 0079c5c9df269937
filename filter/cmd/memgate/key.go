package main

import (
	"crypto/rand"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Create, list and revoke API keys",
		Long: "Create, list and revoke the API keys of the policy's identity.api_keys. A running memgate\n" +
			"takes notice within a second.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keyCreateCommand(), keyListCommand(), keyRevokeCommand())
	return cmd
}

// keysAt returns where the policy file at path keeps its keys.
func keysAt(path string) (server.Keys, error) {
	p, _, err := policy.Load(path)
	if err != nil {
		return server.Keys{}, err
	}
	return server.KeysOf(p)
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
		keys, err := keysAt(*config)
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
		record, key, err := keys.Create(grant, rand.Reader, time.Now)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "key %s for tenant %s; it is shown once:\n", record.ID, record.Tenant)
		_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
		return err
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
		keys, err := keysAt(*config)
		if err != nil {
			return err
		}
		records, err := apikey.List(keys.Path)
		if err != nil {
			return err
		}
		out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "ID\tSTATE\tTENANT\tSUBJECT\tSCOPES\tCREATED\tEXPIRES\tNAME")
		now := time.Now()
		for _, r := range records {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, state(r, now), r.Tenant, dash(r.Subject),
				dash(strings.Join(r.Scopes, " ")), date(r.Created), date(r.Expires), r.Name)
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
	}
	return "active"
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
		keys, err := keysAt(*config)
		if err != nil {
			return err
		}
		record, err := apikey.Revoke(keys.Path, args[0], time.Now().Add(*after))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s is revoked from %s on\n", record.ID, record.Revoked.UTC().Format(time.RFC3339))
		return err
	}
	return cmd
}
