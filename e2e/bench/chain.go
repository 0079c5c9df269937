package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
)

// callers of the whole chain at once.
const chainCallers = 16

// wholeChain is the variant that has budgets.
const wholeChain = "Envoy, memgate: the whole chain"

// variant is an Envoy with the service behind a filter of it, if there is one.
type variant struct {
	name    string
	envoy   *harness.Envoy
	service *harness.Process // or nil
}

func (v *variant) cpu() time.Duration {
	total := cpuOf(v.envoy.PID())
	if v.service != nil {
		total += cpuOf(v.service.PID())
	}
	return total
}

// Names of filters.
const (
	extAuthz = "envoy.filters.http.ext_authz"
	router   = "envoy.filters.http.router"
	jwtAuthn = "envoy.filters.http.jwt_authn"
	wasm     = "envoy.filters.http.wasm"
)

// edit changes a copy of the rendered configuration: keep says which filters stay,
// audit whether the access log does, and add which filter comes first.
func (b *bench) edit(keep []string, audit bool, add *hcmv3.HttpFilter, change func(*hcmv3.HttpFilter)) *bootstrapv3.Bootstrap {
	bootstrap, err := render.Envoy(b.policy)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	filter := bootstrap.StaticResources.Listeners[0].FilterChains[0].Filters[0]
	var manager hcmv3.HttpConnectionManager
	if err := filter.GetTypedConfig().UnmarshalTo(&manager); err != nil {
		b.t.Fatalf("%v", err)
	}
	var filters []*hcmv3.HttpFilter
	if add != nil {
		filters = append(filters, add)
	}
	for _, f := range manager.HttpFilters {
		for _, name := range keep {
			if f.Name == name {
				if change != nil {
					change(f)
				}
				filters = append(filters, f)
			}
		}
	}
	manager.HttpFilters = filters
	if !audit {
		manager.AccessLog = nil
	}
	// The routes of memgate's own API are found by what it says.
	host := manager.GetRouteConfig().VirtualHosts[0]
	var routes []*routev3.Route
	for _, r := range host.Routes {
		if len(r.GetMatch().GetDynamicMetadata()) == 0 {
			routes = append(routes, r)
		}
	}
	host.Routes = routes
	b.pack(filter.GetTypedConfig(), &manager)
	return bootstrap
}

func (b *bench) pack(into *anypb.Any, message proto.Message) {
	if err := into.MarshalFrom(message); err != nil {
		b.t.Fatalf("%v", err)
	}
}

// towards makes the cluster of the authz service lead to s.
func (b *bench) towards(bootstrap *bootstrapv3.Bootstrap, s *service) *bootstrapv3.Bootstrap {
	_, text, err := net.SplitHostPort(s.address)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	port, _ := strconv.ParseUint(text, 10, 16)
	for _, c := range bootstrap.StaticResources.Clusters {
		if c.Name == "memgate-grpc" {
			c.HealthChecks = nil
			endpoint := c.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint()
			endpoint.Address.GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: uint32(port)}
		}
	}
	return bootstrap
}

// native is Envoy's own verification of the tokens of one issuer, with its cache.
func (b *bench) native() *hcmv3.HttpFilter {
	f := &hcmv3.HttpFilter{Name: jwtAuthn, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: &anypb.Any{}}}
	b.pack(f.GetTypedConfig(), &jwtv3.JwtAuthentication{
		Providers: map[string]*jwtv3.JwtProvider{"bench": {
			Issuer: issuerOf("ES256"), Audiences: []string{"memory"},
			JwksSourceSpecifier: &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: b.keySet("ES256")}}},
			JwtCacheConfig:      &jwtv3.JwtCacheConfig{JwtCacheSize: 1000},
		}},
		Rules: []*jwtv3.RequirementRule{{
			Match:           &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			RequirementType: &jwtv3.RequirementRule_Requires{Requires: &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: "bench"}}},
		}},
	})
	return f
}

