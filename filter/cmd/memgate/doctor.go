package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/envoy/doctor"
)

const (
	// maxDump bounds what is read of an Envoy's configuration, in bytes.
	maxDump = 128 << 20
	// adminTimeout is how long Envoy's admin interface may take for an answer.
	adminTimeout = 20 * time.Second
)

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
		findings, err := examine(cmd, *address, *file)
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

// examine asks the Envoy at address, or reads a file instead.
func examine(cmd *cobra.Command, address, file string) ([]doctor.Finding, error) {
	if file != "" {
		text, err := dumpOf(cmd, file)
		if err != nil {
			return nil, err
		}
		return doctor.Examine(text)
	}
	text, err := ask(cmd.Context(), address, "/config_dump")
	if err != nil {
		return nil, err
	}
	findings, err := doctor.Examine(text)
	if err != nil {
		return nil, err
	}
	if text, err = ask(cmd.Context(), address, "/stats?"+doctor.StatsFilter); err != nil {
		return nil, err
	}
	return append(findings, doctor.ExamineStats(text)...), nil
}

// ask gets a page of an admin interface. It goes nowhere else.
func ask(ctx context.Context, address, page string) ([]byte, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+page, nil)
	if err != nil {
		return nil, usageError{fmt.Errorf("--envoy: %w", err)}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer of Envoy's admin interface: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: is it Envoy's admin interface?", request.URL, response.Status)
	}
	return bounded(response.Body)
}

// dumpOf reads a file, or with - the standard input.
func dumpOf(cmd *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		return bounded(cmd.InOrStdin())
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(f)
}

func bounded(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxDump+1))
	if err == nil && len(text) > maxDump {
		err = fmt.Errorf("the configuration is longer than %d MiB", maxDump>>20)
	}
	return text, err
}
