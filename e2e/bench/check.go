package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

const rememberPath = "/agents/helper/remember"

// checkOf is what Envoy asks about a request with that credential. memgate gets the
// header lines one by one, as its configuration asks for, and OPA joined.
func checkOf(path, name, value string, joined bool) *authv3.CheckRequest {
	http := &authv3.AttributeContext_HttpRequest{
		Id: "1", Method: "POST", Path: path, Host: "edge.example.com", Scheme: "https", Protocol: "HTTP/1.1", Size: 1024,
	}
	list := [][2]string{
		{":authority", "edge.example.com"}, {":path", path}, {":method", "POST"}, {":scheme", "https"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}, {"accept", "application/json"},
		{"content-type", "application/json"}, {"content-length", "1024"}, {"x-request-id", "6a5d4c3b-0000-4000-8000-000000000000"},
		{"x-forwarded-for", "203.0.113.9"}, {"x-forwarded-proto", "https"}, {name, value},
	}
	if joined {
		http.Headers = map[string]string{}
	} else {
		http.HeaderMap = &corev3.HeaderMap{}
	}
	for _, h := range list {
		switch {
		case h[0] == "":
		case joined:
			http.Headers[h[0]] = h[1]
		default:
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
		}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:  &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "203.0.113.9"}}}},
		Request: &authv3.AttributeContext_Request{Http: http},
	}}
}

func (s *service) allows(check *authv3.CheckRequest) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := s.client.Check(ctx, check)
	return err == nil && answer.GetStatus().GetCode() == 0, err
}

// agree ends the run unless memgate and OPA decide alike: else they would not be
// measured at the same job.
func (b *bench) agree() {
	good := b.token("ES256", "agree", nil)
	bearer := func(token string) [3]string { return [3]string{rememberPath, "authorization", "Bearer " + token} }
	cases := map[string][3]string{
		"nothing": {rememberPath, "", ""}, "another path": {"/agents/helper/forget", "authorization", "Bearer " + good},
		"garbage": bearer("a.b.c"), "API key": {rememberPath, "x-api-key", b.apiKey}, "another API key": {rememberPath, "x-api-key", b.apiKey[:len(b.apiKey)-4] + "AAAA"},
		"a changed signature": bearer(good[:len(good)-6] + "AAAAAA"),
	}
	for _, kind := range kinds[:3] {
		cases[kind] = bearer(b.token(kind, "agree-"+kind, nil))
		for name, change := range map[string]func(*jwt.Builder) *jwt.Builder{
			"expired":          func(j *jwt.Builder) *jwt.Builder { return j.Expiration(time.Now().Add(-time.Hour)) },
			"another audience": func(j *jwt.Builder) *jwt.Builder { return j.Audience([]string{"other"}) },
			"another issuer":   func(j *jwt.Builder) *jwt.Builder { return j.Issuer("https://evil.example") },
			"no scope":         func(j *jwt.Builder) *jwt.Builder { return j.Claim("scope", "memory:read") },
			"no tenant":        func(j *jwt.Builder) *jwt.Builder { return j.Claim("org_id", "../x") },
		} {
			cases[kind+", "+name] = bearer(b.token(kind, "agree-"+kind+name, change))
		}
	}
	for name, c := range cases {
		want := name == "API key" || name == "ES256" || name == "RS256" || name == "EdDSA"
		for _, s := range b.services {
			if s.name == "nothing" {
				continue
			}
			if got, err := s.allows(checkOf(c[0], c[1], c[2], s.name == "OPA")); err != nil || got != want {
				b.t.Fatalf("%s: %s says %v (%v), want %v", name, s.name, got, err, want)
			}
		}
	}
	fmt.Printf("%d requests: the services that decide, decide alike.\n", len(cases))
}

// questions are the checks of one cell: one for all calls, or one for each.
func (b *bench) questions(kind string, cold bool, cell int) func(s *service) []*authv3.CheckRequest {
	credentials := []string{b.apiKey}
	name, prefix := "x-api-key", ""
	if kind != "API key" {
		name, prefix = "authorization", "Bearer "
		credentials = []string{b.token(kind, "cached", nil)}
		if cold {
			credentials = nil
			for i := range b.options.tokens {
				credentials = append(credentials, b.token(kind, fmt.Sprintf("cold-%d-%d", cell, i), nil))
			}
		}
	}
	return func(s *service) []*authv3.CheckRequest {
		var out []*authv3.CheckRequest
		for _, c := range credentials {
			out = append(out, checkOf(rememberPath, name, prefix+c, s.name == "OPA"))
		}
		return out
	}
}

