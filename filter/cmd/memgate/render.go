package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

func renderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write configuration that follows from the policy",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(renderEnvoyCommand())
	return cmd
}

func renderEnvoyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "envoy",
		Short: "Write a complete Envoy bootstrap",
		Args:  usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	out := cmd.Flags().StringP("output", "o", "-", "file to write, - for standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		text, err := renderEnvoy(p)
		if err != nil {
			return err
		}
		if *out == "-" {
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}
		return os.WriteFile(*out, text, 0o644)
	}
	return cmd
}

func renderEnvoy(p *policy.Policy) ([]byte, error) {
	bootstrap, err := render.Envoy(p)
	if err != nil {
		return nil, err
	}
	return render.YAML(bootstrap)
}
