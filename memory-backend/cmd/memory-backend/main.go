// Command memory-backend serves memories to AI agents behind the memgate edge.
//
// Exit codes: 0 success, 1 failure, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	// The authorities of the public web, where there are none on the machine: an
	// image on an empty base has nothing but this binary.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/memgate/memgate/memory-backend/api"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in the command line or the environment.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ignoreSizeLimit()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "memory-backend: "+err.Error())
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(stderr, "Run 'memory-backend --help' for usage.")
		return exitUsage
	}
	return exitFailure
}

func newRoot(env func(string) (string, bool)) *cobra.Command {
	root := &cobra.Command{
		Use:   "memory-backend",
		Short: "A memory service for AI agents, behind the memgate edge",
		Long: `memory-backend keeps memories of AI agents: one encrypted SQLite file per tenant,
found again by BM25 and, where a server of embeddings is named, by meaning.

It believes the Txn-Token that the memgate edge signs, and nothing else: no request without a valid one
reaches a memory. Each flag can also be set by the environment: --txn-jwks by MEMORY_BACKEND_TXN_JWKS.

Exit codes: 0 success, 1 failure, 2 wrong usage.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(env), newHealthcheck(env), newOpenAPI(), newKeys(env), newTenant(env), newReceipt(env),
		newBackup(env), newRestore(env), newMigrate(env), newExport(env), newImport(env), newDoctor(env), newEmbeddings(env))
	return root
}

// usageArgs makes an error of args one of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func newOpenAPI() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI 3.1 description of the service",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(api.OpenAPI())
			return err
		},
	}
}
