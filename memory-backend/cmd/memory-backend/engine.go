package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/qdrant"
)

// defaultQdrantPort is that of Qdrant's gRPC interface.
const defaultQdrantPort = 6334

// qdrantOptions say where a Qdrant is that keeps the memories instead of files.
type qdrantOptions struct {
	url        string
	apiKeyFile string
	caFile     string
	collection string
}

func (o *qdrantOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.url, "qdrant", "", "gRPC interface of a Qdrant that keeps the memories instead of files: https://HOST:6334, or http on a private network")
	f.StringVar(&o.apiKeyFile, "qdrant-api-key-file", "", "file with the API key of the Qdrant")
	f.StringVar(&o.caFile, "qdrant-ca", "", "file with the authorities (PEM) of the Qdrant's certificate, instead of those of the machine")
	f.StringVar(&o.collection, "qdrant-collection", "memories", "collection in the Qdrant; made when it is missing")
}

// config returns how to reach the Qdrant.
func (o *qdrantOptions) config() (c qdrant.Config, err error) {
	at, err := url.Parse(o.url)
	if err != nil || at.Hostname() == "" || at.Scheme != "https" && at.Scheme != "http" || strings.Trim(at.Path, "/") != "" || at.User != nil || at.RawQuery != "" {
		return c, errors.New("--qdrant must be https://HOST:PORT or http://HOST:PORT")
	}
	c = qdrant.Config{Host: at.Hostname(), Port: defaultQdrantPort, Collection: o.collection, Random: rand.Reader}
	if at.Port() != "" {
		if c.Port, err = strconv.Atoi(at.Port()); err != nil || c.Port < 1 || c.Port > 65535 {
			return c, errors.New("--qdrant has a port that cannot be")
		}
	}
	if at.Scheme == "https" {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.caFile != "" {
		text, err := os.ReadFile(o.caFile)
		if err != nil {
			return c, fmt.Errorf("--qdrant-ca: %w", err)
		}
		if c.TLS == nil {
			return c, errors.New("--qdrant-ca is for --qdrant https://…")
		}
		if c.TLS.RootCAs = x509.NewCertPool(); !c.TLS.RootCAs.AppendCertsFromPEM(text) {
			return c, errors.New("--qdrant-ca holds no certificate")
		}
	}
	if o.apiKeyFile != "" {
		key, err := os.ReadFile(o.apiKeyFile)
		if err != nil {
			return c, fmt.Errorf("--qdrant-api-key-file: %w", err)
		}
		if c.APIKey = strings.TrimSpace(string(key)); c.APIKey == "" {
			return c, errors.New("--qdrant-api-key-file is empty")
		}
	}
	return c, nil
}

// openStore opens the engine that the options name.
func (o *dataOptions) openStore(ctx context.Context, create bool) (memory.VectorStore, *crypt.Keyring, error) {
	if o.qdrant.url == "" {
		s, keys, err := o.open(ctx, create)
		if err != nil {
			return nil, nil, err
		}
		return s, keys, nil
	}
	keys, err := o.keyring(ctx, create)
	if err != nil {
		return nil, nil, err
	}
	s, err := o.openQdrant(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	return s, keys, nil
}

// openQdrant opens the Qdrant of the options.
func (o *dataOptions) openQdrant(ctx context.Context, keys *crypt.Keyring) (memory.VectorStore, error) {
	c, err := o.qdrant.config()
	if err != nil {
		return nil, usageError{err}
	}
	c.Keys = keys
	if c.Space, err = o.embeddings.space(); err != nil {
		return nil, usageError{err}
	}
	var h held
	if c.Holder, h.file, err = o.holder(); err != nil {
		return nil, err
	}
	if h.Store, err = qdrant.Open(ctx, c); err != nil {
		if h.file != nil {
			err = errors.Join(err, h.file.Close())
		}
		return nil, err
	}
	return h, nil
}

// claim waits until a command may write, where one process does at a time.
func claim(ctx context.Context, s memory.Store) error {
	if h, ok := s.(held); ok {
		return h.Claim(ctx)
	}
	return nil
}
