package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

// devCertsCommand makes certificates for trying TLS on one machine.
func devCertsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make certificates for development: an authority, the edge, memgate, the upstream, a client",
		Long: "Make certificates for development. The authority (ca.crt) is made once; the others are\n" +
			"renewed by each run. Nothing that others rely on should ever trust it.",
		Args: usage(cobra.NoArgs),
	}
	dir := cmd.Flags().String("dir", filepath.Join(runDirectory, "tls"), "directory of the certificates")
	seen := cmd.Flags().String("seen-as", "", "the same directory as Envoy sees it, such as in a container")
	hosts := cmd.Flags().StringSlice("host", []string{"localhost", "127.0.0.1", "::1"}, "names and addresses of the edge")
	life := cmd.Flags().Duration("for", 30*24*time.Hour, "how long the certificates are good")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *life <= 0 {
			return usageError{fmt.Errorf("--for: must be longer than nothing")}
		}
		if err := dev.Certificates(dev.CertificateOptions{
			Dir: *dir, SeenAs: *seen, Hosts: *hosts, For: *life, Random: rand.Reader, Now: time.Now,
		}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), `Certificates in %[1]s. In the policy file:

    envoy:
      listen: "127.0.0.1:8443"
      tls: { sds: %[2]s, redirect: "127.0.0.1:8080" }

and then: curl --cacert %[3]s https://localhost:8443/
`, *dir, filepath.Join(*dir, "sds"), filepath.Join(*dir, "ca.crt"))
		return err
	}
	return cmd
}
