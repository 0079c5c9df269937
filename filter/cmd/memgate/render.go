package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

func renderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write configuration that follows from the policy",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		renderEnvoyCommand(),
		renderMeshCommand("istio", "Write the objects of an Istio mesh: memgate, and the edge in a sidecar or the gateway", mesh.Istio),
		renderMeshCommand("envoy-gateway", "Write the objects of Envoy Gateway: memgate, and a gateway before the workload", mesh.EnvoyGateway),
		renderMeshCommand("kubernetes", "Write memgate itself for a cluster", mesh.Kubernetes),
		renderMeshCommand("helm", "Write memgate itself as a Helm chart, with this policy as its default", mesh.Chart),
		renderMeshCommand("compose", "Write containers: Envoy and memgate before a service of your own", mesh.Compose),
	)
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
	compare := cmd.Flags().Bool("diff", false, "show what would change in the file, write nothing, and exit with 1 if something would")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		text, err := renderEnvoy(p)
		if err != nil {
			return err
		}
		if *compare {
			if *out == "-" {
				return usageError{errors.New("--diff: needs --output, the file to compare with")}
			}
			return showDifferences(cmd, filepath.Dir(*out), []mesh.File{{Name: filepath.Base(*out), Text: text}})
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

// renderMeshCommand writes the files of one kind of mesh.
func renderMeshCommand(name, short string, write func(*policy.Policy, mesh.Options) ([]mesh.File, error)) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: usage(cobra.NoArgs)}
	config := configFlag(cmd)
	dir := cmd.Flags().StringP("output", "o", "-", "directory to write into, - for standard output")
	compare := cmd.Flags().Bool("diff", false, "show what would change in the directory, write nothing, and exit with 1 if something would")
	o := mesh.Defaults()
	f := cmd.Flags()
	f.StringVar(&o.Namespace, "namespace", o.Namespace, "namespace of memgate")
	f.StringVar(&o.Workload, "workload", o.Workload, "name of the protected service, and the label app of its pods")
	f.StringVar(&o.WorkloadNamespace, "workload-namespace", o.WorkloadNamespace, "namespace of the protected service")
	f.StringVar(&o.Image, "image", o.Image, "image of memgate, best with its digest")
	f.StringVar(&o.Wasm, "wasm", o.Wasm, "the content filter: oci://… or https://…")
	f.StringVar(&o.WasmSHA256, "wasm-sha256", "", "digest of the filter's image, or hash of its file")
	f.StringVar(&o.PullSecret, "pull-secret", "", "secret for a private registry")
	f.IntVar(&o.Replicas, "replicas", o.Replicas, "instances of memgate, at least")
	f.StringVar(&o.FilesSecret, "files-secret", o.FilesSecret, "secret whose members are files beside the policy in secrets/")
	f.StringVar(&o.EnvSecret, "env-secret", o.EnvSecret, "secret whose members are environment variables, such as the URL of your Redis")
	if name == "istio" {
		f.StringVar(&o.At, "at", o.At, "where the edge stands: sidecar or gateway")
		f.BoolVar(&o.HoldHeaders, "hold-headers", false, "use an EnvoyFilter, which can hold headers until the body is known, instead of a WasmPlugin")
	}
	if name == "envoy-gateway" {
		f.StringVar(&o.GatewayClass, "gateway-class", o.GatewayClass, "class of the gateway")
		f.BoolVar(&o.HoldHeaders, "hold-headers", false, "add an EnvoyPatchPolicy, by which headers are held until the body is known")
	}
	if name == "istio" || name == "envoy-gateway" {
		f.StringSliceVar(&o.Hosts, "host", o.Hosts, "names by which clients reach the gateway")
		f.StringVar(&o.TLSSecret, "tls-secret", o.TLSSecret, "secret of the gateway's certificate")
		f.StringVar(&o.ClientCASecret, "client-ca-secret", "", "secret of the authorities of clients' certificates; they must then show one")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		if o.Policy, err = os.ReadFile(*config); err != nil {
			return err
		}
		files, err := write(p, o)
		if err != nil {
			return err
		}
		switch {
		case *compare && *dir == "-":
			return usageError{errors.New("--diff: needs --output, the directory to compare with")}
		case *compare:
			return showDifferences(cmd, *dir, files)
		case *dir == "-":
			return print(cmd, files)
		}
		return writeFiles(*dir, files)
	}
	return cmd
}

// print writes all files behind each other: for a cluster they are one.
func print(cmd *cobra.Command, files []mesh.File) error {
	for i, f := range files {
		if i > 0 {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), "---"); err != nil {
				return err
			}
		}
		if _, err := cmd.OutOrStdout().Write(f.Text); err != nil {
			return err
		}
	}
	return nil
}

func writeFiles(dir string, files []mesh.File) error {
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path+".new", f.Text, 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// showDifferences compares files with those in a directory.
func showDifferences(cmd *cobra.Command, dir string, files []mesh.File) error {
	changed := false
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(have, f.Text) {
			continue
		}
		changed = true
		if _, err := cmd.OutOrStdout().Write(difference(path, have, f.Text)); err != nil {
			return err
		}
	}
	if changed {
		return errSilent
	}
	return nil
}
