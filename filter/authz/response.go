package authz

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/problem"
)

// MetadataNamespace is where Envoy puts the metadata that a CheckResponse
// carries, whatever the filter is called in the mesh.
const MetadataNamespace = "envoy.filters.http.ext_authz"

// toCheck maps a decision to Envoy's message.
func (d *Decision) toCheck(requestID string) *authv3.CheckResponse {
	if !d.Allowed {
		return d.denied(requestID)
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(codes.OK)},
		DynamicMetadata: d.metadata(requestID),
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers:              overwrite(d.Upstream),
			HeadersToRemove:      d.Remove,
			ResponseHeadersToAdd: overwrite(d.Response),
		}},
	}
}

func (d *Decision) denied(requestID string) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(d.Status)},
		Headers: overwrite(d.Response),
	}
	if requestID != "" {
		denied.Headers = append(denied.Headers, option(HeaderRequestID, requestID))
	}
	if d.Problem != (problem.Problem{}) {
		denied.Headers = append(denied.Headers, option("content-type", problem.ContentType))
		denied.Body = string(d.Problem.AppendJSON(nil, requestID))
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		DynamicMetadata: d.metadata(requestID),
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

// maxMetadata is how many members [Decision.metadata] has at most.
const maxMetadata = 15

// metadata is what the Wasm filter and the access log learn of the decision.
func (d *Decision) metadata(requestID string) *structpb.Struct {
	// One allocation for all values instead of two for each: this is done for
	// every request.
	var values struct {
		value [maxMetadata]structpb.Value
		text  [maxMetadata]structpb.Value_StringValue
	}
	fields, n := make(map[string]*structpb.Value, maxMetadata), 0
	slots := &values
	set := func(key, value string) {
		if value != "" && n < maxMetadata {
			slots.text[n].StringValue = value
			slots.value[n].Kind = &slots.text[n]
			fields[key] = &slots.value[n]
			n++
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
	} else {
		set("decision", audit.Deny)
	}
	return &structpb.Struct{Fields: fields}
}

func overwrite(list []headers.Header) []*corev3.HeaderValueOption {
	if len(list) == 0 {
		return nil
	}
	// Three allocations for all headers instead of two for each.
	options, values := make([]corev3.HeaderValueOption, len(list)), make([]corev3.HeaderValue, len(list))
	out := make([]*corev3.HeaderValueOption, len(list), len(list)+2)
	for i := range list {
		values[i].Key, values[i].Value = list[i].Name, list[i].Value
		options[i].Header, options[i].AppendAction = &values[i], corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		out[i] = &options[i]
	}
	return out
}

func option(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
