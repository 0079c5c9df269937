// Package server is memgate as a process: it reads the policy, listens for
// Envoy (gRPC) and for everything else (HTTP), follows changes of the policy
// and of its files, and drains on the way out.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9/logging"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server/redact"
)

// Limits of the process.
const (
	drainFor       = 5 * time.Second  // for requests under way at the end
	drainLog       = 2 * time.Second  // for access log entries, meanwhile
	logQuiet       = time.Second / 2  // after which no more are expected: Envoy sends them four times a second
	drainHTTP      = time.Second      // for those of the HTTP port, after that
	maxMessage     = 4 << 20          // bytes of one gRPC message
	maxStreams     = 10_000           // concurrent checks of one Envoy connection
	streamWindow   = 256 << 10        // bytes of a check or of log entries on their way
	connWindow     = 4 << 20          // of one Envoy connection
	headerTimeout  = 5 * time.Second  // of the HTTP port
	requestTimeout = 30 * time.Second // of the HTTP port
	maxHeaderBytes = 32 << 10
)

// Options configure [Run].
type Options struct {
	Config  string    // path of the policy file
	Version string    // of this build, for the metric memgate_build_info
	Output  io.Writer // where audit lines go when the policy says "-"
	Random  io.Reader
	Now     func() time.Time
	Log     *slog.Logger
	Reload  <-chan struct{} // asks for a reload and for a reopened audit log (SIGHUP)
}

// Server is the process's state that outlives a policy.
type Server struct {
	options Options
	log     *slog.Logger
	metrics *metrics
	service *authz.Service
	health  *health.Server
	traces  *tracing    // nil without tracing
	running atomic.Bool // false while draining

	current atomic.Pointer[build]
	keyring keyring
}

// Run serves until ctx ends, then drains. It returns an error when the policy
// cannot be put in force at the start or a port cannot be had.
func Run(ctx context.Context, o Options) error {
	o.Log = slog.New(redact.NewHandler(o.Log.Handler()))
	calm()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	decisions := authz.NewMetrics(registry)
	s := &Server{
		options: o,
		log:     o.Log,
		metrics: newMetrics(registry, o.Version),
		service: authz.NewService(o.Log, decisions, o.Now),
		health:  health.NewServer(),
	}
	defer s.close()
	s.service.Guard(s.auditFault)
	s.auditMetrics(registry)
	logging.Disable() // of go-redis, which tells nothing that Changed does not
	registry.MustRegister(keysCollector{s}, limiterCollector{s}, stateCollector{s}, identityCollector{s})

	p, warnings, err := policy.Load(o.Config)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		s.log.Warn("policy", "finding", w.String())
	}
	security, err := certificatesOf(p, o.Now, o.Log)
	if err != nil {
		return err
	}
	if s.traces, err = newTracing(p, o.Version, security, s.log, registry); err != nil {
		return err
	}
	if s.traces != nil {
		s.service.Trace(s.traces)
		defer s.traces.close()
	}
	if err := s.apply(ctx, p); err != nil {
		return fmt.Errorf("%s: %w", o.Config, err)
	}
	s.metrics.reloaded(nil, o.Now())

	grpcListener, err := net.Listen("tcp", p.Server.GRPC)
	if err != nil {
		return fmt.Errorf("server.grpc: %w", err)
	}
	httpListener, err := net.Listen("tcp", p.Server.HTTP)
	if err != nil {
		_ = grpcListener.Close()
		return fmt.Errorf("server.http: %w", err)
	}
	transport := insecure.NewCredentials()
	if security != nil {
		transport = credentials.NewTLS(security.config(tls.RequireAndVerifyClientCert))
		httpListener = tls.NewListener(httpListener, security.config(tls.VerifyClientCertIfGiven, "http/1.1"))
	}
	grpcServer := grpc.NewServer(
		grpc.Creds(transport),
		authz.Codec(),
		// Windows of a fixed size, so that the server does not ping Envoy with each
		// message to find a better one.
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	s.service.Register(grpcServer)
	entries := authz.NewAccessLog(s.log, decisions, s.writeAudit, s.service.Release)
	alsv3.RegisterAccessLogServiceServer(grpcServer, entries)
	rlsv3.RegisterRateLimitServiceServer(grpcServer, authz.NewRateLimits(s.service, s.writeAudit))
	healthv1.RegisterHealthServer(grpcServer, s.health)
	httpServer := &http.Server{
		Handler:           s.handler(registry, security),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}

	failed := make(chan error, 2)
	go func() { failed <- fmt.Errorf("gRPC server: %w", grpcServer.Serve(grpcListener)) }()
	go func() { failed <- fmt.Errorf("HTTP server: %w", httpServer.Serve(httpListener)) }()
	s.running.Store(true)
	background, stop := context.WithCancel(ctx)
	defer stop()
	go s.followPolicy(background)
	go s.followKeys(background)
	go s.tendKeys(background)
	go s.reportHealth(background)
	actions := make(chan struct{})
	go func() { defer close(actions); s.followActions(background) }()
	defer func() { stop(); <-actions }() // before the audit log is closed
	s.log.Info("serving", "grpc", p.Server.GRPC, "http", p.Server.HTTP, "version", o.Version)

	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	s.drain(grpcServer, entries, httpServer)
	return err
}

// drain tells the load balancers, finishes what is under way, and gives up on
// what takes longer than drainFor. The HTTP port stays open for as long as the
// gRPC port has something to finish: /readyz says that no more should come, and
// upstreams can still check the Txn-Token of what was let through.
func (s *Server) drain(g *grpc.Server, entries *authz.AccessLog, h *http.Server) {
	s.running.Store(false)
	s.health.Shutdown()
	s.log.Info("draining")
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	done := make(chan struct{})
	go func() {
		g.GracefulStop()
		close(done)
	}()
	logs, stop := context.WithTimeout(ctx, drainLog)
	defer stop()
	entries.End(logs, logQuiet)
	select {
	case <-done:
	case <-ctx.Done():
		g.Stop()
	}
	entries.Wait()
	ctx, cancel = context.WithTimeout(context.Background(), drainHTTP)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		_ = h.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			s.log.Warn("HTTP server", "error", err)
		}
	}
	s.log.Info("stopped")
}

// ready tells why the process is not ready, or "".
func (s *Server) ready() string {
	if !s.running.Load() {
		return "draining"
	}
	if v := s.current.Load().deps.Tokens; v != nil && !v.Ready() {
		return "the keys of an issuer were not loaded yet"
	}
	if k := s.current.Load().kept; k != nil && !k.list.Stats().Known {
		return "what was revoked was not read yet"
	}
	return ""
}

// close ends what the policy in force runs, and writes what waits.
func (s *Server) close() {
	b := s.current.Load()
	if b == nil {
		return
	}
	b.stop()
	ctx, cancel := context.WithTimeout(context.Background(), drainHTTP)
	defer cancel()
	s.putUsed(ctx)
	b.shared.dropUnless(nil)
	b.limits.dropUnless(nil)
	b.kept.dropUnless(nil)
	if err := b.audit.Close(); err != nil {
		s.log.Error("audit log not closed", "error", err)
	}
}

// reportHealth keeps the gRPC health service in step with [Server.ready].
func (s *Server) reportHealth(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		state := healthv1.HealthCheckResponse_SERVING
		if s.ready() != "" {
			state = healthv1.HealthCheckResponse_NOT_SERVING
		}
		s.health.SetServingStatus("", state)
		s.health.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, state)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
