// Package doctor tests what 'memgate doctor' says of running Envoys, by its exit code and
// its output: of the edge as it is rendered, of one with each fault, and of what is none.
package doctor

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/e2e/harness"
)

// examine runs the command.
func examine(t *testing.T, args ...string) (code int, out, failure string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(harness.Memgate(t), append([]string{"doctor"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// extra is one more listener of an Envoy, which follows a file.
type extra struct {
	t        *testing.T
	file     string
	envoy    *harness.Envoy
	rendered *listenerv3.Listener
}

// put replaces the listener and waits until Envoy has it.
func (x *extra) put(version string, edit func(*hcmv3.HttpConnectionManager)) {
	x.t.Helper()
	l := proto.Clone(x.rendered).(*listenerv3.Listener)
	l.Name, l.Address.GetSocketAddress().PortSpecifier = "extra", &corev3.SocketAddress_PortValue{}
	l.Address.GetSocketAddress().Address = "127.0.0.1"
	slot, m := l.FilterChains[0].Filters[0], new(hcmv3.HttpConnectionManager)
	if err := slot.GetTypedConfig().UnmarshalTo(m); err != nil {
		x.t.Fatal(err)
	}
	m.StatPrefix = version // by which it is known: it is updated in place, under its old version
	edit(m)
	slot.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(x.t, m)}
	text, err := protojson.Marshal(&discoveryv3.DiscoveryResponse{VersionInfo: version, Resources: []*anypb.Any{pack(x.t, l)}})
	if err == nil {
		err = os.WriteFile(x.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(x.file+".new", x.file)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	if x.envoy == nil {
		return
	}
	harness.Eventually(x.t, func() error {
		r, err := http.Get(x.envoy.Admin + "/config_dump?resource=dynamic_listeners")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err == nil && (!bytes.Contains(text, []byte(`"stat_prefix": "`+version+`"`)) || bytes.Contains(text, []byte(`"warming_state"`))) {
			return fmt.Errorf("the listener %s is not there yet: %.2000s", version, text)
		}
		return err
	})
}

// Each case is one thing that is wrong in a running Envoy whose listeners a control plane
// sends, here a file.
func TestFaults(t *testing.T) {
	const authz, wasm = 0, 1
	insert := func(i int, name string, config proto.Message) func(*hcmv3.HttpConnectionManager) {
		return func(m *hcmv3.HttpConnectionManager) {
			m.HttpFilters = slices.Insert(m.HttpFilters, i, &hcmv3.HttpFilter{
				Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(t, config)},
			})
		}
	}
	script := &luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "function envoy_on_request(h) end"}}}
	compressor := &compressorv3.Compressor{CompressorLibrary: &corev3.TypedExtensionConfig{Name: "gzip", TypedConfig: pack(t, new(gzipv3.Gzip))}}
	clears := proto.Clone(script).(*luav3.Lua)
	clears.ClearRouteCache = wrapperspb.Bool(true)
	without := func(names ...string) func(*hcmv3.HttpConnectionManager) {
		return func(m *hcmv3.HttpConnectionManager) {
			m.HttpFilters = slices.DeleteFunc(m.HttpFilters, func(f *hcmv3.HttpFilter) bool { return slices.Contains(names, f.Name) })
		}
	}

	edge := harness.StartWasm(t, nil)
	b := edge.Bootstrap(t)
	x := &extra{t: t, file: filepath.Join(t.TempDir(), "listeners.json"), rendered: b.StaticResources.Listeners[0]}
	x.put("first", func(*hcmv3.HttpConnectionManager) {})
	b.Node = &corev3.Node{Id: "test", Cluster: "test"}
	b.DynamicResources = &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
			Path: x.file, WatchedDirectory: &corev3.WatchedDirectory{Path: filepath.Dir(x.file)},
		}},
	}}
	x.envoy = harness.StartEnvoy(t, b)

	if code, out, failure := examine(t, "--envoy", edge.Admin); code != 0 || out != "no findings\n" || failure != "" {
		t.Fatalf("as it is rendered: exit code %d\n%s%s", code, out, failure)
	}
	x.put("as-rendered", func(*hcmv3.HttpConnectionManager) {})
	if code, out, failure := examine(t, "--envoy", x.envoy.Admin); code != 0 || out != "no findings\n" {
		t.Fatalf("as it is rendered, by a control plane: exit code %d\n%s%s", code, out, failure)
	}

	for name, c := range map[string]struct {
		edit func(*hcmv3.HttpConnectionManager)
		code int
		says []string // each, in its output
	}{
		"bypass":    {without("envoy.filters.http.ext_authz", "envoy.filters.http.wasm"), 1, []string{"(no-authz)", "(no-wasm)", "render Envoy's configuration again"}},
		"no-filter": {without("envoy.filters.http.wasm"), 1, []string{"(no-wasm)", "bodies pass unread"}},
		"wrong-order": {func(m *hcmv3.HttpConnectionManager) {
			m.HttpFilters[0], m.HttpFilters[1] = m.HttpFilters[1], m.HttpFilters[0]
		}, 1, []string{"(order)", "put ext_authz before the content filter"}},
		"fails-open": {func(m *hcmv3.HttpConnectionManager) {
			a := new(authzv3.ExtAuthz)
			if err := m.HttpFilters[authz].GetTypedConfig().UnmarshalTo(a); err != nil {
				t.Error(err)
			}
			a.FailureModeAllow = true
			m.HttpFilters[authz].ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(t, a)}
		}, 1, []string{"(fail-open)", "set failure_mode_allow"}},
		"route-without": {func(m *hcmv3.HttpConnectionManager) {
			m.GetRouteConfig().VirtualHosts[0].Routes[0].TypedPerFilterConfig = map[string]*anypb.Any{
				"envoy.filters.http.ext_authz": pack(t, &authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}}),
			}
		}, 1, []string{"(route-authz)", "typed_per_filter_config"}},
		"compressor":  {insert(wasm+1, "compressor", compressor), 1, []string{"(compressor)", "put the compressor before ext_authz"}},
		"route-cache": {insert(wasm+1, "script", clears), 1, []string{"(route-cache)", "do not let it clear the route cache"}},
		"before":      {insert(authz, "script", script), 0, []string{"warning", "(before)"}},
		"between":     {insert(wasm, "script", script), 0, []string{"warning", "(between)", "put it before ext_authz, or after"}},
	} {
		t.Run(name, func(t *testing.T) {
			x.put(name, c.edit)
			code, out, failure := examine(t, "--envoy", x.envoy.Admin)
			if code != c.code || failure != "" {
				t.Errorf("exit code %d, want %d: %s", code, c.code, failure)
			}
			for _, want := range append(c.says, "listener extra", "fix: ") {
				if !strings.Contains(out, want) {
					t.Errorf("does not say %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, "listener edge") {
				t.Errorf("finds something in the edge as it is rendered:\n%s", out)
			}
		})
	}
	x.put("mended", func(*hcmv3.HttpConnectionManager) {})
	if code, out, _ := examine(t, "--envoy", x.envoy.Admin); code != 0 || out != "no findings\n" {
		t.Errorf("afterwards: exit code %d\n%s", code, out)
	}

	// A filter that says otherwise, or nothing, is not of this build.
	for name, c := range map[string]struct {
		old, new string
		code     int
		says     string
	}{
		"as it is":       {"memgate.reads.", "memgate.reads.", 0, "no findings"},
		"another build":  {"memgate.reads.1.", "memgate.reads.0.", 1, "reads other versions"},
		"an older build": {"memgate.reads.", "memgate.other.", 1, "is older"},
		"no statistics":  {"wasmcustom.", "custom.", 0, "no findings"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, failure := examine(t, "--envoy", rewritten(t, edge.Admin, c.old, c.new))
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d\n%s%s", code, out, failure)
			}
		})
	}
}

