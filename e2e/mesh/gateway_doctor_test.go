//go:build mesh

package mesh

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/doctor"
)

// found are the rules that the doctor finds broken in a running Envoy, each once.
func found(t *testing.T, admin string) string {
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
	findings, err := doctor.Examine(text)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, f := range findings {
		if len(rules) == 0 || rules[len(rules)-1] != f.Rule {
			rules = append(rules, f.Rule)
		}
	}
	return strings.Join(rules, " ")
}

// What is rendered has no errors as Envoy Gateway translates it, and what others
// can do to it is found in what their objects become.
func TestDoctorOfEnvoyGateway(t *testing.T) {
	_, p := services(t)
	// It also keeps Envoy Gateway running for the cases.
	if got := found(t, harness.StartEnvoyGateway(t, p, harness.EnvoyGatewayOptions{}).Admin); got != "raw-headers" {
		t.Errorf("found %q in what is rendered", got)
	}
	on := func(want string, edit func(spec map[string]any) bool) func(string, map[string]any) bool {
		return func(kind string, spec map[string]any) bool { return kind != want || edit(spec) }
	}
	out := func(map[string]any) bool { return false }
	for name, c := range map[string]struct {
		options harness.EnvoyGatewayOptions
		want    string
	}{
		"memgate may fail open": {harness.EnvoyGatewayOptions{Edit: on("SecurityPolicy", func(spec map[string]any) bool {
			spec["extAuth"].(map[string]any)["failOpen"] = true
			return true
		})}, "fail-open raw-headers"},
		"failures are 403": {harness.EnvoyGatewayOptions{Edit: on("SecurityPolicy", func(spec map[string]any) bool {
			delete(spec["extAuth"].(map[string]any), "statusOnError")
			return true
		})}, "status-on-error raw-headers"},
		"nobody asks memgate": {harness.EnvoyGatewayOptions{Edit: on("SecurityPolicy", out)}, "no-authz"},
		"the filter may fail open": {harness.EnvoyGatewayOptions{Edit: on("EnvoyExtensionPolicy", func(spec map[string]any) bool {
			spec["wasm"].([]any)[0].(map[string]any)["failOpen"] = true
			return true
		})}, "raw-headers wasm-fail-open"},
		"no filter": {harness.EnvoyGatewayOptions{Edit: on("EnvoyExtensionPolicy", out)}, "raw-headers no-wasm"},
		"the filter first": {harness.EnvoyGatewayOptions{Edit: on("EnvoyProxy", func(spec map[string]any) bool {
			spec["filterOrder"] = []any{map[string]any{"name": "envoy.filters.http.wasm", "before": "envoy.filters.http.ext_authz"}}
			return true
		})}, "raw-headers order"},
		"a route's own policy takes memgate's place": {harness.EnvoyGatewayOptions{More: `---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: { name: own, namespace: NAME }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: NAME }]
  cors: { allowOrigins: ["https://app.example.com"] }
`}, "raw-headers before route-authz"},
		"a route's own filter takes memgate's place": {harness.EnvoyGatewayOptions{More: script("HTTPRoute")}, "raw-headers between route-wasm"},
		"responses are compressed": {harness.EnvoyGatewayOptions{Edit: on("BackendTrafficPolicy", func(spec map[string]any) bool {
			spec["compressor"] = []any{map[string]any{"type": "Gzip", "gzip": map[string]any{}}}
			return true
		})}, "raw-headers compressor"},
	} {
		t.Run(name, func(t *testing.T) {
			e := harness.StartEnvoyGateway(t, p, c.options)
			if got := found(t, e.Admin); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// script is a policy with a script.
func script(kind string) string {
	return `---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: { name: script, namespace: NAME }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: ` + kind + `, name: NAME }]
  lua: [{ type: Inline, inline: "function envoy_on_request(h) h:headers():add('x-a', 'b') end" }]
`
}

// With --hold-headers there is nothing left to find.
func TestDoctorOfEnvoyGatewayThatHolds(t *testing.T) {
	_, p := services(t)
	if got := found(t, harness.StartEnvoyGateway(t, p, harness.EnvoyGatewayOptions{HoldHeaders: true}).Admin); got != "" {
		t.Errorf("found %q in what is rendered", got)
	}
}
