package mesh

import (
	"github.com/memgate/memgate/envoy/render"
)

type patchPolicySpec struct {
	TargetRef   targetRef   `yaml:"targetRef"`
	Type        string      `yaml:"type"`
	JSONPatches []jsonPatch `yaml:"jsonPatches"`
}

type jsonPatch struct {
	Type      string         `yaml:"type"`
	Name      string         `yaml:"name"`
	Operation patchOperation `yaml:"operation"`
}

type patchOperation struct {
	Op       string `yaml:"op"`
	JSONPath string `yaml:"jsonPath"`
	Path     string `yaml:"path"`
	Value    any    `yaml:"value"`
}

// envoyPatch sets in Envoy's listener what Envoy Gateway has no objects for: that
// headers wait for the body, that a filter which has failed is loaded again, that
// headers which come twice reach memgate apart, what memgate may do to a request,
// what the access log tells of the content filter, how requests are read, and what
// Envoy's own answers look like.
func (e *edge) envoyPatch(at meta) (resource[patchPolicySpec], error) {
	spec := patchPolicySpec{TargetRef: targetRef{Group: gatewayAPI, Kind: "Gateway", Name: e.Workload}, Type: "JSONPatch"}
	set := func(within, member string, value any) {
		spec.JSONPatches = append(spec.JSONPatches, jsonPatch{
			Type: "type.googleapis.com/envoy.config.listener.v3.Listener", Name: e.WorkloadNamespace + "/" + e.Workload + "/https",
			Operation: patchOperation{"add", within, member, value},
		})
	}
	const (
		wasm    = "$..http_filters[?(@.typed_config.config.root_id=='memgate')].typed_config.config"
		authz   = "$..http_filters[?(@.typed_config['@type']=='type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz')].typed_config"
		manager = "$..filters[?(@.name=='envoy.filters.network.http_connection_manager')].typed_config"
	)
	set(wasm, "allow_on_headers_stop_iteration", true)
	set(wasm, "failure_policy", "FAIL_RELOAD")
	set(authz, "encode_raw_headers", true)
	set(authz, "validate_mutations", true)
	set(authz, "include_peer_certificate", true)
	set(authz, "decoder_header_mutation_rules", map[string]any{"allow_envoy": true, "disallow_system": true, "disallow_is_error": true})
	set(manager+".access_log[*].typed_config.common_config", "filter_state_objects_to_log", render.LoggedState)
	own, err := e.manager()
	if err != nil {
		return resource[patchPolicySpec]{}, err
	}
	for i := 0; i < len(own.Content); i += 2 {
		if name := own.Content[i].Value; name != "@type" {
			set(manager, name, own.Content[i+1])
		}
	}
	return resource[patchPolicySpec]{envoyAPI + "/v1alpha1", "EnvoyPatchPolicy", suffixed(at, "edge"), spec}, nil
}
