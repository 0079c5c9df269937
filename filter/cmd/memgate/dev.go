package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server"
)

// runDirectory is where a development run keeps its state.
const runDirectory = ".run"

func devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole system on this machine: Envoy, memgate, the memory backend and an issuer",
		Long: "Run the whole system on this machine for development, all on loopback, and print how to\n" +
			"use it. MEMGATE_PORT changes the port of the edge. Ctrl-C ends everything.",
		Args: usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	dir := cmd.Flags().String("dir", runDirectory, "directory of the run's state")
	backend := cmd.Flags().String("backend", "build/memory-backend", "the memory-backend binary")
	envoy := cmd.Flags().String("envoy", "", "the Envoy binary ($ENVOY, then the PATH)")
	cmd.AddCommand(devCertsCommand())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(*dir, 0o700); err != nil {
			return err
		}
		err = dev.Run(cmd.Context(), dev.Options{
			Config: *config, Dir: *dir, Port: os.Getenv("MEMGATE_PORT"),
			Self: self, Backend: *backend, Envoy: *envoy,
			Render: renderEnvoy,
			Key:    func(p *policy.Policy) (string, error) { return developmentKey(p, *dir) },
			Out:    cmd.OutOrStdout(),
		})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	return cmd
}

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Mint a token of the development issuer",
		Long: "Mint a token of the development issuer that 'memgate dev' runs. It is worth nothing\n" +
			"anywhere else.",
		Args: usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	dir := cmd.Flags().String("dir", runDirectory, "directory of the run's state")
	tenant := cmd.Flags().String("tenant", dev.Tenant, "tenant")
	subject := cmd.Flags().String("subject", dev.Subject, "subject")
	scope := cmd.Flags().String("scope", dev.Scope, "scopes, separated by spaces")
	ttl := cmd.Flags().Duration("ttl", time.Hour, "lifetime; a negative one makes a token that has expired")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(*dir, 0o700); err != nil {
			return err
		}
		token, err := dev.Mint(p, *dir, dev.Claims{Tenant: *tenant, Subject: *subject, Scope: *scope, TTL: *ttl}, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
		return err
	}
	cmd.AddCommand(tokenVerifyCommand())
	return cmd
}

// developmentKey returns the API key of the last run, or a new one when there
// was none or it is no longer good.
func developmentKey(p *policy.Policy, dir string) (string, error) {
	keys, err := server.KeysOf(p)
	if err != nil {
		return "", err
	}
	if last := dev.ReadEnv(dir, "MEMGATE_API_KEY"); last != "" {
		if store, err := keys.Open(time.Now); err == nil {
			if _, err := store.Verify(context.Background(), last); err == nil {
				return last, nil
			}
		}
	}
	_, key, err := keys.Create(context.Background(), apikey.Record{
		Name: "development", Tenant: dev.Tenant, Subject: dev.Subject, Scopes: strings.Fields(dev.Scope),
	}, rand.Reader, time.Now)
	return key, err
}
