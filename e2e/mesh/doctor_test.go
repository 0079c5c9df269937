//go:build mesh

package mesh

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

// patches are what others may have put into the edge's Envoy, each with the rule by
// which the doctor knows it.
var patches = map[string]string{
	"between": `
  - applyTo: HTTP_FILTER
    match: { listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.ext_authz } } } } }
    patch:
      operation: INSERT_AFTER
      value: { name: between, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua } }
`,
	"route-cache": `
  - applyTo: HTTP_FILTER
    match: { listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } } }
    patch:
      operation: INSERT_BEFORE
      value: { name: clears, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, clear_route_cache: true } }
`,
	"compressor": `
  - applyTo: HTTP_FILTER
    match: { listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } } }
    patch:
      operation: INSERT_BEFORE
      value:
        name: compresses
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor
          compressor_library: { name: gzip, typed_config: { "@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip } }
`,
	"fail-open": `
  - applyTo: HTTP_FILTER
    match: { listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.ext_authz } } } } }
    patch:
      operation: MERGE
      value: { typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, failure_mode_allow: true } }
`,
	"route-authz": `
  - applyTo: HTTP_ROUTE
    match: {}
    patch:
      operation: MERGE
      value:
        typed_per_filter_config:
          envoy.filters.http.ext_authz: { "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true }
`,
	"no-wasm": `
  - applyTo: HTTP_FILTER
    match: { listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: memgate } } } } }
    patch: { operation: REMOVE }
`,
}

// patched is an EnvoyFilter of patches, which comes after what is rendered.
func patched(at string, rules ...string) string {
	if len(rules) == 0 {
		return ""
	}
	namespace, context := "orders", "SIDECAR_INBOUND"
	if at == mesh.Gateway {
		namespace, context = "istio-ingress", "GATEWAY"
	}
	out := "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: { name: others, namespace: " + namespace + " }\nspec:\n  priority: 20\n  configPatches:"
	for _, rule := range rules {
		out += strings.Replace(patches[rule], "match: {", "match: { context: "+context+", ", 1)
	}
	return out
}

// The doctor finds nothing that is wrong in what Istio makes of our objects, and
// all that others put in between.
func TestDoctor(t *testing.T) {
	s := harness.StartServices(t, nil)
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{mesh.Sidecar, mesh.Gateway} {
		for name, c := range map[string]struct {
			hold    bool
			with    []string
			warning string // the only one of an edge that is as rendered
		}{
			"as rendered":         {warning: " (raw-headers)"},
			"as rendered to hold": {hold: true},
			"with other filters":  {hold: true, with: []string{"between", "route-cache", "compressor", "fail-open", "route-authz"}},
			"without the filter":  {hold: true, with: []string{"no-wasm"}},
		} {
			t.Run(at+", "+name, func(t *testing.T) {
				e := harness.StartIstio(t, p, harness.IstioOptions{At: at, HoldHeaders: c.hold, More: patched(at, c.with...)})
				out, err := exec.Command(harness.Memgate(t), "doctor", "--envoy", e.Admin).CombinedOutput()
				text := string(out)
				if c.with == nil {
					if rest := strings.ReplaceAll(text, c.warning, ""); err != nil || !strings.Contains(text, c.warning) || strings.Contains(rest, " (") {
						t.Errorf("%v: %s", err, text)
					}
					return
				}
				for _, rule := range c.with {
					if !strings.Contains(text, "("+rule+")") {
						t.Errorf("%s is not found: %v: %s", rule, err, text)
					}
				}
				if err == nil {
					t.Errorf("it does not fail: %s", text)
				}
			})
		}
	}
}
