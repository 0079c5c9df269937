package authz

import (
	"strings"

	"github.com/memgate/memgate/filter/audit"
)

// MetadataNamespace is where Envoy puts the metadata that a CheckResponse
// carries, whatever the filter is called in the mesh.
const MetadataNamespace = "envoy.filters.http.ext_authz"

// maxMetadata is how many members [Decision.metadata] has at most.
const maxMetadata = 17

// metadata is what the Wasm filter and the access log learn of the decision.
// It appends to dst, which has room for all.
func (d *Decision) appendMetadata(dst []member, requestID string) []member {
	set := func(key, value string) {
		if value != "" {
			dst = append(dst, member{key, value})
		}
	}
	set("request_id", requestID)
	set("route", d.Route)
	if p := d.Principal; p != nil {
		set("tenant", p.Tenant)
		set("subject", p.Subject)
		set("kind", string(p.Kind))
		set("principal", p.ID)
	}
	set("spoofed", strings.Join(d.Spoofed[:min(len(d.Spoofed), audit.MaxList)], ","))
	set("stage", string(d.Stage))
	set("reason", string(d.Reason))
	set("shadow", d.shadow())
	set(leaseKey, d.lease)
	if d.Allowed {
		set("decision", audit.Allow)
		set("content", d.Content)
		set("hash_key", d.HashKey)
		set("agent", d.Agent)
		set("pseudonym_keys", d.PseudonymKeys)
		if d.Reveal {
			set("reveal", "true")
		}
	} else {
		set("decision", audit.Deny)
	}
	return dst
}
