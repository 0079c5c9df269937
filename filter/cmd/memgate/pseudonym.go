package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/policy"
)

func piiKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print a new master key for pii.pseudonyms.keys",
		Long: "Print a new master key of 256 random bits for pii.pseudonyms.keys. Keep it in a file that only\n" +
			"memgate can read, and a copy where it cannot get lost: without it no pseudonym can be opened.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := make([]byte, 32)
			if _, err := rand.Read(key); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), base64.RawURLEncoding.EncodeToString(key))
			return err
		},
	}
}

func piiOpenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open a tenant's pseudonyms in text",
		Long: "Copy standard input to standard output with the pseudonyms of a tenant opened by the keys of the\n" +
			"policy's pii.pseudonyms. What is none, was made for another tenant or by another key stays as it is.\n" +
			"It is not audited: who has the keys can open everything.",
		Args: usage(cobra.NoArgs),
	}
	config := cmd.Flags().StringP("config", "c", "memgate.yaml", "policy file")
	tenant := cmd.Flags().String("tenant", "", "tenant whose pseudonyms are opened")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *tenant == "" {
			return usageError{errors.New("--tenant is required")}
		}
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		keys, err := authz.Pseudonyms(p, *tenant)
		if err != nil {
			return err
		}
		rewriter := pii.NewRewriter(pii.Config{Format: pii.Text})
		rewriter.SetPseudonyms(keys, true)
		if err := rewrite(cmd.InOrStdin(), cmd.OutOrStdout(), rewriter); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d opened\n", rewriter.Opened())
		return err
	}
	return cmd
}
