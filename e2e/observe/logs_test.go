package observe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

// Put together here, so that scanners for secrets find none in the source.
const (
	mail    = "canary.person@example.com"
	card    = "4111111111111111"
	phone   = "+14155552671"
	address = "203.0.113.77"
)

var (
	apiKey  = "mg_" + "dev_aaaaaaaaaaaa_" + strings.Repeat("c4nary", 8)
	session = "ms_" + "aaaaaaaaaaaa_" + strings.Repeat("c4nary", 7)
	basic   = "Y2FuYXJ5OmNhbmFyeQ=="
)

// Whatever a request holds, and wherever, the log at its most talkative holds
// none of it, though it tells of each refusal.
func TestLogsHoldNothingOfARequest(t *testing.T) {
	redis := harness.FreeAddress(t) // where nothing listens
	t.Setenv("OBSERVE_REDIS_URL", "redis://user:hunter2canary@"+redis)
	s := harness.StartStack(t, func(yaml string) string {
		return strings.Replace(yaml, "limits:\n", "limits:\n  store: redis\n  redis: { url: env:OBSERVE_REDIS_URL }\n", 1)
	})
	s.Memgate.Stop()
	s.Memgate = harness.Start(t, "memgate-debug", nil, harness.Memgate(t), "serve", "--config", s.Config, "--log-level", "debug")
	s.Memgate.WaitReady(s.MemgateHTTP + "/readyz")
	good := s.Token("acme", "memory:read memory:write")
	harness.Eventually(t, func() error {
		return harness.Want(s.JSON(t, "GET", "/api/v2/agents", good, ""), 200)
	})

	canaries := []string{mail, card, phone, address, apiKey, session, basic, "hunter2canary", url.QueryEscape(mail)}
	token := func(c dev.Claims) string {
		made := s.TokenFor(c)
		canaries = append(canaries, made, made[strings.LastIndexByte(made, '.')+1:])
		return made
	}
	tokens := []string{
		good,
		token(dev.Claims{Tenant: mail, Subject: "x", Scope: "memory:read", TTL: time.Hour}),
		token(dev.Claims{Tenant: "acme", Subject: mail, Scope: mail, TTL: time.Hour}),
		token(dev.Claims{Tenant: "acme", Subject: card, Scope: "memory:read", TTL: -time.Hour}),
		good[:len(good)-9] + "AAAAAAAAA", // not its signature
	}
	canaries = append(canaries, good)
	sent := 0
	send := func(r harness.Request) {
		sent++
		harness.Do(t, s.URL, r)
	}
	for _, value := range []string{mail, card, phone, address, apiKey, session, "Bearer " + mail, "Basic " + basic, "Bearer " + apiKey, "Bearer eyJhbGciOiJub25lIn0." + card + ".x"} {
		for _, header := range []string{"Authorization", "X-API-Key", "X-Session-Token", "Cookie", "Origin", "User-Agent", "DPoP", "X-Request-Id", "X-Forwarded-For", "X-Memgate-Tenant", "Txn-Token", "Referer", "Content-Type", "Access-Control-Request-Method"} {
			method := "POST"
			if header == "Access-Control-Request-Method" {
				method = "OPTIONS"
			}
			send(harness.Request{Method: method, Path: "/api/v2/agents", Header: map[string]string{header: value}, Body: "{}"})
			send(harness.Request{Path: "/api/v2/agents", Header: map[string]string{"Authorization": "Bearer " + good, "Origin": "https://" + mail, header: value}})
		}
		escaped := url.PathEscape(value)
		for _, path := range []string{"/" + escaped, "/api/v2/agents/" + escaped, "/api/v2/agents/" + escaped + "/remember", "/api/v2/agents?q=" + url.QueryEscape(value), "/tenants/" + escaped} {
			for _, token := range tokens {
				send(harness.Request{Method: "POST", Path: path, Header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}, Body: `{"content":"` + value + `"}`})
			}
		}
		// Also past Envoy, at memgate's own port.
		for _, path := range []string{"/v1/content/" + escaped, "/api/v2/agents/" + escaped + "/activate", "/" + escaped} {
			r, err := http.NewRequest("POST", s.MemgateHTTP+path, strings.NewReader(value))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Txn-Token", value)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
	}
	conn, err := grpc.NewClient(s.MemgateGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, domain := range []string{"memgate", mail} {
		_, err := rlsv3.NewRateLimitServiceClient(conn).ShouldRateLimit(context.Background(), &rlsv3.RateLimitRequest{Domain: domain, Descriptors: []*ratelimitv3.RateLimitDescriptor{{
			Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "tenant", Value: mail}, {Key: mail, Value: card}},
		}}})
		if err == nil {
			t.Error("a descriptor with an address as its tenant is answered")
		}
	}
	// A policy with a secret where none may stand is refused, with a reason.
	whole := s.Policy()
	s.WritePolicy(strings.Replace(whole, "version: 1", "version: 1\nsecret: "+apiKey, 1))
	harness.Eventually(t, func() error {
		if !strings.Contains(s.Memgate.Log(0), "the policy was refused") {
			return fmt.Errorf("the log says nothing of the policy")
		}
		return nil
	})
	s.WritePolicy(whole)

	log := s.Memgate.Log(0)
	// It is one that could hold them: it speaks of refusals with their errors.
	if n := strings.Count(log, `"msg":"denied"`); n < sent/10 {
		t.Errorf("the log tells of %d refusals for %d requests", n, sent)
	}
	for _, want := range []string{"rate-limit question refused", "Redis was not reached"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	for _, canary := range canaries {
		if at := strings.Index(log, canary); at >= 0 {
			from := strings.LastIndexByte(log[:at], '\n') + 1
			t.Errorf("%q is in the log: %.400s", canary, log[from:])
		}
	}
}
