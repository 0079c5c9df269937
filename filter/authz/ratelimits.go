package authz

import (
	"context"
	"log/slog"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/tenant"
)

// Domain is the domain by which Envoy's ratelimit filter asks memgate.
const Domain = "memgate"

// maxDescriptors bounds one question to the rate-limit service.
const maxDescriptors = 16

// maxRequestID is the largest length of the id of a request that is told to the
// rate-limit service, in bytes.
const maxRequestID = 128

// RateLimits is Envoy's rate-limit service (RLS, gRPC, v3) over the limiter of
// the authz service, for an Envoy that has a ratelimit filter already. A request
// that it counts counts in the same buckets as one that the authz service
// counts.
//
// A descriptor names the entries tenant and class, one of the policy's, and may
// name principal, agent and address, in any order. What else it says is an
// error: whether a request passes then is what failure_mode_deny of the filter
// says.
//
// A descriptor may say in the entry request_id, or the call in its metadata
// x-request-id, which request it is about. The answer then has it for the
// response, and the audit event of a refusal, too.
type RateLimits struct {
	rlsv3.UnimplementedRateLimitServiceServer
	service *Service
	write   func(*audit.Event) error
}

// NewRateLimits returns a service that counts with the chain in force of s, and
// writes an audit event for each request that it refuses. A failed write is
// write's to tell.
func NewRateLimits(s *Service, write func(*audit.Event) error) *RateLimits {
	return &RateLimits{service: s, write: write}
}

// asked is one descriptor, understood.
type asked struct {
	class     *class
	parties   parties
	principal string
	request   string
	cost      int
}

// detailsRLS is what an audit event has for details when the rate-limit service
// has refused.
const detailsRLS = "rate_limit_service"

// ShouldRateLimit counts a request in the buckets of each descriptor.
func (l *RateLimits) ShouldRateLimit(ctx context.Context, req *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	c := l.service.chain.Load()
	if c == nil {
		return nil, status.Error(codes.Unavailable, "no policy is in force")
	}
	list, err := c.read(req)
	if err != nil {
		l.service.metrics.limits.WithLabelValues("", "error").Inc()
		l.service.log.LogAttrs(ctx, slog.LevelWarn, "rate-limit question refused", slog.String("error", err.Error()))
		return nil, err
	}
	out := &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}
	id := requestID(ctx, list)
	if id != "" {
		out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, &corev3.HeaderValue{Key: HeaderRequestID, Value: id})
	}
	if mode := c.policy.Limits.Mode; mode == policy.ModeShadow || mode == policy.ModeOff {
		l.unenforced(ctx, c, list, out)
		return out, nil
	}
	var shown *quota
	var refused *asked
	for i := range list {
		a := &list[i]
		q, err := c.count(ctx, a.class, &a.parties, a.cost, "")
		if err != nil {
			l.service.metrics.limits.WithLabelValues(a.class.name, "error").Inc()
			l.service.log.LogAttrs(ctx, slog.LevelWarn, "rate-limit question not decided", slog.String("request_id", id), slog.String("error", err.Error()))
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		answer, result := q.status(), "ok"
		if !q.allowed() {
			if refused == nil {
				refused = a
			}
			out.OverallCode, result = rlsv3.RateLimitResponse_OVER_LIMIT, "over_limit"
		}
		if shown == nil || shown.allowed() && !q.allowed() {
			shown = q
		}
		out.Statuses = append(out.Statuses, answer)
		l.service.metrics.limits.WithLabelValues(a.class.name, result).Inc()
	}
	for _, h := range shown.headers(nil) {
		out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, headerOf(h))
	}
	if refused != nil {
		_ = l.write(&audit.Event{
			Time: l.service.now(), RequestID: id, Tenant: refused.parties.tenant, Principal: refused.principal, Decision: audit.Deny,
			Stage: string(StageQuota), Reason: string(ReasonQuota), Status: problem.RateLimited.Status, Details: detailsRLS,
		})
	}
	return out, nil
}

// requestID is the id of the request that a question is about, empty when nobody
// says it. It may come from a client.
func requestID(ctx context.Context, list []asked) string {
	id := ""
	for i := range list {
		if id = list[i].request; id != "" {
			break
		}
	}
	if id == "" {
		if values := metadata.ValueFromIncomingContext(ctx, HeaderRequestID); len(values) == 1 {
			id = values[0]
		}
	}
	if len(id) > maxRequestID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return ""
	}
	return id
}

