package doctor_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/doctor"
)

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// changed is a listener with another connection manager.
func changed(t *testing.T, l *listenerv3.Listener, name string, edit func(*hcmv3.HttpConnectionManager)) *listenerv3.Listener {
	t.Helper()
	l = proto.Clone(l).(*listenerv3.Listener)
	l.Name = name
	slot := l.FilterChains[0].Filters[0]
	m := new(hcmv3.HttpConnectionManager)
	if err := slot.GetTypedConfig().UnmarshalTo(m); err != nil {
		t.Fatal(err)
	}
	edit(m)
	m.GetRouteConfig().Name = name
	slot.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, m)}
	return l
}

// edited replaces the configuration of the i-th filter.
func edited[M proto.Message](t *testing.T, m *hcmv3.HttpConnectionManager, i int, config M, edit func(M)) {
	t.Helper()
	if err := m.HttpFilters[i].GetTypedConfig().UnmarshalTo(config); err != nil {
		t.Fatal(err)
	}
	edit(config)
	m.HttpFilters[i].ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(t, config)}
}

func insert(t *testing.T, m *hcmv3.HttpConnectionManager, i int, name string, config proto.Message) {
	t.Helper()
	m.HttpFilters = slices.Insert(m.HttpFilters, i, &hcmv3.HttpFilter{
		Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(t, config)},
	})
}

func script(clear bool) *luav3.Lua {
	l := &luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "function envoy_on_request(h) end"}}}
	if clear {
		l.ClearRouteCache = wrapperspb.Bool(true)
	}
	return l
}

