package authz

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/session"
	"github.com/memgate/memgate/filter/verdict"
)

// inMode is the policy of the tests with modes of its own, "" for none.
func inMode(access, limits string) string {
	yaml := testPolicy
	if access != "" {
		yaml += "access: { mode: " + access + " }\n"
	}
	if limits != "" {
		yaml = strings.Replace(yaml, "limits: {", "limits: { mode: "+limits+",", 1)
	}
	return yaml
}

// brokenLimiter cannot count.
type brokenLimiter struct{ ratelimit.Limiter }

func (brokenLimiter) Enter(context.Context, string, []ratelimit.Bucket, *ratelimit.Place, []ratelimit.Decision) ([]ratelimit.Decision, bool, error) {
	return nil, false, errors.New("no answer")
}

// What each mode does with a request that enforcement refuses, and that no mode
// lets pass who is not known or is of another tenant.
func TestModes(t *testing.T) {
	for name, c := range map[string]struct {
		access, limits string
		method, path   string
		scope, agent   string
		before         int  // requests that use up the rate
		broken         bool // the limiter
		status         int  // 0 when allowed
		reason         identity.Reason
		shadow         string
		explained      string // verdicts of access and quota
	}{
		"scope, by default":     {path: "/agents/a/remember", scope: "memory:read", status: 403, reason: identity.ReasonInsufficientScope, explained: "deny"},
		"scope, enforced":       {access: "enforce", path: "/agents/a/remember", scope: "memory:read", status: 403, reason: identity.ReasonInsufficientScope, explained: "deny"},
		"scope, limits' shadow": {limits: "shadow", path: "/agents/a/remember", scope: "memory:read", status: 403, reason: identity.ReasonInsufficientScope, explained: "deny"},
		"scope, shadow":         {access: "shadow", path: "/agents/a/remember", scope: "memory:read", reason: ReasonAllowed, shadow: "access:insufficient_scope", explained: "would deny, pass"},
		"scope, off":            {access: "off", path: "/agents/a/remember", scope: "memory:read", reason: ReasonAllowed, explained: "off, pass"},
		"scope held, shadow":    {access: "shadow", path: "/agents/a/remember", scope: "memory:write", reason: ReasonAllowed, explained: "pass, pass"},
		"condition, enforced":   {path: "/agents/evil-1/purge", scope: "memory:write", status: 403, reason: identity.ReasonCondition, explained: "deny"},
		"condition, shadow":     {access: "shadow", path: "/agents/evil-1/purge", scope: "memory:write", reason: ReasonAllowed, shadow: "access:condition_not_met", explained: "would deny, pass"},
		"condition, off":        {access: "off", path: "/agents/evil-1/purge", scope: "memory:write", reason: ReasonAllowed, explained: "off, pass"},
		"rate, by default":      {path: "/agents/a/remember", scope: "memory:write", before: 2, status: 429, reason: ReasonQuota, explained: "pass, deny"},
		"rate, access' shadow":  {access: "shadow", path: "/agents/a/remember", scope: "memory:read", before: 2, status: 429, reason: ReasonQuota, shadow: "access:insufficient_scope", explained: "would deny, deny"},
		"rate, shadow":          {limits: "shadow", path: "/agents/a/remember", scope: "memory:write", before: 2, reason: ReasonAllowed, shadow: "quota:rate_limited", explained: "pass, would deny"},
		"rate left, shadow":     {limits: "shadow", path: "/agents/a/remember", scope: "memory:write", before: 0, reason: ReasonAllowed, explained: "pass, pass"},
		"rate, off":             {limits: "off", path: "/agents/a/remember", scope: "memory:write", before: 9, reason: ReasonAllowed, explained: "pass, off"},
		"both, shadow":          {access: "shadow", limits: "shadow", path: "/agents/a/remember", scope: "memory:read", before: 2, reason: ReasonAllowed, shadow: "access:insufficient_scope,quota:rate_limited", explained: "would deny, would deny"},
		"no limiter, enforced":  {path: "/agents/a/remember", scope: "memory:write", broken: true, status: 503, reason: ReasonLimiter, explained: "pass, deny"},
		"no limiter, shadow":    {limits: "shadow", path: "/agents/a/remember", scope: "memory:write", broken: true, reason: ReasonAllowed, shadow: "quota:limiter_failed", explained: "pass, would deny"},
		"no limiter, off":       {limits: "off", path: "/agents/a/remember", scope: "memory:write", broken: true, reason: ReasonAllowed, explained: "pass, off"},
		"tenant, shadow":        {access: "shadow", limits: "shadow", method: "GET", path: "/tenants/evil/memories", scope: "memory:read", status: 403, reason: identity.ReasonTenantMismatch},
		"tenant, off":           {access: "off", limits: "off", method: "GET", path: "/tenants/evil/memories", scope: "memory:read", status: 403, reason: identity.ReasonTenantMismatch},
		"nobody, off":           {access: "off", limits: "off", path: "/agents/a/remember", status: 401, reason: identity.ReasonNoCredentials},
		"no route, off":         {access: "off", limits: "off", path: "/nowhere", scope: "memory:write", status: 403, reason: ReasonNoRoute},
		"nobody, shadow":        {access: "shadow", limits: "shadow", path: "/agents/a/remember", status: 401, reason: identity.ReasonNoCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, inMode(c.access, c.limits))
			if c.broken {
				f.chain.deps.Limiter = brokenLimiter{}
			}
			r := request("POST", c.path)
			if c.method != "" {
				r.Method = c.method
			}
			if c.scope != "" {
				r.Add("Authorization", "Bearer "+f.token(t, c.scope))
			}
			for range c.before {
				f.chain.Decide(context.Background(), r)
			}
			d, steps := f.chain.Explain(context.Background(), r)
			if d.Allowed != (c.status == 0) || d.Status != c.status || d.Reason != c.reason || d.shadow() != c.shadow {
				t.Fatalf("got %d %s, shadow %q (%v), want %d %s, shadow %q", d.Status, d.Reason, d.shadow(), d.Err, c.status, c.reason, c.shadow)
			}
			var verdicts []string
			for _, s := range steps {
				if s.Stage == StageAccess || s.Stage == StageQuota {
					verdicts = append(verdicts, string(s.Verdict))
				}
			}
			if got := strings.Join(verdicts, ", "); got != c.explained {
				t.Errorf("explained as %q, want %q", got, c.explained)
			}
			if !d.Allowed {
				return
			}
			// The request goes on as any other.
			if get(d.Upstream, HeaderTxnToken) == "" || get(d.Upstream, HeaderTenant) != "acme" || d.Content == "" || d.HashKey == "" {
				t.Errorf("%+v", d)
			}
			told := get(d.Response, "ratelimit") != "" || get(d.Response, "ratelimit-policy") != "" || get(d.Response, "retry-after") != ""
			if want := c.limits == "" || c.limits == "enforce"; told != want {
				t.Errorf("response headers %v with limits %q", d.Response, c.limits)
			}
		})
	}
}

