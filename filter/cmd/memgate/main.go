// Command memgate is the security edge: the authz service, and the tools to
// write, check and explain its policy.
//
// Exit codes: 0 for success, 1 for a failure or a finding, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	// The authorities of the public web, where there are none on the machine: an
	// image on an empty base has nothing but this binary.
	_ "golang.org/x/crypto/x509roots/fallback"
)

// version is set by the linker.
var version = "development"

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// errSilent ends the command with exit code 1 when it has already said why.
var errSilent = errors.New("")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(root.ErrOrStderr(), "memgate:", err)
	}
	if errors.As(err, new(usageError)) {
		fmt.Fprintln(root.ErrOrStderr(), "See 'memgate --help'.")
		return exitUsage
	}
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "memgate",
		Short:         "A drop-in security edge for services behind Envoy",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		doctorCommand(),
		serveCommand(), checkCommand(), schemaCommand(), renderCommand(), keyCommand(),
		tokenCommand(), piiCommand(), explainCommand(), devCommand(), healthcheckCommand(),
		docsCommand(), auditCommand(), revokeCommand(), sessionCommand(),
	)
	return root
}

// usage marks what a check of arguments refuses as wrong usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// configFlag adds the flag that names the policy file.
func configFlag(cmd *cobra.Command) *string {
	path := cmd.Flags().StringP("config", "c", "memgate.yaml", "policy file")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return path
}
