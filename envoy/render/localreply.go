package render

import (
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/problem"
)

// edgeProblem is an answer that Envoy makes by itself. Its status is Envoy's.
type edgeProblem struct {
	when string // CEL over response.code; "" for all that is left
	problem.Problem
}

// edgeProblems are tried in order.
var edgeProblems = []edgeProblem{
	{"response.code == 400", problem.BadRequest},
	{`response.code == 403 && response.code_details == "upgrade_failed"`, problem.UpgradeRefused},
	{"response.code == 408", problem.RequestTimeout},
	{"response.code == 413", problem.BodyTooLarge},
	{"response.code == 429", problem.Problem{
		Slug: problem.RateLimited.Slug, Title: problem.RateLimited.Title, Detail: problem.RateLimited.Detail,
	}},
	{"response.code == 431", problem.HeadersTooLarge},
	{"response.code == 502", problem.UpstreamFault},
	{"response.code == 504", problem.UpstreamTimeout},
	{"response.code == 503", problem.Unavailable},
	{"", problem.EdgeRefused},
}

// notOurs is true of answers that Envoy made by itself, and false of those
// that the authz service and the Wasm filter wrote, which are complete. The
// filter marks its own by that prefix. The details of a response are set by the
// filter that made it, and a caller cannot influence them.
const notOurs = `!(response.code_details.startsWith("ext_authz_denied") || response.code_details.startsWith("memgate_"))`

// localReplies makes Envoy's own answers look like all others:
// application/problem+json with the security headers and the request id. They
// carry no CORS headers, because Envoy makes them where no policy was consulted;
// a page of another origin sees a network error.
func localReplies(security headers.Policy) (*hcmv3.LocalReplyConfig, error) {
	var add []*corev3.HeaderValueOption
	for _, h := range security.Set {
		add = append(add, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.Name, Value: literal(h.Value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	config := new(hcmv3.LocalReplyConfig)
	for _, e := range edgeProblems {
		mapper, err := e.mapper(add)
		if err != nil {
			return nil, err
		}
		config.Mappers = append(config.Mappers, mapper)
	}
	return config, nil
}

func (e *edgeProblem) mapper(add []*corev3.HeaderValueOption) (*hcmv3.ResponseMapper, error) {
	expression := notOurs
	if e.when != "" {
		expression = e.when + " && " + notOurs
	}
	filter, err := pack(&celv3.ExpressionFilter{Expression: expression})
	if err != nil {
		return nil, err
	}
	body, err := structpb.NewStruct(map[string]any{
		"type":       problem.TypePrefix + e.Slug,
		"title":      e.Title,
		"status":     "%RESPONSE_CODE%",
		"detail":     e.Detail,
		"request_id": "%REQ(X-REQUEST-ID)%",
	})
	if err != nil {
		return nil, err
	}
	return &hcmv3.ResponseMapper{
		Filter: &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{
			ExtensionFilter: &accesslogv3.ExtensionFilter{
				Name:       "envoy.access_loggers.extension_filters.cel",
				ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: filter},
			},
		}},
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:          &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: body},
			ContentType:     problem.ContentType,
			OmitEmptyValues: true,
		},
		HeadersToAdd: add,
	}, nil
}

// literal escapes what Envoy would read as a command in a header's value.
func literal(value string) string { return strings.ReplaceAll(value, "%", "%%") }
