package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fromEnvironment sets every flag that was not given from MEMORY_BACKEND_<FLAG>.
func fromEnvironment(cmd *cobra.Command, env func(string) (string, bool)) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || failed != nil {
			return
		}
		name := "MEMORY_BACKEND_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v, ok := env(name); ok && v != "" {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				failed = usageError{fmt.Errorf("%s: %w", name, err)}
			}
		}
	})
	return failed
}
