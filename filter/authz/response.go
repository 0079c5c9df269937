package authz

import (
	"strings"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/verdict"
)

// MetadataNamespace is where Envoy puts the metadata that a CheckResponse
// carries, whatever the filter is called in the mesh.
const MetadataNamespace = "envoy.filters.http.ext_authz"

// The members of the metadata. The route's name is for Envoy, which picks its own
// route by it and writes it into spans.
const (
	metaRoute  = "route"
	metaFilter = "filter" // verdict.Filter, of a request that may pass
	metaLog    = "log"    // verdict.Log
)

// maxMetadata is how many members [Decision.appendMetadata] writes at most.
const maxMetadata = 3

// appendMetadata appends what Envoy, the Wasm filter and the access log learn of
// the decision to dst, which has room for all.
func (d *Decision) appendMetadata(dst []member, requestID string) []member {
	if d.Route != "" {
		dst = append(dst, member{metaRoute, d.Route})
	}
	log := verdict.Log{
		RequestID: requestID,
		Decision:  audit.Deny,
		Stage:     string(d.Stage),
		Reason:    string(d.Reason),
		Spoofed:   strings.Join(d.Spoofed[:min(len(d.Spoofed), audit.MaxList)], ","),
		Shadow:    d.shadow(),
		Lease:     d.lease,
	}
	tenant := ""
	if p := d.Principal; p != nil {
		tenant = p.Tenant
		log.Tenant, log.Subject, log.Kind, log.Principal = p.Tenant, p.Subject, string(p.Kind), p.ID
	}
	var room [512]byte
	if d.Allowed {
		log.Decision = audit.Allow
		filter := verdict.Filter{
			Content: d.Content, RequestID: requestID, Tenant: tenant, Agent: d.Agent,
			HashKey: d.HashKey, PseudonymKeys: d.PseudonymKeys, Reveal: d.Reveal,
		}
		dst = append(dst, member{metaFilter, string(filter.Append(room[:0]))})
	}
	return append(dst, member{metaLog, string(log.Append(room[:0]))})
}
