// Package limits tests rate limits through a real Envoy and a real Redis.
package limits

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/ratelimit/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

const classes = "limits:\n  classes: { write: 60/m, read: 120/m } # per tenant\n"

// with replaces the limits of memgate.yaml.
func with(limits string) func(string) string {
	return func(yaml string) string {
		out := strings.Replace(yaml, classes, "limits:\n"+limits, 1)
		if out == yaml {
			panic("memgate.yaml has other limits")
		}
		return out
	}
}

// until sends requests until one is not answered 200, and returns how many
// were.
func until(t *testing.T, most int, send func() *harness.Response) (n int, last *harness.Response) {
	t.Helper()
	for ; n < most; n++ {
		if last = send(); last.Status != 200 {
			return n, last
		}
	}
	return n, last
}

func TestRedisThroughEnvoy(t *testing.T) {
	redis := harness.StartRedis(t, "--requirepass", "e2e-password")
	t.Setenv("LIMITS_REDIS_URL", strings.Replace(redis.URL, "//", "//:e2e-password@", 1))
	s := harness.StartStack(t, with("  store: redis\n  redis: { url: env:LIMITS_REDIS_URL, instances: 2, timeout: 200ms }\n  classes: { write: 60/m, read: 40/h }\n"))
	if up := s.Metric(t, "memgate_limiter_redis_up"); up != 1 {
		t.Fatalf("memgate_limiter_redis_up is %v\n%s", up, s.Memgate.Log(0))
	}
	list := func(tenant string) func() *harness.Response {
		token := s.Token(tenant, "memory:read")
		return func() *harness.Response { return s.JSON(t, "GET", "/api/v2/agents", token, "") }
	}
	if n, last := until(t, 50, list("acme")); n != 40 || last.Status != 429 || last.Header.Get("Retry-After") == "" {
		t.Errorf("with Redis: %d requests, then %d %s", n, last.Status, last.Body)
	}
	// The count is in Redis: it outlives memgate.
	s.Memgate.Stop()
	s.StartMemgate()
	harness.Eventually(t, func() error {
		if up := s.Metric(t, "memgate_limiter_redis_up"); up != 1 {
			return fmt.Errorf("memgate_limiter_redis_up is %v", up)
		}
		return nil
	})
	harness.Eventually(t, func() error { return harness.Want(list("other")(), 200) })
	if n, _ := until(t, 50, list("acme")); n != 0 {
		t.Errorf("after a restart of memgate: %d requests", n)
	}

	redis.Pause()
	if n, last := until(t, 50, list("calm")); n != 20 || last.Status != 429 {
		t.Errorf("while Redis is paused: %d requests, then %d; the share of one of two instances is 20", n, last.Status)
	}
	if up, counted := s.Metric(t, "memgate_limiter_redis_up"), s.Metric(t, "memgate_limiter_fallback_total"); up != 0 || counted < 21 {
		t.Errorf("memgate_limiter_redis_up is %v, memgate_limiter_fallback_total %v", up, counted)
	}
	redis.Resume()
	harness.Eventually(t, func() error {
		if up := s.Metric(t, "memgate_limiter_redis_up"); up != 1 {
			return fmt.Errorf("memgate_limiter_redis_up is %v", up)
		}
		return nil
	})
	if n, _ := until(t, 50, list("fresh")); n != 40 {
		t.Errorf("after the pause: %d requests", n)
	}
	if log := s.Memgate.Log(0); strings.Contains(log, "e2e-password") {
		t.Error("the log shows the password")
	} else if !strings.Contains(log, "Redis does not answer") || !strings.Contains(log, "Redis answers") {
		t.Errorf("the log does not tell of the outage:\n%s", log)
	}

	// A memgate that starts without Redis serves, too.
	redis.Kill()
	s.Memgate.Stop()
	s.StartMemgate()
	harness.Eventually(t, func() error { return harness.Want(list("late")(), 200) })
	redis.Restart()
	harness.Eventually(t, func() error {
		if up := s.Metric(t, "memgate_limiter_redis_up"); up != 1 {
			return fmt.Errorf("memgate_limiter_redis_up is %v", up)
		}
		return nil
	})
}

// TestAddress: the address is the one of the hop that Envoy trusts.
func TestAddress(t *testing.T) {
	harness.Needs(t, harness.ClientAddress)
	s := harness.StartStack(t, func(yaml string) string {
		yaml = with("  classes: { write: 60/m, read: 120/m }\n  per_address: { read: 5/h }\n")(yaml)
		return strings.Replace(yaml, "envoy: { wasm:", "envoy: { trusted_hops: 1, wasm:", 1)
	})
	token := s.Token("acme", "memory:read")
	from := func(forwarded string) func() *harness.Response {
		return func() *harness.Response {
			return s.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"Authorization": "Bearer " + token, "X-Forwarded-For": forwarded}})
		}
	}
	if n, last := until(t, 10, from("192.0.2.1")); n != 5 || last.Status != 429 {
		t.Errorf("%d requests, then %d %s", n, last.Status, last.Body)
	}
	// What the client put in front of the trusted hop's word changes nothing.
	if n, _ := until(t, 10, from("203.0.113.9, 192.0.2.1")); n != 0 {
		t.Errorf("a forged address: %d requests", n)
	}
	if n, last := until(t, 10, from("192.0.2.2")); n != 5 || !strings.Contains(last.Header.Get("RateLimit"), `"read-address";r=0`) {
		t.Errorf("another address: %d requests, then %v", n, last.Header)
	}
}