// A session of another agent is one of the things that access refuses.
func TestModesOfTheSessionsAgent(t *testing.T) {
	for mode, want := range map[string]identity.Reason{"enforce": identity.ReasonAgentMismatch, "shadow": ReasonAllowed, "off": ReasonAllowed} {
		f := newFixture(t, inMode(mode, ""))
		f.chain.deps.Sessions = session.NewStore(10, func() time.Time { return f.now }, rand.Reader)
		p := &identity.Principal{Kind: identity.KindJWT, Tenant: "acme", Subject: "svc", ID: "id-1", Scopes: []string{"memory:write"}, Expires: f.now.Add(time.Hour)}
		held, _, err := f.chain.deps.Sessions.Activate(context.Background(), p, "a", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		d := f.chain.Decide(context.Background(), request("POST", "/agents/b/remember", "X-Session-Token: "+held))
		if d.Reason != want || (d.shadow() == "access:agent_mismatch") != (mode == "shadow") {
			t.Errorf("%s: %s, shadow %q", mode, d.Reason, d.shadow())
		}
		if !d.Allowed {
			continue
		}
		// The upstream still learns for which agent the session is.
		if claims, err := f.txn.Verify(context.Background(), get(d.Upstream, HeaderTxnToken)); err != nil || claims.Agent != "a" {
			t.Errorf("%s: %+v %v", mode, claims, err)
		}
	}
}

// A request that was counted in shadow has used up the rate when it is enforced.
func TestShadowIsCounted(t *testing.T) {
	shadow, enforce := newFixture(t, inMode("", "shadow")), newFixture(t, testPolicy)
	enforce.chain.deps.Limiter = shadow.chain.deps.Limiter
	for range 2 {
		shadow.chain.Decide(context.Background(), request("POST", "/agents/a/remember", "Authorization: Bearer "+shadow.token(t, "memory:write")))
	}
	if d := enforce.chain.Decide(context.Background(), request("POST", "/agents/a/remember", "Authorization: Bearer "+enforce.token(t, "memory:write"))); d.Reason != ReasonQuota {
		t.Errorf("%s", d.Reason)
	}
}

// An answer that comes too late is no permission in shadow either.
func TestCancelledCheckIsDeniedInShadow(t *testing.T) {
	f := newFixture(t, inMode("shadow", "shadow"))
	ctx, cancel := context.WithCancel(context.Background())
	r := request("POST", "/agents/a/remember", "Authorization: Bearer "+f.token(t, "memory:read"))
	cancel()
	if d := f.chain.Decide(ctx, r); d.Allowed || d.Status != 503 {
		t.Errorf("%+v", d)
	}
}

func counter(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetName()+"="+l.GetValue())
			}
			if slices.Equal(got, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// What would have been refused reaches the metrics, the log and, by Envoy, the
// audit event.
func TestShadowIsTold(t *testing.T) {
	f := newFixture(t, inMode("shadow", "shadow"))
	reg := prometheus.NewRegistry()
	var log bytes.Buffer
	s := NewService(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), NewMetrics(reg), time.Now)
	s.Use(f.chain)
	weak := f.token(t, "memory:read")
	var last *authv3.CheckResponse
	for range 3 {
		var err error
		if last, err = s.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
			Http: &authv3.AttributeContext_HttpRequest{Id: "r1", Method: "POST", Path: "/agents/a/remember", Headers: map[string]string{"authorization": "Bearer " + weak, "txn-token": "forged"}},
		}}}); err != nil || last.GetOkResponse() == nil {
			t.Fatalf("%v %v", err, last)
		}
	}
	if n := counter(t, reg, "memgate_shadow_denials_total", "reason=insufficient_scope", "route=remember", "stage=access"); n != 3 {
		t.Errorf("%v without the scope", n)
	}
	if n := counter(t, reg, "memgate_shadow_denials_total", "reason=rate_limited", "route=remember", "stage=quota"); n != 1 {
		t.Errorf("%v over the rate", n)
	}
	if n := counter(t, reg, "memgate_decisions_total", "decision=allow", "reason=allowed", "route=remember", "stage=allow"); n != 3 {
		t.Errorf("%v allowed", n)
	}
	if !strings.Contains(log.String(), "rate_limited") || !strings.Contains(log.String(), "insufficient_scope") || strings.Contains(log.String(), weak) {
		t.Errorf("log: %s", log.String())
	}
	e, _ := eventOf(&accesslogdata.HTTPAccessLogEntry{CommonProperties: &accesslogdata.AccessLogCommon{
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{MetadataNamespace: last.GetDynamicMetadata()}},
	}})
	if e.Decision != "allow" || !slices.Equal(e.Shadow, []string{"access:insufficient_scope", "quota:rate_limited"}) || !slices.Equal(e.Spoofed, []string{"txn-token"}) {
		t.Errorf("%+v", e)
	}
}

