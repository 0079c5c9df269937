package render

import (
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/filter/policy"
)

const (
	heapMonitor        = "envoy.resource_monitors.fixed_heap"
	connectionsMonitor = "envoy.resource_monitors.global_downstream_max_connections"

	// maxHeap is the memory, in bytes, that Envoy may use before it sheds load.
	maxHeap = 1 << 30
)

// overloadManager bounds connections and memory. Envoy counts the connections
// of all listeners together; as its heap fills it first gives memory back, then
// refuses new requests, then new connections.
func overloadManager(p *policy.Policy) (*overloadv3.OverloadManager, error) {
	heap, err := pack(&heapv3.FixedHeapConfig{MaxHeapSizeBytes: maxHeap})
	if err != nil {
		return nil, err
	}
	connections, err := pack(&connectionsv3.DownstreamConnectionsConfig{
		MaxActiveDownstreamConnections: int64(p.Envoy.MaxConnections),
	})
	if err != nil {
		return nil, err
	}
	return &overloadv3.OverloadManager{
		RefreshInterval: durationpb.New(250 * time.Millisecond),
		ResourceMonitors: []*overloadv3.ResourceMonitor{
			{Name: heapMonitor, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: heap}},
			{Name: connectionsMonitor, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: connections}},
		},
		Actions: []*overloadv3.OverloadAction{
			whenHeap("envoy.overload_actions.shrink_heap", 0.90),
			whenHeap("envoy.overload_actions.disable_http_keepalive", 0.92),
			whenHeap("envoy.overload_actions.stop_accepting_requests", 0.95),
			whenHeap("envoy.overload_actions.stop_accepting_connections", 0.98),
		},
	}, nil
}

// whenHeap is an action taken above a share of maxHeap.
func whenHeap(action string, share float64) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{
		Name: action,
		Triggers: []*overloadv3.Trigger{{
			Name: heapMonitor,
			TriggerOneof: &overloadv3.Trigger_Threshold{
				Threshold: &overloadv3.ThresholdTrigger{Value: share},
			},
		}},
	}
}