func (b *bench) variants() []*variant {
	whole, err := render.Envoy(b.policy)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	// A filter that does nothing takes the place of memgate's, and gets no configuration from it.
	idle := func(f *hcmv3.HttpFilter) {
		if f.Name != wasm {
			return
		}
		var c wasmfilterv3.Wasm
		if err := f.GetTypedConfig().UnmarshalTo(&c); err != nil {
			b.t.Fatalf("%v", err)
		}
		vm := c.Config.GetVmConfig()
		vm.VmId, c.Config.Configuration = "idle", nil
		vm.Code.GetLocal().Specifier = &corev3.DataSource_Filename{Filename: harness.BuildWasm(b.t, "idle", "./e2e/bench/idle")}
		b.pack(f.GetTypedConfig(), &c)
	}
	doesNothing := func(name string, keep []string, audit bool) *variant {
		return &variant{name: name, envoy: harness.StartEnvoy(b.t, b.towards(b.edit(keep, audit, nil, idle), b.services[1])), service: b.services[1].process}
	}
	list := []*variant{
		{name: "Envoy alone", envoy: harness.StartEnvoy(b.t, b.edit([]string{router}, false, nil, nil))},
		doesNothing("Envoy, ext_authz that does nothing", []string{extAuthz, router}, false),
		doesNothing("Envoy, ext_authz and log that do nothing", []string{extAuthz, router}, true),
		doesNothing("Envoy, ext_authz and Wasm that do nothing", []string{extAuthz, wasm, router}, false),
		doesNothing("Envoy, all three that do nothing", []string{extAuthz, wasm, router}, true),
		{name: wholeChain, envoy: harness.StartEnvoy(b.t, whole), service: b.services[0].process},
		{name: "Envoy, memgate, no audit", envoy: harness.StartEnvoy(b.t, b.edit([]string{extAuthz, wasm, router}, false, nil, nil)), service: b.services[0].process},
		{name: "Envoy, memgate, no Wasm", envoy: harness.StartEnvoy(b.t, b.edit([]string{extAuthz, router}, true, nil, nil)), service: b.services[0].process},
		{name: "Envoy, memgate, no Wasm, no audit", envoy: harness.StartEnvoy(b.t, b.edit([]string{extAuthz, router}, false, nil, nil)), service: b.services[0].process},
		{name: "Envoy, jwt_authn with its cache", envoy: harness.StartEnvoy(b.t, b.edit([]string{router}, false, b.native(), nil))},
	}
	if len(b.services) > 2 {
		joined := func(f *hcmv3.HttpFilter) {
			if f.Name != extAuthz {
				return
			}
			var c extauthzv3.ExtAuthz
			if err := f.GetTypedConfig().UnmarshalTo(&c); err != nil {
				b.t.Fatalf("%v", err)
			}
			c.EncodeRawHeaders = false
			b.pack(f.GetTypedConfig(), &c)
		}
		list = append(list, &variant{name: "Envoy, OPA's plugin", envoy: harness.StartEnvoy(b.t, b.towards(b.edit([]string{extAuthz, router}, false, nil, joined), b.services[2])), service: b.services[2].process})
	}
	return list
}

// chain measures requests through Envoy.
func (b *bench) chain(report *budgets) {
	variants := b.variants()
	token := "Bearer " + b.token("ES256", "chain", nil)
	samples := make([]sample, len(variants))
	for round := -1; round < b.options.rounds; round++ {
		for turn := range variants {
			i := (turn + round + 1) % len(variants)
			s := b.through(variants[i], token)
			if round < 0 {
				continue
			}
			into := &samples[i]
			into.elapsed += s.elapsed
			into.cpu += s.cpu
			into.latencies = append(into.latencies, s.latencies...)
		}
	}
	fmt.Printf("\nThrough Envoy: POST of %d bytes and as much back, cached token, %d callers; CPU of all but client and upstream\n%-42s %10s %10s %10s %10s %8s %9s\n",
		len(remembered), chainCallers, "", "requests/s", "median µs", "p99 µs", "CPU µs", "×alone", "×nothing")
	for i, v := range variants {
		m := &samples[i]
		fmt.Printf("%-42s %10.0f %10.0f %10.0f %10.0f %8.2f %9.2f\n", v.name, m.rate(), micros(m.quantile(0.5)), micros(m.quantile(0.99)),
			m.cpuPerCall(), m.cpuPerCall()/samples[0].cpuPerCall(), m.cpuPerCall()/samples[1].cpuPerCall())
	}
	whole := slices.IndexFunc(variants, func(v *variant) bool { return v.name == wholeChain })
	report.add("the whole chain: CPU per request against an ext_authz that does nothing", samples[whole].cpuPerCall()/samples[1].cpuPerCall(), 1.6)
	if len(b.services) > 2 {
		report.add("the whole chain: CPU per request against OPA's plugin alone", samples[whole].cpuPerCall()/samples[len(samples)-1].cpuPerCall(), 1)
	}
}

// through sends requests for one turn.
func (b *bench) through(v *variant, token string) (s sample) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: chainCallers}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var wg sync.WaitGroup
	cpu, start := v.cpu(), time.Now()
	for range chainCallers {
		wg.Go(func() {
			var mine []time.Duration
			for time.Since(start) < b.options.turn {
				at := time.Now()
				if err := post(client, v.envoy.URL, token); err != nil {
					b.t.Logf("%s: %v", v.name, err)
					panic(fatal{})
				}
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			s.latencies = append(s.latencies, mine...)
		})
	}
	wg.Wait()
	s.elapsed, s.cpu = time.Since(start), v.cpu()-cpu
	return s
}

func post(client *http.Client, url, token string) error {
	request, err := http.NewRequest(http.MethodPost, url+rememberPath, bytes.NewReader([]byte(remembered)))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || n != int64(len(remembered))) {
		err = fmt.Errorf("status %d, %d bytes", response.StatusCode, n)
	}
	return err
}