// Everything that a decision says arrives; the last is the key without which nothing
// is hashed.
func TestMetadata(t *testing.T) {
	d := &Decision{
		Allowed: true, Stage: StageAllow, Reason: ReasonAllowed, Route: "r", Spoofed: []string{"txn-token"}, Content: "c", HashKey: "k", Agent: "a", lease: "l", PseudonymKeys: "p", Reveal: true,
		Principal: &identity.Principal{Tenant: "t", Subject: "s", Kind: identity.KindJWT, ID: "i"},
		Shadow:    []Denial{{Stage: StageAccess, Reason: identity.ReasonCondition}},
		Upstream:  []headers.Header{},
	}
	fields := d.metadata("id").GetFields()
	if len(fields) != maxMetadata || text(fields, metaRoute) != "r" {
		t.Errorf("%v, maxMetadata is %d", fields, maxMetadata)
	}
	if got, ok := verdict.ParseFilter(text(fields, metaFilter)); !ok || got != (verdict.Filter{Content: "c", RequestID: "id", Tenant: "t", Agent: "a", HashKey: "k", PseudonymKeys: "p", Reveal: true}) {
		t.Errorf("%+v", got)
	}
	want := verdict.Log{
		RequestID: "id", Tenant: "t", Subject: "s", Kind: "jwt", Principal: "i", Decision: "allow", Stage: "allow", Reason: "allowed",
		Spoofed: "txn-token", Shadow: "access:" + string(identity.ReasonCondition), Lease: "l",
	}
	if got, ok := verdict.ParseLog(text(fields, metaLog)); !ok || got != want {
		t.Errorf("%+v", got)
	}
	d.Allowed = false
	if fields := d.metadata("id").GetFields(); fields[metaFilter] != nil || fields[metaLog] == nil {
		t.Errorf("a denial tells %v", fields)
	}
}

// The rate-limit service has the mode of the limits, too.
func TestRateLimitServiceInModes(t *testing.T) {
	for mode, c := range map[string]struct {
		code   rlsv3.RateLimitResponse_Code
		shadow float64
	}{"enforce": {rlsv3.RateLimitResponse_OVER_LIMIT, 0}, "shadow": {rlsv3.RateLimitResponse_OK, 1}, "off": {rlsv3.RateLimitResponse_OK, 0}} {
		f := newFixture(t, inMode("", mode))
		reg := prometheus.NewRegistry()
		s := NewService(slog.New(slog.DiscardHandler), NewMetrics(reg), time.Now)
		s.Use(f.chain)
		r, err := NewRateLimits(s, func(*audit.Event) error { return nil }).ShouldRateLimit(context.Background(), &rlsv3.RateLimitRequest{Domain: Domain, HitsAddend: 5, Descriptors: []*ratelimitv3.RateLimitDescriptor{{
			Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "tenant", Value: "acme"}, {Key: "class", Value: "write"}},
		}}})
		if err != nil || r.OverallCode != c.code || len(r.Statuses) != 1 || r.Statuses[0].Code != c.code {
			t.Errorf("%s: %v %v", mode, r, err)
		}
		if told := len(r.GetResponseHeadersToAdd()) > 0; told != (mode == "enforce") {
			t.Errorf("%s: headers %v", mode, r.GetResponseHeadersToAdd())
		}
		if n := counter(t, reg, "memgate_shadow_denials_total", "reason=rate_limited", "route=", "stage=quota"); n != c.shadow {
			t.Errorf("%s: %v shadow denials", mode, n)
		}
	}
}