// unenforced lets a request pass, with nothing that tells of a rate. In shadow
// it counts what would have been refused.
func (l *RateLimits) unenforced(ctx context.Context, c *Chain, list []asked, out *rlsv3.RateLimitResponse) {
	for i := range list {
		a := &list[i]
		if c.policy.Limits.Mode == policy.ModeShadow {
			q, err := c.count(ctx, a.class, &a.parties, a.cost, "")
			switch {
			case err != nil:
				l.service.metrics.shadow.WithLabelValues(string(StageQuota), string(ReasonLimiter), "").Inc()
			case !q.allowed():
				l.service.metrics.shadow.WithLabelValues(string(StageQuota), string(ReasonQuota), "").Inc()
			}
		}
		out.Statuses = append(out.Statuses, &rlsv3.RateLimitResponse_DescriptorStatus{Code: rlsv3.RateLimitResponse_OK})
		l.service.metrics.limits.WithLabelValues(a.class.name, "ok").Inc()
	}
}

func headerOf(h headers.Header) *corev3.HeaderValue {
	return &corev3.HeaderValue{Key: h.Name, Value: h.Value}
}

// read understands a whole question before anything is counted.
func (c *Chain) read(req *rlsv3.RateLimitRequest) ([]asked, error) {
	if req.GetDomain() != Domain {
		return nil, status.Errorf(codes.InvalidArgument, "the domain is not %s", Domain)
	}
	if n := len(req.GetDescriptors()); n == 0 || n > maxDescriptors {
		return nil, status.Errorf(codes.InvalidArgument, "%d descriptors", n)
	}
	var out []asked
	for i, d := range req.GetDescriptors() {
		a, problem := c.readOne(d)
		if problem != "" {
			return nil, status.Errorf(codes.InvalidArgument, "descriptor %d: %s", i, problem)
		}
		hits := uint64(req.GetHitsAddend())
		if own := d.GetHitsAddend(); own != nil {
			hits = own.GetValue()
		}
		a.cost = int(min(max(hits, 1), 1<<30))
		out = append(out, a)
	}
	return out, nil
}

func (c *Chain) readOne(d *ratelimitv3.RateLimitDescriptor) (a asked, problem string) {
	if d.GetIsNegativeHits() {
		return a, "hits cannot be given back"
	}
	seen := make(map[string]bool, len(d.GetEntries()))
	for _, e := range d.GetEntries() {
		if seen[e.GetKey()] {
			return a, "an entry stands twice"
		}
		seen[e.GetKey()] = true
		value := e.GetValue()
		switch e.GetKey() {
		case "tenant":
			if !tenant.Valid(value) {
				return a, "the tenant is not one"
			}
			a.parties.tenant = value
		case "class":
			found, ok := c.classes[value]
			if !ok {
				return a, "limits.classes has no such class"
			}
			a.class = &found
		case "principal":
			a.principal = bounded(value)
			a.parties.principal = "\x00" + a.principal
		case "agent":
			a.parties.agent = bounded(value)
		case "address", "remote_address", "masked_remote_address":
			a.parties.address = network(value)
		case "request_id":
			a.request = value
		default:
			return a, "an entry is none of tenant, class, principal, agent, address and request_id"
		}
	}
	if a.parties.tenant == "" || a.class == nil {
		return a, "the entries tenant and class are needed"
	}
	return a, ""
}

// status tells of the bucket that refused, else of the one with the least left.
func (q *quota) status() *rlsv3.RateLimitResponse_DescriptorStatus {
	at := 0
	for i, d := range q.decisions {
		if least := &q.decisions[at]; !d.Allowed && least.Allowed || d.Allowed == least.Allowed && d.Remaining < least.Remaining {
			at = i
		}
	}
	d, rate := q.decisions[at], q.buckets[at].Rate
	out := &rlsv3.RateLimitResponse_DescriptorStatus{
		Code:               rlsv3.RateLimitResponse_OK,
		LimitRemaining:     uint32(d.Remaining),
		DurationUntilReset: durationpb.New(d.Reset),
	}
	if !d.Allowed {
		out.Code, out.DurationUntilReset = rlsv3.RateLimitResponse_OVER_LIMIT, durationpb.New(d.RetryAfter)
	}
	if unit := unitOf(rate); unit != rlsv3.RateLimitResponse_RateLimit_UNKNOWN {
		out.CurrentLimit = &rlsv3.RateLimitResponse_RateLimit{Name: q.names[at], RequestsPerUnit: uint32(rate.Limit), Unit: unit}
	}
	return out
}

func unitOf(r ratelimit.Rate) rlsv3.RateLimitResponse_RateLimit_Unit {
	switch r.Per {
	case time.Second:
		return rlsv3.RateLimitResponse_RateLimit_SECOND
	case time.Minute:
		return rlsv3.RateLimitResponse_RateLimit_MINUTE
	case time.Hour:
		return rlsv3.RateLimitResponse_RateLimit_HOUR
	case 24 * time.Hour:
		return rlsv3.RateLimitResponse_RateLimit_DAY
	}
	return rlsv3.RateLimitResponse_RateLimit_UNKNOWN
}