func TestBeforeAuth(t *testing.T) {
	harness.Needs(t, harness.BeforeAuth)
	s := harness.StartStack(t, func(yaml string) string {
		yaml = with("  classes: { write: 60/m, read: 120/m }\n  before_auth: 10/h\n")(yaml)
		return strings.Replace(yaml, "envoy: { wasm:", "envoy: { trusted_hops: 1, wasm:", 1)
	})
	guess := func(address string) *harness.Response {
		return s.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"X-API-Key": "mg_aaaaaaaaaaaa_" + strings.Repeat("a", 49), "X-Forwarded-For": address}})
	}
	for _, c := range []struct {
		address func(int) string
		want    int
	}{
		{func(int) string { return "192.0.2.1" }, 10},
		{func(int) string { return "192.0.2.2" }, 10},
		{func(n int) string { return "203.0.113." + strconv.Itoa(n) + ", 192.0.2.2" }, 0},
		{func(n int) string { return "2001:db8::" + strconv.Itoa(n+1) }, 10}, // one /64
	} {
		n := 0
		r := guess(c.address(n))
		for ; r.Status == 401 && n < 30; r = guess(c.address(n)) {
			n++
		}
		if n != c.want || r.Status != 429 {
			t.Errorf("%s: %d guesses, want %d, then %d", c.address(0), n, c.want, r.Status)
		}
		if r.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(r.Body, `"urn:memgate:problem:rate-limited"`) || !strings.Contains(r.Body, r.ID) {
			t.Errorf("%v %s", r.Header, r.Body)
		}
		if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 360 {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		if r.Header.Get("X-Content-Type-Options") == "" {
			t.Error("no security headers")
		}
	}
}

// TestRateLimitService puts Envoy's own ratelimit filter in front, with memgate
// as its service.
func TestRateLimitService(t *testing.T) {
	s := harness.StartStack(t, with("  classes: { write: 60/m, read: 7/h }\n"))
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := render.Envoy(p)
	if err != nil {
		t.Fatal(err)
	}
	filter := bootstrap.StaticResources.Listeners[0].FilterChains[0].Filters[0]
	manager := new(hcmv3.HttpConnectionManager)
	if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	config, err := anypb.New(&ratelimitv3.RateLimit{
		Domain: "memgate", FailureModeDeny: true, Timeout: durationpb.New(time.Second),
		RateLimitService: &ratelimitconfigv3.RateLimitServiceConfig{
			TransportApiVersion: corev3.ApiVersion_V3,
			GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: render.ClusterGRPC},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := &hcmv3.HttpFilter{Name: "envoy.filters.http.ratelimit", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
	manager.HttpFilters = []*hcmv3.HttpFilter{own, manager.HttpFilters[len(manager.HttpFilters)-1]}
	header := func(name, key string) *routev3.RateLimit_Action {
		return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_RequestHeaders_{
			RequestHeaders: &routev3.RateLimit_Action_RequestHeaders{HeaderName: name, DescriptorKey: key},
		}}
	}
	manager.GetRouteConfig().VirtualHosts[0].RateLimits = []*routev3.RateLimit{{Actions: []*routev3.RateLimit_Action{header("x-tenant", "tenant"), header("x-class", "class"), header("x-request-id", "request_id")}}}
	packed, err := anypb.New(manager)
	if err != nil {
		t.Fatal(err)
	}
	filter.GetTypedConfig().TypeUrl, filter.GetTypedConfig().Value = packed.TypeUrl, packed.Value
	edge := harness.StartEnvoy(t, bootstrap)

	get := func(tenant, class string) *harness.Response {
		return harness.Do(t, edge.URL, harness.Request{Path: "/healthz", Header: map[string]string{"X-Tenant": tenant, "X-Class": class}})
	}
	n, last := until(t, 20, func() *harness.Response { return get("acme", "read") })
	if n != 7 || last.Status != 429 || last.Header.Get("Retry-After") == "" || !strings.Contains(last.Header.Get("RateLimit"), `"read";r=0`) {
		t.Errorf("%d requests, then %d %v", n, last.Status, last.Header)
	}
	// Who is refused has an id by which the audit log knows it.
	id := last.Header.Get("X-Request-Id")
	harness.Eventually(t, func() error {
		log := s.CLI("audit", "query", "--config", s.Config, "--request-id", id)
		if id == "" || !strings.Contains(log, `"response_details":"rate_limit_service"`) || !strings.Contains(log, `"tenant":"acme"`) || !strings.Contains(log, `"reason":"rate_limited"`) {
			return fmt.Errorf("no event of request %q: %s", id, log)
		}
		return nil
	})
	if n := s.Metric(t, `memgate_ratelimit_service_total{class="read",result="over_limit"}`); n < 1 {
		t.Errorf("%v refusals are counted", n)
	}
	// The same count binds the tenant at memgate's own edge.
	if r := s.JSON(t, "GET", "/api/v2/agents", s.Token("acme", "memory:read"), ""); r.Status != 429 {
		t.Errorf("at the other edge: %d", r.Status)
	}
	if r := get("calm", "read"); r.Status != 200 {
		t.Errorf("another tenant: %d", r.Status)
	}
	if r := get("calm", "unknown"); r.Status != 500 {
		t.Errorf("an unknown class, with failure_mode_deny: %d", r.Status)
	}
}
