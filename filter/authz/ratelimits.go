package authz

import (
	"context"
	"log/slog"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/tenant"
)

// Domain is the domain by which Envoy's ratelimit filter asks memgate.
const Domain = "memgate"

// maxDescriptors bounds one question to the rate-limit service.
const maxDescriptors = 16

// RateLimits is Envoy's rate-limit service (RLS, gRPC, v3) over the limiter of
// the authz service, for an Envoy that has a ratelimit filter already. A request
// that it counts counts in the same buckets as one that the authz service
// counts.
//
// A descriptor names the entries tenant and class, one of the policy's, and may
// name principal, agent and address, in any order. What else it says is an
// error: whether a request passes then is what failure_mode_deny of the filter
// says.
type RateLimits struct {
	rlsv3.UnimplementedRateLimitServiceServer
	service *Service
}

// NewRateLimits returns a service that counts with the chain in force of s.
func NewRateLimits(s *Service) *RateLimits { return &RateLimits{service: s} }

// asked is one descriptor, understood.
type asked struct {
	class   *class
	parties parties
	cost    int
}

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
	if mode := c.policy.Limits.Mode; mode == policy.ModeShadow || mode == policy.ModeOff {
		l.unenforced(ctx, c, list, out)
		return out, nil
	}
	var shown *quota
	for i := range list {
		a := &list[i]
		q, err := c.count(ctx, a.class, &a.parties, a.cost, "")
		if err != nil {
			l.service.metrics.limits.WithLabelValues(a.class.name, "error").Inc()
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		answer, result := q.status(), "ok"
		if !q.allowed() {
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
	return out, nil
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
			a.parties.principal = "\x00" + bounded(value)
		case "agent":
			a.parties.agent = bounded(value)
		case "address", "remote_address", "masked_remote_address":
			a.parties.address = network(value)
		default:
			return a, "an entry is none of tenant, class, principal, agent and address"
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
