package mesh

import (
	"encoding/json"
	"strings"
)

// envoyFilter stands in for the WasmPlugin where headers must wait for the body.
// Istio has no other way to set allow_on_headers_stop_iteration, and none to have
// ext_authz tell a header that comes twice from one with a comma.
func (e *edge) envoyFilter(name meta, selector labelSelector) document {
	type m = map[string]any
	config, err := json.Marshal(pluginConfig{Cluster: e.cluster(e.http)})
	if err != nil { // of a struct with two texts
		panic(err)
	}
	uri := e.Wasm
	if !strings.Contains(uri, "://") {
		uri = "oci://" + uri
	}
	context := "SIDECAR_INBOUND"
	if e.At == Gateway {
		context = "GATEWAY"
	}
	in := func(filter string) *patchMatch {
		l := new(listenerMatch)
		l.FilterChain.Filter = filterMatch{"envoy.filters.network.http_connection_manager", &subName{filter}}
		return &patchMatch{Context: context, Listener: l}
	}
	const wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	resource := resource[envoyFilterSpec]{"networking.istio.io/v1alpha3", "EnvoyFilter", name, envoyFilterSpec{
		WorkloadSelector: workloadSelector{selector.MatchLabels}, Priority: 10,
		ConfigPatches: []configPatch{
			{"HTTP_FILTER", in("envoy.filters.http.router"), patch{"INSERT_BEFORE", m{
				"name": "memgate",
				"config_discovery": m{
					"config_source":                        m{"ads": m{}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
					"type_urls":                            []string{wasmType},
					"apply_default_config_without_warming": false,
				},
			}}},
			{"EXTENSION_CONFIG", &patchMatch{Context: context}, patch{"ADD", m{
				"name": "memgate",
				"typed_config": m{
					"@type": wasmType,
					"config": m{
						"name":                            "memgate",
						"allow_on_headers_stop_iteration": true,
						"failure_policy":                  "FAIL_RELOAD",
						"configuration":                   m{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": string(config)},
						"vm_config": m{
							"vm_id": "memgate", "runtime": "envoy.wasm.runtime.v8",
							"code":                  m{"remote": m{"http_uri": m{"uri": uri, "timeout": "30s", "cluster": "_"}, "sha256": e.WasmSHA256}},
							"environment_variables": m{"key_values": m{"ISTIO_META_WASM_IMAGE_PULL_POLICY": "IfNotPresent"}},
						},
					},
				},
			}}},
			{"HTTP_FILTER", in("envoy.filters.http.ext_authz"), patch{"MERGE", m{
				"typed_config": m{
					"@type":                    "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
					"encode_raw_headers":       true,
					"validate_mutations":       true,
					"include_peer_certificate": true,
				},
			}}},
		},
	}}
	return document{"The content filter, by an EnvoyFilter instead of a WasmPlugin, so that headers wait for the body.\nistio-agent fetches and checks the filter as it does for a WasmPlugin.", resource}
}
