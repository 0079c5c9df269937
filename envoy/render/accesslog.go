package render

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/filter/policy"
)

// LogName is how memgate tells its own log from others.
const LogName = "memgate"

// LoggedState is what the Wasm filter leaves for the access log.
var LoggedState = []string{
	"wasm.memgate.findings",
	"wasm.memgate.refusal",
	"wasm.memgate.shadow",
	"wasm.memgate.opened",
	"wasm.memgate.poison",
}

// accessLog sends one entry a request to memgate, which writes the audit line.
// Dynamic metadata goes with each entry unasked; the Wasm filter's findings and
// refusal are filter state, which must be named.
func accessLog(p *policy.Policy) ([]*accesslogv3.AccessLog, error) {
	config, err := pack(&grpclogv3.HttpGrpcAccessLogConfig{
		CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
			LogName:                 LogName,
			GrpcService:             grpcService(0),
			TransportApiVersion:     corev3.ApiVersion_V3,
			BufferFlushInterval:     durationpb.New(flush(p)),
			BufferSizeBytes:         u32(16 << 10),
			FilterStateObjectsToLog: LoggedState,
		},
	})
	if err != nil {
		return nil, err
	}
	return []*accesslogv3.AccessLog{{
		Name:       "envoy.access_loggers.http_grpc",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: config},
	}}, nil
}

// flush is after how long Envoy sends what has gathered. Where requests under way
// are counted, a place is free for the next only when the log says so.
func flush(p *policy.Policy) time.Duration {
	if p.Limits.Concurrency != nil {
		return 50 * time.Millisecond
	}
	return 250 * time.Millisecond
}
