package main

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/txntoken"
)

func keySigningCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signing",
		Short: "Make the key that signs Txn-Tokens, unless there is one",
		Long: "Make the key that signs Txn-Tokens in the file that transaction.key names, unless there is one,\n" +
			"and print where it is. 'memgate serve' does so, too: this is for instances that share a key.",
		Args: usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		path := p.Path(strings.TrimPrefix(string(p.Transaction.Key), "file:"))
		if _, err := txntoken.LoadOrCreateKey(path, rand.Reader); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
		return err
	}
	return cmd
}
