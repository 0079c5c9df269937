package mesh

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/authz"
)

// envoyFilter stands in for the WasmPlugin where headers must wait for the body.
// Istio has no other way to set allow_on_headers_stop_iteration, and none to have
// ext_authz tell a header that comes twice from one with a comma, or to say how
// Envoy reads requests and what its own answers look like.
func (e *edge) envoyFilter(name meta, selector labelSelector) (document, error) {
	type m = map[string]any
	config, err := json.Marshal(pluginConfig{Cluster: e.cluster(e.http)})
	if err != nil {
		return document{}, err
	}
	manager, err := e.manager()
	if err != nil {
		return document{}, err
	}
	uri := e.Wasm
	if !strings.Contains(uri, "://") {
		uri = "oci://" + uri
	}
	context := "SIDECAR_INBOUND"
	if e.At == Gateway {
		context = "GATEWAY"
	}
	in := func(filter *subName) *patchMatch {
		l := new(listenerMatch)
		l.FilterChain.Filter = filterMatch{"envoy.filters.network.http_connection_manager", filter}
		return &patchMatch{Context: context, Listener: l}
	}
	const wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	decide := m{
		"@type":                    "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
		"encode_raw_headers":       true,
		"validate_mutations":       true,
		"include_peer_certificate": true,
		"decoder_header_mutation_rules": m{
			"allow_envoy": true, "disallow_system": true, "disallow_is_error": true,
		},
	}
	if len(e.policy.Limits.PerAddress) > 0 {
		decide["grpc_service"] = m{"initial_metadata": []m{{"key": authz.AddressMetadata, "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}}
	}
	resource := resource[envoyFilterSpec]{"networking.istio.io/v1alpha3", "EnvoyFilter", name, envoyFilterSpec{
		WorkloadSelector: workloadSelector{selector.MatchLabels}, Priority: 10,
		ConfigPatches: []configPatch{
			{"HTTP_FILTER", in(&subName{"envoy.filters.http.router"}), patch{"INSERT_BEFORE", m{
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
			{"HTTP_FILTER", in(&subName{"envoy.filters.http.ext_authz"}), patch{"MERGE", m{"typed_config": decide}}},
			{"HTTP_FILTER", in(&subName{"envoy.filters.http.router"}), patch{"MERGE", m{
				"typed_config": m{
					"@type":                  "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
					"suppress_envoy_headers": true,
				},
			}}},
			{"NETWORK_FILTER", in(nil), patch{"MERGE", m{"typed_config": manager}}},
			// The content filter hands a checked body back to Envoy in one piece.
			{"VIRTUAL_HOST", &patchMatch{Context: context}, patch{"MERGE", m{"request_body_buffer_limit": render.BodyLimit(e.policy)}}},
		},
	}}
	// No answer names the service and its port, and the service learns nothing of Envoy.
	route := m{"decorator": m{"propagate": false}, "request_headers_to_remove": []string{"x-envoy-attempt-count"}}
	if t := e.policy.Upstream.Timeout; e.At == Sidecar && t > 0 {
		// In a gateway the VirtualService says it. Here Istio's own longest time for a
		// stream, none, would count in place of a timeout.
		route["route"] = m{"max_stream_duration": m{"max_stream_duration": seconds(t)}}
	}
	resource.Spec.ConfigPatches = append(resource.Spec.ConfigPatches, configPatch{"HTTP_ROUTE", &patchMatch{Context: context}, patch{"MERGE", route}})
	return document{"The content filter, by an EnvoyFilter instead of a WasmPlugin, so that headers wait for the body.\nistio-agent fetches and checks the filter as it does for a WasmPlugin. Envoy also reads requests, and\nanswers by itself, as memgate's own does.", resource}, nil
}

// manager is what of the edge Envoy's HTTP connection manager does.
func (e *edge) manager() (*yaml.Node, error) {
	m, err := render.Manager(e.policy)
	if err != nil {
		return nil, err
	}
	if e.At == Gateway {
		m.XffNumTrustedHops = uint32(e.policy.Envoy.TrustedHops)
	}
	text, err := render.YAML(m)
	if err != nil {
		return nil, err
	}
	var whole yaml.Node
	if err := yaml.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	node := whole.Content[0]
	for n := node; ; n = n.Content[0] { // the remark that it is generated
		n.HeadComment = ""
		if len(n.Content) == 0 {
			break
		}
	}
	kind := []*yaml.Node{{Kind: yaml.ScalarNode, Value: "@type"}, {Kind: yaml.ScalarNode, Value: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())}}
	node.Content = append(kind, node.Content...)
	return node, nil
}