// rewritten is an admin interface whose statistics say something else.
func rewritten(t *testing.T, admin, old, changed string) string {
	t.Helper()
	to, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		text, err := io.ReadAll(r.Body)
		if r.Request.URL.Path == "/stats" {
			if !bytes.Contains(text, []byte(old)) {
				t.Errorf("the statistics have no %q: %s", old, text)
			}
			text = bytes.ReplaceAll(text, []byte(old), []byte(changed))
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		r.Header.Del("Content-Length")
		return err
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// What is no admin interface of an edge is an error that says so, and not good news.
func TestNoEdge(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"an error":     {http.NotFound, "404"},
		"a page":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "not a configuration dump"},
		"a redirect":   {http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP, "302"},
		"no listeners": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"configs":[]}`) }, "no listeners"},
		"deep":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("["), 1<<20)) }, "not a configuration dump"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"configs":[`)
		}, "unexpected EOF"},
		"without end": {func(w http.ResponseWriter, _ *http.Request) {
			piece := bytes.Repeat([]byte(" "), 1<<20)
			for {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			code, out, failure := examine(t, "--envoy", server.URL)
			if code != 1 || out != "" || !strings.Contains(failure, c.says) {
				t.Errorf("exit code %d, want 1 and %q: %s%s", code, c.says, out, failure)
			}
		})
	}
	nobody := harness.FreeAddress(t)
	if code, _, failure := examine(t, "--envoy", nobody); code != 1 || !strings.Contains(failure, "no answer of Envoy's admin interface") {
		t.Errorf("nobody listens: exit code %d, %s", code, failure)
	}
	if code, _, failure := examine(t, "--envoy", "http://127.0.0.1:port"); code != 2 || !strings.Contains(failure, "--envoy") {
		t.Errorf("no address: exit code %d, %s", code, failure)
	}
	if code, _, _ := examine(t, "--dump", filepath.Join(t.TempDir(), "none")); code != 1 {
		t.Errorf("no file: exit code %d", code)
	}
}
