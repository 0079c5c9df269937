// Package authz is Envoy's external authorization service (ext_authz, gRPC,
// v3): it maps Envoy's messages to facts, runs the stages of a request in
// order, and maps the decision back. The stages stand in one function,
// [Chain.Decide]. It also receives Envoy's access log (ALS, gRPC, v3) and
// turns each entry into one audit event.
//
// Every failure denies. A denial tells the caller what to do; why it happened
// is in the metrics, the audit line and the log.
package authz

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/memgate/memgate/filter/problem"
)

// Service answers Envoy's checks with the chain in force. The chain is
// replaced as a whole by [Service.Use]; a check runs on one chain from its
// start to its end.
type Service struct {
	log     *slog.Logger
	metrics *Metrics
	now     func() time.Time

	unaudited func() error // or nil; see Guard
	tracer    Tracer       // or nil; see Trace

	chain    atomic.Pointer[Chain]
	previous atomic.Pointer[Chain]
}

// NewService returns a service without a chain: until [Service.Use] was called
// every request is denied with 503.
func NewService(log *slog.Logger, metrics *Metrics, now func() time.Time) *Service {
	return &Service{log: log, metrics: metrics, now: now}
}

// Use puts c in force. The content policies of the chain before it stay
// available to requests that were decided by it.
func (s *Service) Use(c *Chain) {
	s.previous.Store(s.chain.Swap(c))
}

// Content returns a content policy in its wire form by digest, of the chain in
// force or the one before it.
func (s *Service) Content(digest string) ([]byte, bool) {
	for _, c := range [...]*Chain{s.chain.Load(), s.previous.Load()} {
		if c == nil {
			continue
		}
		if wire, ok := c.Content(digest); ok {
			return wire, true
		}
	}
	return nil, false
}

// check decides one request. It returns an error only for a message that
// describes no HTTP request, which Envoy answers with status_on_error.
func (s *Service) check(ctx context.Context, asked *question) (*answer, error) {
	start := s.now()
	if !asked.http {
		return nil, status.Error(codes.InvalidArgument, "no HTTP request in the check")
	}
	r := &asked.Request
	if address := metadata.ValueFromIncomingContext(ctx, AddressMetadata); len(address) == 1 {
		r.Address = address[0]
	}
	var followed Traced
	if s.tracer != nil {
		ctx, followed = s.tracer.Begin(ctx)
	}
	var d *Decision
	if s.unaudited != nil {
		r.Unaudited = s.unaudited()
	}
	if c := s.chain.Load(); c != nil {
		d = c.Decide(ctx, r)
	} else {
		d = &Decision{Stage: StageRoute, Reason: "no_policy", Status: problem.Unavailable.Status, Problem: problem.Unavailable, Spoofed: r.Reserved}
	}
	if followed != nil {
		followed.End(d)
	}
	s.metrics.decided(d, s.now().Sub(start))
	for i := range d.Shadow {
		s.logShadow(ctx, r, d, &d.Shadow[i])
	}
	if !d.Allowed && d.Reason != ReasonPreflight {
		s.logDenial(ctx, r, d)
	}
	return newAnswer(d, r.ID), nil
}

// logDenial logs a refusal. A caller can cause any number of 4xx: their reasons
// are counted and audited, and logged only on request. A 5xx is ours to mend.
func (s *Service) logDenial(ctx context.Context, r *Request, d *Decision) {
	level := slog.LevelDebug
	if d.Status >= 500 {
		level = slog.LevelWarn
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	why := ""
	if d.Err != nil {
		why = d.Err.Error()
	}
	s.log.LogAttrs(ctx, level, "denied",
		slog.String("request_id", r.ID), slog.String("route", d.Route),
		slog.String("stage", string(d.Stage)), slog.String("reason", string(d.Reason)), slog.String("error", why))
}

// logShadow logs what would have been refused, as a refusal is logged: a fault
// of ours always, else on request.
func (s *Service) logShadow(ctx context.Context, r *Request, d *Decision, would *Denial) {
	level := slog.LevelDebug
	if would.Reason == ReasonLimiter || would.Reason == ReasonAudit {
		level = slog.LevelWarn
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.LogAttrs(ctx, level, "would be denied, but for shadow",
		slog.String("request_id", r.ID), slog.String("route", d.Route),
		slog.String("stage", string(would.Stage)), slog.String("reason", noteOf(would.Reason, would.Err)))
}
