package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/pii/catalog"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [file]",
		Short: "Lint a policy file",
		Long: "Lint a policy file: what is wrong is an error (exit code 1), what is unwise a warning\n" +
			"(exit code 0, or 1 with --strict). Each finding names file, line and column.",
		Args: usage(cobra.MaximumNArgs(1)),
	}
	strict := cmd.Flags().Bool("strict", false, "take warnings for errors")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := "memgate.yaml"
		if len(args) == 1 {
			path = args[0]
		}
		_, warnings, err := policy.Load(path)
		for _, w := range warnings {
			fmt.Fprintln(cmd.OutOrStdout(), w)
		}
		if err != nil {
			fmt.Fprintln(cmd.OutOrStdout(), err)
			return errSilent
		}
		if *strict && len(warnings) > 0 {
			return errSilent
		}
		if len(warnings) == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: no findings\n", path)
		}
		return nil
	}
	return cmd
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the policy file",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.Schema())
			return err
		},
	}
}

// docsCommand prints the parts of the documentation that the code is the
// source of.
func docsCommand() *cobra.Command {
	pages := map[string]func() []byte{"policy": policy.Reference, "problems": problem.Reference, "entities": catalog.Markdown}
	return &cobra.Command{
		Use:       "docs policy|problems|entities",
		Short:     "Print a generated page of the documentation",
		Hidden:    true,
		ValidArgs: []string{"policy", "problems", "entities"},
		Args:      usage(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := cmd.OutOrStdout().Write(pages[args[0]]())
			return err
		},
	}
}
