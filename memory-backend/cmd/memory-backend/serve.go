package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"github.com/memgate/memgate/filter/txntoken"
	"github.com/memgate/memgate/memory-backend/api"
	"github.com/memgate/memgate/memory-backend/embed"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// defaultListen is on the loopback interface: whoever wants more says so.
const defaultListen = "127.0.0.1:8081"

// options of serve.
type options struct {
	dataOptions
	listen                       string
	issuer                       string
	audience                     string
	jwks                         string
	jwksPlainHTTP                bool
	maxConnections               int
	maxBody                      int64
	timeout                      time.Duration
	drain                        time.Duration
	logLevel                     string
	otlp                         string
	distinct                     bool
	provisional, sweep           time.Duration
	unstated, access             bool
	embedWait                    time.Duration
	similar                      float64
	tlsCert, tlsKey, tlsClientCA string // paths
}

func newServe(env func(string) (string, bool)) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve memories until SIGTERM",
		Example: `  memory-backend serve --data ./data --txn-jwks http://127.0.0.1:9002/.well-known/jwks.json
  MEMORY_BACKEND_LISTEN=:8081 memory-backend serve --data /data --txn-jwks /keys/jwks.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd, env); err != nil {
				return err
			}
			return serve(cmd.Context(), o, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", defaultListen, "address to listen on")
	o.dataOptions.flags(f)
	f.StringVar(&o.issuer, "txn-issuer", "memgate", "issuer that a Txn-Token must have")
	f.StringVar(&o.audience, "txn-audience", "upstream", "audience that a Txn-Token must have")
	f.StringVar(&o.jwks, "txn-jwks", "", "keys that Txn-Tokens are signed with: a URL or a file")
	f.BoolVar(&o.jwksPlainHTTP, "txn-jwks-plain-http", false,
		"allow an http URL of another host for the keys; only on a network that is private to it and this service")
	f.StringVar(&o.tlsCert, "tls-cert", "", "certificate (PEM) to speak TLS with, as TLS 1.2 or newer; read at the start")
	f.StringVar(&o.tlsKey, "tls-key", "", "key of the certificate (PEM)")
	f.StringVar(&o.tlsClientCA, "tls-client-ca", "", "authorities (PEM) of the edge's certificate; nobody else may connect then")
	f.IntVar(&o.maxOpen, "max-open-tenants", 64, "tenants' files that are open at a time")
	f.IntVar(&o.maxConnections, "max-connections", 1024, "connections that are open at a time")
	f.Int64Var(&o.maxBody, "max-body", 2<<20, "bytes of a request's body")
	f.DurationVar(&o.timeout, "request-timeout", 15*time.Second, "time for one request")
	f.DurationVar(&o.drain, "drain-timeout", 20*time.Second, "time for requests under way after SIGTERM")
	f.BoolVar(&o.distinct, "refuse-duplicates", false,
		"refuse, with 409, a memory whose content is remembered already for the same agent, user, app and run")
	f.DurationVar(&o.provisional, "provisional-for", time.Hour,
		"how long a fact or preference of an unconfirmed writer is recalled when no other principal confirms it; 0: always")
	f.BoolVar(&o.unstated, "provisional-unstated", false, "take writers for unconfirmed whose Txn-Token does not say how they are trusted")
	f.DurationVar(&o.sweep, "sweep-every", time.Hour, "how often what is kept no longer is forgotten")
	f.DurationVar(&o.embedWait, "embeddings-wait", time.Second, "how long a write or a recall waits for a vector before it goes on without")
	f.Float64Var(&o.similar, "near-duplicates", 0.95, "cosine to a memory of the same owner from which on a new one is said to conflict with it; 0 for none")
	f.Int64Var(&o.vectorMemory, "vector-memory", 256<<20, "bytes of opened vectors that are kept; those of a tenant with more are read from its file for each recall")
	f.BoolVar(&o.access, "access-log", false, "record who reads each memory; a read that cannot be recorded fails")
	f.StringVar(&o.otlp, "otlp", "", "collector of traces (OTLP by gRPC) for requests that the edge traces: http://HOST:4317 or https://HOST:4317")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (o *options) check() (slog.Level, error) {
	var level slog.Level
	if err := o.dataOptions.check(); err != nil {
		return level, err
	}
	switch {
	case o.jwks == "":
		return level, errors.New("--txn-jwks is required")
	case o.issuer == "" || o.audience == "":
		return level, errors.New("--txn-issuer and --txn-audience must not be empty")
	case o.maxOpen < 1 || o.maxConnections < 1 || o.maxBody < 1 || o.timeout <= 0 || o.drain <= 0 || o.provisional < 0 || o.sweep <= 0:
		return level, errors.New("limits and times must be positive")
	case o.embedWait <= 0 || o.vectorMemory < 1 || !(o.similar >= 0 && o.similar <= 1):
		return level, errors.New("--embeddings-wait and --vector-memory must be positive, --near-duplicates 0 to 1")
	}
	if err := o.checkTLS(); err != nil {
		return level, err
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return level, fmt.Errorf("--listen: %w", err)
	}
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return level, errors.New("--log-level must be debug, info, warn or error")
	}
	return level, nil
}

// verifierFor returns the verifier of the edge's tokens.
func verifierFor(o options, now func() time.Time) (*txntoken.Verifier, error) {
	c := txntoken.VerifierConfig{Issuer: o.issuer, Audience: o.audience, Now: now, AllowPlainHTTP: o.jwksPlainHTTP}
	if strings.HasPrefix(o.jwks, "http://") || strings.HasPrefix(o.jwks, "https://") {
		c.JWKSURL = o.jwks
	} else {
		c.JWKSFile = o.jwks
	}
	return txntoken.NewVerifier(c)
}

// identify verifies the values of the header Txn-Token.
func identify(v *txntoken.Verifier) func(context.Context, []string) (api.Identity, error) {
	return func(ctx context.Context, values []string) (api.Identity, error) {
		c, err := v.VerifyHeader(ctx, values)
		if err != nil {
			if txntoken.IsUnavailable(err) {
				err = fmt.Errorf("%w: %w", api.ErrUnavailable, err)
			}
			return api.Identity{}, err
		}
		id := api.Identity{Tenant: c.Tenant, Subject: c.Subject, Agent: c.Agent, Principal: c.Principal, Trust: c.Trust, Request: c.ID, Scopes: c.Scopes}
		if c.Kind == "session" {
			id.Session = c.Principal
		}
		return id, nil
	}
}

// sweepEvery forgets what is kept no longer, at once and then in intervals, until ctx ends. It closes what it
// returns when it is done.
func sweepEvery(ctx context.Context, interval time.Duration, handler *api.Server, log *slog.Logger) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			n, err := handler.Sweep(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Error("retention", "memories", n, "error", err.Error())
			case n > 0:
				log.Info("retention", "memories", n)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return done
}

// serve runs the service until ctx ends, then finishes the requests under way.
func serve(ctx context.Context, o options, logs io.Writer) (err error) {
	level, err := o.check()
	if err != nil {
		return usageError{err}
	}
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: level}))
	verifier, err := verifierFor(o, time.Now)
	if err != nil {
		return usageError{err}
	}
	files, _, err := o.openStore(ctx, true)
	if err != nil {
		return err
	}
	var store memory.Store = files
	switch {
	case !o.encrypted():
		log.Warn("memories are not encrypted: --master-key is none")
	case o.beside():
		log.Warn("the master key is kept with what it protects: name another place with --master-key")
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if files, ok := files.(*sqlite.Store); ok {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memory_backend_open_tenants", Help: "Tenants' files that are open.",
		}, func() float64 { return float64(files.OpenFiles()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memory_backend_vector_bytes", Help: "Opened vectors that are kept for searching, in bytes.",
		}, func() float64 { return float64(files.VectorBytes()) }))
	}
	background, stopBackground := context.WithCancel(ctx)
	defer stopBackground()
	if o.embeddings.url != "" {
		vectors, err := o.embeddings.store(files, log, reg, func(c *embed.Config) { c.Wait, c.Similar = o.embedWait, o.similar })
		if err != nil {
			return err
		}
		if err := checkEmbeddings(ctx, vectors, log); err != nil {
			return err
		}
		store = vectors
		filled := make(chan struct{})
		go func() { defer close(filled); vectors.Run(background) }()
		defer func() { stopBackground(); <-filled }()
	}
	traces, err := newTracing(o.otlp, log, reg)
	if err != nil {
		return usageError{err}
	}
	defer traces.close()
	book, err := o.book()
	if err != nil {
		return err
	}
	handler, err := api.New(api.Config{
		Store: store, Receipts: book, Verify: identify(verifier), Ready: verifier.Refresh, Now: time.Now, Random: rand.Reader, Log: log,
		Metrics: reg, Tracer: traces.tracer(), Distinct: o.distinct,
		Provisional: o.provisional, ProvisionalUnstated: o.unstated, Access: o.access, MaxBody: o.maxBody, Timeout: o.timeout,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       o.timeout,
		WriteTimeout:      o.timeout + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	if listener, err = o.secured(listener); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(listener.Addr().String()); !net.ParseIP(host).IsLoopback() {
		log.Warn("listening beyond loopback: only the edge should reach this address", "address", listener.Addr().String())
	}
	if err := verifier.Refresh(ctx); err != nil {
		log.Warn("no keys to verify tokens with yet", "error", err.Error())
	}
	log.Info("listening", "address", listener.Addr().String())
	swept := sweepEvery(background, o.sweep, handler, log)
	defer func() { stopBackground(); <-swept }()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(listener, o.maxConnections)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("draining")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.drain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("drain: %w", err), server.Close())
	}
	log.Info("stopped")
	return nil
}
