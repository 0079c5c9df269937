package authz

import (
	"strings"
	"testing"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What Envoy refused by itself has a stage and a reason, too, and nothing of what
// the request was.
func TestEnvoyRefuses(t *testing.T) {
	for details, want := range map[string]string{
		"ext_authz_error":           "ext_authz_error",
		"request_rate_limited":      "request_rate_limited",
		"http1.codec_error":         "http1.codec_error",
		"path_normalization_failed": "path_normalization_failed",
		"upstream_reset_before_response_started{connection_termination|ann@example.com}": "upstream_reset_before_response_started",
		"":                       "unknown",
		"-":                      "unknown",
		strings.Repeat("a", 100): strings.Repeat("a", maxReason),
	} {
		e, _ := eventOf(&accesslogdata.HTTPAccessLogEntry{
			Request:  &accesslogdata.HTTPRequestProperties{RequestId: "id"},
			Response: &accesslogdata.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(503), ResponseCodeDetails: details},
		})
		if e.Decision != "error" || e.Stage != "envoy" || e.Reason != want || e.RequestID != "id" {
			t.Errorf("%q: %+v", details, e)
		}
	}
}
