package authz

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/audit"
)

const besidePolicy = `limits:
  classes: { write: 20/m, read: 100/m }
  per_principal: { write: 12/m }
  per_agent: { write: 6/m }
  per_address: { write: 4/m }
`

func TestLimitsBesideTheTenant(t *testing.T) {
	f := newFixture(t, strings.Replace(testPolicy, "limits: { classes: { write: 2/m, read: 100/m } }\n", besidePolicy, 1))
	good := "Authorization: Bearer " + f.token(t, "memory:write")
	// admitted is how many requests pass before the first that does not.
	admitted := func(agent, address string) (n int, last *Decision) {
		for ; ; n++ {
			r := request("POST", "/agents/"+agent+"/remember", good, "X-Forwarded-For: 203.0.113."+string(rune('0'+n%10)))
			r.Address = address
			if last = f.chain.Decide(context.Background(), r); !last.Allowed {
				return n, last
			}
		}
	}
	for _, c := range []struct {
		agent, address string
		want           int
		why            string
	}{
		{"a", "192.0.2.1", 4, "write-address"},
		{"a", "192.0.2.2", 2, "write-agent"},
		{"b", "192.0.2.1", 0, "write-address"},
		{"b", "2001:db8::1", 4, "write-address"},
		{"c", "2001:db8::ffff", 0, "write-address"}, // the same /64
		{"c", "::ffff:192.0.2.2", 2, "write-address"},
		{"c", "2001:db8:1::1", 0, "write-principal"},
	} {
		n, last := admitted(c.agent, c.address)
		if n != c.want || last.Stage != StageQuota || last.Reason != ReasonQuota {
			t.Errorf("%s from %s: %d requests, want %d (%s %s)", c.agent, c.address, n, c.want, last.Stage, last.Reason)
		}
		if got := get(last.Response, "ratelimit"); !strings.Contains(got, `"`+c.why+`";r=0;`) || strings.Count(got, ";r=0;") < 1 {
			t.Errorf("%s from %s: refused by %s, want %s", c.agent, c.address, got, c.why)
		}
		if get(last.Response, "retry-after") == "" {
			t.Error("no Retry-After")
		}
	}
	if got := get(f.chain.Decide(context.Background(), request("POST", "/agents/z/remember", good)).Response, "ratelimit-policy"); got != `"write";q=20;w=60, "write-principal";q=12;w=60, "write-agent";q=6;w=60, "write-address";q=4;w=60` {
		t.Errorf("ratelimit-policy %s", got)
	}
	// An agent's name as long as a path is counted like any other.
	f.now = f.now.Add(time.Hour)
	if n, last := admitted(strings.Repeat("x", 5000), "192.0.2.9"); n != 4 {
		t.Errorf("%d requests: %s %s %v", n, last.Stage, last.Reason, last.Err)
	}
}

func TestWeight(t *testing.T) {
	yaml := strings.Replace(testPolicy, "write: 2/m", "write: 10/m", 1)
	f := newFixture(t, strings.Replace(yaml, "  - name: remember\n", "  - name: remember\n    weight: 5\n", 1))
	good := "Authorization: Bearer " + f.token(t, "memory:write")
	for n, want := range []string{`"write";r=5;t=6`, `"write";r=0;t=6`, `"write";r=0;t=6`} {
		d := f.chain.Decide(context.Background(), request("POST", "/agents/a/remember", good))
		if got := get(d.Response, "ratelimit"); d.Allowed != (n < 2) || got != want {
			t.Errorf("request %d: allowed = %v, %s, want %s", n, d.Allowed, got, want)
		}
		if n == 2 && get(d.Response, "retry-after") != "30" {
			t.Errorf("Retry-After %s", get(d.Response, "retry-after"))
		}
	}
}

