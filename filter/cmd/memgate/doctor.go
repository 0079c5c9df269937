package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/envoy/doctor"
)

// maxDump bounds what is read of an Envoy's configuration, in bytes.
const maxDump = 256 << 20

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what keeps a running Envoy from being the edge",
		Long: "Read the configuration of a running Envoy, whoever configured it, and say what keeps it from\n" +
			"being the edge, each with the fix. It exits with 1 when requests pass unchecked, hang, or are\n" +
			"all refused. Of a sidecar: kubectl port-forward POD 15000 and --envoy http://127.0.0.1:15000.",
		Args: usage(cobra.NoArgs),
	}
	address := cmd.Flags().String("envoy", "http://127.0.0.1:9901", "Envoy's admin interface")
	file := cmd.Flags().String("dump", "", "file with the answer of /config_dump, instead of asking; - for standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		text, err := configDump(cmd, *address, *file)
		if err != nil {
			return err
		}
		findings, err := doctor.Examine(text)
		if err != nil {
			return err
		}
		failed := false
		for _, f := range findings {
			failed = failed || f.Error
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), f); err != nil {
				return err
			}
		}
		if failed {
			return errSilent
		}
		if len(findings) == 0 {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "no findings")
		}
		return err
	}
	return cmd
}

func configDump(cmd *cobra.Command, address, file string) ([]byte, error) {
	var from io.Reader
	switch file {
	case "":
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/config_dump", nil)
		if err != nil {
			return nil, usageError{fmt.Errorf("--envoy: %w", err)}
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answers %s", request.URL, response.Status)
		}
		from = response.Body
	case "-":
		from = cmd.InOrStdin()
	default:
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxDump+1))
	if err == nil && len(text) > maxDump {
		err = errors.New("the configuration is too large")
	}
	return text, err
}