// checks measures Check alone.
func (b *bench) checks(report *budgets) {
	fmt.Printf("\nCheck over gRPC\n%-8s %-7s %8s %-8s %10s %10s %10s %10s %11s %9s\n",
		"", "", "callers", "", "median µs", "p99 µs", "calls/s", "CPU µs", "allocations", "×nothing")
	cell := 0
	for _, kind := range kinds {
		for _, cold := range []bool{false, true} {
			if cold && kind == "API key" {
				continue // a key is looked up each time
			}
			for _, callers := range []int{1, 16} {
				cell++
				samples := b.cell(b.questions(kind, cold, cell), cold, callers)
				state := "cached"
				switch {
				case cold:
					state = "new"
				case kind == "API key":
					state = "known"
				}
				idle := float64(samples[1].quantile(0.5))
				for i, s := range b.services {
					m := &samples[i]
					ratio := float64(m.quantile(0.5)) / idle
					fmt.Printf("%-8s %-7s %8d %-8s %10.0f %10.0f %10.0f %10.0f %11.0f %9.2f\n", kind, state, callers, s.name,
						micros(m.quantile(0.5)), micros(m.quantile(0.99)), m.rate(), m.cpuPerCall(), m.allocations/m.calls(), ratio)
					if i == 0 && !cold && callers == 1 {
						report.add("Check, "+kind+" "+state+", one caller: latency against a Check that does nothing", ratio, 1.25)
					}
				}
			}
		}
	}
}

// cachedCalls is how many calls with what a service knows are made for each that is new
// to it, which has to be minted.
const cachedCalls = 10

// cell measures all services at one thing. With one caller they take turns call by call,
// so that all see the same machine; several callers are at one service at a time.
func (b *bench) cell(questions func(*service) []*authv3.CheckRequest, cold bool, callers int) []sample {
	samples := make([]sample, len(b.services))
	asked := make([][]*authv3.CheckRequest, len(b.services))
	for i, s := range b.services {
		asked[i] = questions(s)
	}
	calls := b.options.tokens / b.options.rounds
	if !cold {
		calls *= cachedCalls
	}
	for round := -1; round < b.options.rounds; round++ {
		if cold && round < 0 {
			continue // nothing to get warm with
		}
		var turns []turn
		for i := range b.services {
			n := (i + round + 1) % len(b.services)
			t := turn{service: b.services[n], list: asked[n]}
			if cold {
				t.list = t.list[round*calls : (round+1)*calls]
			}
			if round >= 0 {
				t.into = &samples[n]
			}
			turns = append(turns, t)
		}
		if callers == 1 {
			b.take(turns, calls, 1)
			continue
		}
		for i := range turns {
			b.take(turns[i:i+1], calls, callers)
		}
	}
	return samples
}

// turn is what a service is asked, and where the figures go, if anywhere.
type turn struct {
	service   *service
	list      []*authv3.CheckRequest
	into      *sample
	latencies []time.Duration

	scraped, scrape float64       // allocations before, and what asking for them costs
	cpu             time.Duration // before
}

// take lets callers make so many calls together to the service of each turn, each caller
// to one after the other.
func (b *bench) take(turns []turn, calls, callers int) {
	for i := range turns {
		t := &turns[i]
		first := allocationsOf(t.service.metrics)
		t.scraped = allocationsOf(t.service.metrics)
		t.scrape = t.scraped - first
		t.cpu, t.latencies = cpuOf(t.service.process.PID()), make([]time.Duration, calls)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := c; n < calls; n += callers {
				for i := range turns {
					t := &turns[i]
					at := time.Now()
					if ok, err := t.service.allows(t.list[n%len(t.list)]); !ok {
						b.t.Logf("%s refused: %v", t.service.name, err)
						panic(fatal{})
					}
					t.latencies[n] = time.Since(at)
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	for i := range turns {
		t := &turns[i]
		if t.into == nil {
			continue
		}
		if len(turns) > 1 { // its part of the time
			elapsed = 0
			for _, l := range t.latencies {
				elapsed += l
			}
		}
		t.into.elapsed += elapsed
		t.into.cpu += cpuOf(t.service.process.PID()) - t.cpu
		t.into.allocations += max(allocationsOf(t.service.metrics)-t.scraped-t.scrape, 0)
		t.into.latencies = append(t.into.latencies, t.latencies...)
	}
}