func TestAddressIsEnvoys(t *testing.T) {
	r := fromCheck(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "192.0.2.7"}}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Headers: map[string]string{"x-forwarded-for": "203.0.113.1", "x-real-ip": "203.0.113.2", "forwarded": "for=203.0.113.3"},
		}},
	}})
	if r.Address != "192.0.2.7" {
		t.Errorf("address %q", r.Address)
	}
	for address, want := range map[string]string{"": "unknown", "@pipe": "unknown", "192.0.2.1": "192.0.2.1", "192.0.2.1/32": "192.0.2.1", "2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := network(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func TestRateLimitService(t *testing.T) {
	f := newFixture(t, strings.Replace(testPolicy, "limits: { classes: { write: 2/m, read: 100/m } }\n", besidePolicy, 1))
	s := NewService(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), func() time.Time { return f.now })
	var events []*audit.Event
	rls := NewRateLimits(s, func(e *audit.Event) error { events = append(events, e); return nil })
	ask := func(domain string, hits uint32, entries ...string) (*rlsv3.RateLimitResponse, error) {
		d := new(ratelimitv3.RateLimitDescriptor)
		for _, e := range entries {
			key, value, _ := strings.Cut(e, "=")
			d.Entries = append(d.Entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: key, Value: value})
		}
		return rls.ShouldRateLimit(context.Background(), &rlsv3.RateLimitRequest{Domain: domain, HitsAddend: hits, Descriptors: []*ratelimitv3.RateLimitDescriptor{d}})
	}
	if _, err := ask(Domain, 0, "tenant=acme", "class=write"); status.Code(err) != codes.Unavailable {
		t.Errorf("without a policy: %v", err)
	}
	s.Use(f.chain)
	for name, entries := range map[string][]string{
		"no entries": {}, "no class": {"tenant=acme"}, "no tenant": {"class=write"}, "unknown class": {"tenant=acme", "class=x"},
		"not a tenant": {"tenant=a/b", "class=write"}, "twice": {"tenant=acme", "tenant=evil", "class=write"}, "something else": {"tenant=acme", "class=write", "path=/"},
	} {
		if r, err := ask(Domain, 0, entries...); status.Code(err) != codes.InvalidArgument || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if _, err := ask("other", 0, "tenant=acme", "class=write"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another domain: %v", err)
	}
	if _, err := rls.ShouldRateLimit(context.Background(), &rlsv3.RateLimitRequest{Domain: Domain, Descriptors: []*ratelimitv3.RateLimitDescriptor{{
		IsNegativeHits: true, HitsAddend: wrapperspb.UInt64(5), Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "tenant", Value: "acme"}, {Key: "class", Value: "write"}},
	}}}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("hits given back: %v", err)
	}

	// What the service counts and what a Check counts is one.
	r, err := ask(Domain, 18, "tenant=acme", "class=write")
	if err != nil || r.OverallCode != rlsv3.RateLimitResponse_OK || r.Statuses[0].LimitRemaining != 2 || r.Statuses[0].CurrentLimit.RequestsPerUnit != 20 {
		t.Fatalf("%v, %v", r, err)
	}
	good := "Authorization: Bearer " + f.token(t, "memory:write")
	for n := range 3 {
		check := request("POST", "/agents/a/remember", good)
		if d := f.chain.Decide(context.Background(), check); d.Allowed != (n < 2) {
			t.Errorf("check %d: %s", n, d.Reason)
		}
	}
	r, err = ask(Domain, 0, "tenant=acme", "class=write", "agent=b", "address=192.0.2.1")
	if err != nil || r.OverallCode != rlsv3.RateLimitResponse_OVER_LIMIT || r.Statuses[0].Code != rlsv3.RateLimitResponse_OVER_LIMIT || r.Statuses[0].CurrentLimit.Name != "write" {
		t.Errorf("%v, %v", r, err)
	}
	if !strings.Contains(r.String(), "retry-after") {
		t.Errorf("no Retry-After: %v", r)
	}
	if len(events) != 1 || events[0].Tenant != "acme" || events[0].Decision != audit.Deny || events[0].Status != 429 || events[0].Reason != string(ReasonQuota) || events[0].RequestID != "" || events[0].Principal != "" {
		t.Errorf("events: %+v", events)
	}

	// The request that it is about.
	named := func(ctx context.Context, id string) string {
		d := &ratelimitv3.RateLimitDescriptor{Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "tenant", Value: "acme"}, {Key: "class", Value: "write"}, {Key: "principal", Value: "jane"}}}
		if id != "" {
			d.Entries = append(d.Entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: "request_id", Value: id})
		}
		r, err := rls.ShouldRateLimit(ctx, &rlsv3.RateLimitRequest{Domain: Domain, Descriptors: []*ratelimitv3.RateLimitDescriptor{d}})
		if err != nil || r.OverallCode != rlsv3.RateLimitResponse_OVER_LIMIT {
			t.Fatalf("%v, %v", r, err)
		}
		for _, h := range r.ResponseHeadersToAdd {
			if h.Key == HeaderRequestID {
				return h.Value
			}
		}
		return ""
	}
	told := metadata.NewIncomingContext(context.Background(), metadata.Pairs(HeaderRequestID, "of-the-call"))
	twice := metadata.NewIncomingContext(context.Background(), metadata.Pairs(HeaderRequestID, "a", HeaderRequestID, "b"))
	for _, c := range []struct {
		ctx       context.Context
		sent, got string
	}{
		{context.Background(), "req-1", "req-1"}, {told, "", "of-the-call"}, {told, "req-2", "req-2"}, {twice, "", ""},
		{context.Background(), "a\r\nset-cookie: x", ""}, {context.Background(), strings.Repeat("x", 129), ""},
	} {
		if got := named(c.ctx, c.sent); got != c.got {
			t.Errorf("%q: %q, want %q", c.sent, got, c.got)
		}
		if e := events[len(events)-1]; e.RequestID != c.got || e.Principal != "jane" || e.Details != "rate_limit_service" || e.Stage != string(StageQuota) {
			t.Errorf("%q: %+v", c.sent, e)
		}
	}
	r, err = ask(Domain, 5, "tenant=calm", "class=write", "address=192.0.2.1/32")
	if err != nil || r.OverallCode != rlsv3.RateLimitResponse_OVER_LIMIT || r.Statuses[0].CurrentLimit.Name != "write-address" {
		t.Errorf("5 hits of 4 that an address has: %v, %v", r, err)
	}
}