// Each case is a listener of a real Envoy with one thing wrong.
func TestExamine(t *testing.T) {
	const authz, wasm = 0, 1
	cases := map[string]struct {
		edit func(*testing.T, *hcmv3.HttpConnectionManager)
		want string // rules, in order
	}{
		"as rendered": {func(*testing.T, *hcmv3.HttpConnectionManager) {}, ""},
		"no ext_authz": {func(_ *testing.T, m *hcmv3.HttpConnectionManager) {
			m.HttpFilters = slices.Delete(m.HttpFilters, authz, authz+1)
		}, "no-authz"},
		"no filter": {func(_ *testing.T, m *hcmv3.HttpConnectionManager) {
			m.HttpFilters = slices.Delete(m.HttpFilters, wasm, wasm+1)
		}, "no-wasm"},
		"the wrong order": {func(_ *testing.T, m *hcmv3.HttpConnectionManager) {
			m.HttpFilters[authz], m.HttpFilters[wasm] = m.HttpFilters[wasm], m.HttpFilters[authz]
		}, "order"},
		"fails open": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			edited(t, m, authz, new(authzv3.ExtAuthz), func(a *authzv3.ExtAuthz) { a.FailureModeAllow = true })
		}, "fail-open"},
		"fails with 403": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			edited(t, m, authz, new(authzv3.ExtAuthz), func(a *authzv3.ExtAuthz) { a.StatusOnError = nil })
		}, "status-on-error"},
		"joins headers": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			edited(t, m, authz, new(authzv3.ExtAuthz), func(a *authzv3.ExtAuthz) { a.EncodeRawHeaders = false })
		}, "raw-headers"},
		"the filter fails open": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			edited(t, m, wasm, new(wasmfilterv3.Wasm), func(w *wasmfilterv3.Wasm) { w.Config.FailurePolicy = wasmv3.FailurePolicy_FAIL_OPEN })
		}, "wasm-fail-open"},
		"cannot hold headers": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			edited(t, m, wasm, new(wasmfilterv3.Wasm), func(w *wasmfilterv3.Wasm) { w.Config.AllowOnHeadersStopIteration = nil })
		}, "hold-headers"},
		"lets headers go": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			edited(t, m, wasm, new(wasmfilterv3.Wasm), func(w *wasmfilterv3.Wasm) {
				w.Config.Configuration = pack(t, wrapperspb.String(`{"cluster":"memgate-http","headers":"pass"}`))
			})
		}, "pass-headers"},
		"a compressor behind": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			insert(t, m, wasm+1, "compressor", &compressorv3.Compressor{CompressorLibrary: &corev3.TypedExtensionConfig{Name: "gzip", TypedConfig: pack(t, new(gzipv3.Gzip))}})
		}, "compressor"},
		"a compressor in front": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			insert(t, m, authz, "compressor", &compressorv3.Compressor{CompressorLibrary: &corev3.TypedExtensionConfig{Name: "gzip", TypedConfig: pack(t, new(gzipv3.Gzip))}})
		}, ""},
		"a script before":                       {func(t *testing.T, m *hcmv3.HttpConnectionManager) { insert(t, m, authz, "script", script(false)) }, "before"},
		"a script between":                      {func(t *testing.T, m *hcmv3.HttpConnectionManager) { insert(t, m, wasm, "script", script(false)) }, "between"},
		"a script behind that clears the route": {func(t *testing.T, m *hcmv3.HttpConnectionManager) { insert(t, m, wasm+1, "script", script(true)) }, "after route-cache"},
		"a route without": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			route := m.GetRouteConfig().VirtualHosts[0].Routes
			route[len(route)-1].TypedPerFilterConfig = map[string]*anypb.Any{"envoy.filters.http.ext_authz": pack(t, &authzv3.ExtAuthzPerRoute{
				Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true},
			})}
		}, "route-authz"},
		"a host without the filter": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			m.GetRouteConfig().VirtualHosts[0].TypedPerFilterConfig = map[string]*anypb.Any{"envoy.filters.http.wasm": pack(t, &routev3.FilterConfig{Disabled: true})}
		}, "route-wasm"},
		"filters that nobody turns on": {func(_ *testing.T, m *hcmv3.HttpConnectionManager) { m.HttpFilters[authz].Disabled = true }, "route-authz"},
		"filters that a route turns on": {func(t *testing.T, m *hcmv3.HttpConnectionManager) {
			m.HttpFilters[authz].Disabled = true
			for _, r := range m.GetRouteConfig().VirtualHosts[0].Routes {
				r.TypedPerFilterConfig = map[string]*anypb.Any{"envoy.filters.http.ext_authz": pack(t, &routev3.FilterConfig{Config: pack(t, &authzv3.ExtAuthzPerRoute{
					Override: &authzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: new(authzv3.CheckSettings)},
				})})}
			}
		}, ""},
		"forwards what clients say of certificates": {func(_ *testing.T, m *hcmv3.HttpConnectionManager) {
			m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY
		}, "client-cert-header"},
		"paths as they come": {func(_ *testing.T, m *hcmv3.HttpConnectionManager) { m.NormalizePath, m.MergeSlashes = nil, false }, "normalize-path merge-slashes"},
	}
	edge := harness.StartWasm(t, nil)
	b := edge.Bootstrap(t)
	rendered := b.StaticResources.Listeners[0] // stays: the harness knows it by its name
	for name, c := range cases {
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, changed(t, rendered, name, func(m *hcmv3.HttpConnectionManager) { c.edit(t, m) }))
	}
	e := harness.StartEnvoy(t, b)
	findings, err := doctor.Examine(configuration(t, e.Admin))
	if err != nil {
		t.Fatal(err)
	}
	rules := make(map[string][]string)
	for _, f := range findings {
		if f.Fix == "" || f.What == "" {
			t.Errorf("%+v says too little", f)
		}
		listener, _, _ := strings.Cut(strings.TrimPrefix(f.Where, "listener "), ",")
		rules[listener] = append(rules[listener], f.Rule)
	}
	for name, c := range cases {
		if got := strings.Join(rules[name], " "); got != c.want {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
	if len(rules["edge"]) > 0 {
		t.Errorf("found %q in what is rendered", rules["edge"])
	}
}

func configuration(t *testing.T, admin string) []byte {
	t.Helper()
	r, err := http.Get(admin + "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestNoEdge(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "not JSON": "<html>", "another answer": `{"state":"LIVE"}`, "a list": "[1]",
		"no listener": `{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump"}]}`,
		"no HTTP":     `{"configs":[{"@type":"x.ListenersConfigDump","static_listeners":[{"listener":{"name":"a"}}]}]}`,
		"odd types":   `{"configs":[1,{"@type":2},{"@type":"x.ListenersConfigDump","static_listeners":[{"listener":[]},{"listener":{"filter_chains":{}}}]}]}`,
	} {
		if findings, err := doctor.Examine([]byte(text)); err == nil {
			t.Errorf("%s: no error, %v", name, findings)
		}
	}
}

func FuzzExamine(f *testing.F) {
	f.Add([]byte(`{"configs":[{"@type":"x.ListenersConfigDump","static_listeners":[{"listener":{"filter_chains":[{"filters":[{"typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","http_filters":[{"name":"a"}],"route_config":{"virtual_hosts":[{"routes":[{"route":{}}]}]}}}]}]}}]}]}`))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = doctor.Examine(text) })
}
