package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck(env func(string) (string, bool)) *cobra.Command {
	var listen, certificate string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 if the service answers, 1 if it does not",
		Long:  "healthcheck asks /healthz of the service that listens at --listen. It is meant for containers without a shell.",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			return healthcheck(cmd.Context(), listen, certificate, timeout)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "address that the service listens on")
	cmd.Flags().StringVar(&certificate, "tls-cert", "", "certificate (PEM) that the service shows, when it speaks TLS; completing a handshake with it is then health enough")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "time to wait for the answer")
	return cmd
}

func healthcheck(ctx context.Context, listen, certificate string, timeout time.Duration) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // a service that listens everywhere listens there too
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if certificate != "" {
		return handshake(ctx, net.JoinHostPort(host, port), certificate)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s", resp.Status)
	}
	return nil
}
