package main

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the authz service",
		Long: "Run the authz service for Envoy. The policy is reloaded when its file changes and on\n" +
			"SIGHUP; a broken one keeps the old policy in force. SIGTERM drains and ends it.",
		Args: usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	level := cmd.Flags().String("log-level", "info", "debug, info, warn or error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var min slog.Level
		if err := min.UnmarshalText([]byte(*level)); err != nil {
			return usageError{fmt.Errorf("--log-level: %w", err)}
		}
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		reload := make(chan struct{}, 1)
		go func() {
			for range hup {
				select {
				case reload <- struct{}{}:
				default: // one is waiting already
				}
			}
		}()
		return server.Run(cmd.Context(), server.Options{
			Config:  *config,
			Version: version,
			Output:  cmd.OutOrStdout(),
			Random:  rand.Reader,
			Now:     time.Now,
			Log:     slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: min})),
			Reload:  reload,
		})
	}
	return cmd
}

func healthcheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 when the service on this machine is ready, for containers without a shell",
		Args:  usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	url := cmd.Flags().String("url", "", "URL to ask instead of the service's own /readyz")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		target := *url
		client := http.Client{Timeout: 3 * time.Second}
		if target == "" {
			p, _, err := policy.Load(*config)
			if err != nil {
				return err
			}
			_, port, err := net.SplitHostPort(p.Server.HTTP)
			if err != nil {
				return err
			}
			pinned, err := server.Pinned(p)
			if err != nil {
				return err
			}
			scheme := "http://"
			if pinned != nil {
				scheme, client.Transport = "https://", &http.Transport{TLSClientConfig: pinned}
			}
			target = scheme + net.JoinHostPort("127.0.0.1", port) + "/readyz"
		}
		res, err := client.Get(target)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: status %d", res.StatusCode)
		}
		return nil
	}
	return cmd
}
