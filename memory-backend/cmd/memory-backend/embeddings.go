package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/memgate/memgate/memory-backend/embed"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
)

// embeddingsOptions say which server makes dense vectors; none without a URL.
type embeddingsOptions struct {
	url, model, keyFile string
	dimensions          int
	shorten, plainHTTP  bool
}

func (o *embeddingsOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.url, "embeddings", "", "API that makes dense vectors of memories and queries, which it reads in clear, compatible with OpenAI's: https://HOST/v1; empty for none")
	f.StringVar(&o.model, "embeddings-model", "", "model that the API is asked for")
	f.IntVar(&o.dimensions, "embeddings-dimensions", 0, "length of the model's vectors")
	f.BoolVar(&o.shorten, "embeddings-shorten", false, "ask the API for vectors of that length, which some models can make shorter")
	f.StringVar(&o.keyFile, "embeddings-key-file", "", "file with the API key, sent with TLS or to loopback only")
	f.BoolVar(&o.plainHTTP, "embeddings-plain-http", false, "allow an http URL of another host; only on a network that is private to it and this service")
}

// space returns what the vectors are of, and the zero Space without a URL.
func (o *embeddingsOptions) space() (memory.Space, error) {
	if o.url == "" {
		if o.model != "" || o.dimensions != 0 || o.keyFile != "" {
			return memory.Space{}, errors.New("--embeddings-… go with --embeddings")
		}
		return memory.Space{}, nil
	}
	if o.model == "" || o.dimensions < 1 || o.dimensions > memory.MaxDimensions {
		return memory.Space{}, fmt.Errorf("--embeddings goes with --embeddings-model and --embeddings-dimensions, 1 to %d", memory.MaxDimensions)
	}
	return memory.Space{Model: o.model, Dimensions: o.dimensions}, nil
}

// client returns what asks the API.
func (o *embeddingsOptions) client() (*embed.Client, error) {
	space, err := o.space()
	if err != nil {
		return nil, usageError{err}
	}
	key := ""
	if o.keyFile != "" {
		data, err := os.ReadFile(o.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--embeddings-key-file: %w", err)
		}
		if key = strings.TrimSpace(string(data)); key == "" || strings.ContainsAny(key, "\r\n\x00") {
			return nil, errors.New("--embeddings-key-file is not one line")
		}
	}
	c, err := embed.NewClient(embed.ClientConfig{URL: o.url, Space: space, SendDimensions: o.shorten, Key: key, PlainHTTP: o.plainHTTP})
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// store has a store keep and use the vectors that the API makes.
func (o *embeddingsOptions) store(store memory.VectorStore, log *slog.Logger, metrics prometheus.Registerer, more func(*embed.Config)) (*embed.Store, error) {
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	guard := &rights.Guard{Store: store, Now: time.Now}
	c := embed.Config{Store: store, Client: client, Scope: guard.Scope, Log: log, Metrics: metrics}
	if more != nil {
		more(&c)
	}
	return embed.New(c)
}

// checkEmbeddings fails if the API makes other vectors than it should. One that cannot be asked now is a warning.
func checkEmbeddings(ctx context.Context, s *embed.Store, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := s.Check(ctx)
	if errors.Is(err, embed.ErrUnavailable) {
		log.Warn("the server of vectors does not answer yet: recall goes by words alone until it does", "error", err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("--embeddings: %w", err)
	}
	return nil
}

func newEmbeddings(env func(string) (string, bool)) *cobra.Command {
	var o dataOptions
	var only string
	cmd := &cobra.Command{
		Use:   "embeddings",
		Short: "Show how many memories have a dense vector, and make those that are missing",
		Long: `embeddings is about the dense vectors of memories: of one model, and of one length. The service makes those that are missing
by itself, also after a change of the model; this tells how far that is, or does it at once, while the service runs or not.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd.PersistentFlags())
	cmd.PersistentFlags().StringVar(&only, "tenant", "", "this tenant only")
	run := func(do func(ctx context.Context, s *embed.Store, tenants []string, out, progress io.Writer) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) (err error) {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			if o.embeddings.url == "" {
				return usageError{errors.New("--embeddings, --embeddings-model and --embeddings-dimensions say which vectors")}
			}
			store, _, err := o.openStore(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			s, err := o.embeddings.store(store, nil, nil, nil)
			if err != nil {
				return err
			}
			var tenants []string
			if err := store.Tenants(cmd.Context(), func(name string) bool {
				if only == "" || name == only {
					tenants = append(tenants, name)
				}
				return true
			}); err != nil {
				return err
			}
			if only != "" && len(tenants) == 0 {
				return fmt.Errorf("there is no tenant %q", only)
			}
			return do(cmd.Context(), s, tenants, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}
	}
	cmd.AddCommand(&cobra.Command{
		Use: "status", Short: "Say of each tenant how many of its memories have a vector of this model", Args: usageArgs(cobra.NoArgs),
		RunE: run(embeddingsStatus),
	}, &cobra.Command{
		Use: "backfill", Short: "Make the vectors that are missing; it can be interrupted and called again", Args: usageArgs(cobra.NoArgs),
		RunE: run(embeddingsBackfill),
	})
	return cmd
}

func embeddingsStatus(ctx context.Context, s *embed.Store, tenants []string, out, _ io.Writer) error {
	for _, name := range tenants {
		have, all, err := s.CountVectors(ctx, name, s.Client.Space)
		if err != nil {
			return fmt.Errorf("tenant %q: %w", name, err)
		}
		printf(out, "%q: %d of %d memories have a vector of %s\n", name, have, all, s.Client.Space.Model)
	}
	return nil
}

func embeddingsBackfill(ctx context.Context, s *embed.Store, tenants []string, out, progress io.Writer) error {
	if err := claim(ctx, s.Config.Store); err != nil {
		return err
	}
	for i, name := range tenants {
		have, all, err := s.CountVectors(ctx, name, s.Client.Space)
		if err != nil {
			return fmt.Errorf("tenant %q: %w", name, err)
		}
		done, err := s.Fill(ctx, name, func(f embed.Filled) {
			printf(progress, "\rtenant %d of %d: %d of %d memories", i+1, len(tenants), have+f.Stored, all)
		})
		if done.Stored > 0 {
			printf(progress, "\n")
		}
		if err != nil {
			return fmt.Errorf("tenant %q: %w", name, err)
		}
		printf(out, "%q: %d vectors made, %d texts refused\n", name, done.Stored, done.Refused)
	}
	return nil
}
