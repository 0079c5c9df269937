package harness

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

// Edge names who configures the Envoy that suites go through. The environment
// variable EDGE says which one it is; without it, [EdgeEnvoy].
type Edge string

const (
	// EdgeEnvoy is Envoy with what memgate render envoy prints. No test is
	// skipped on it.
	EdgeEnvoy Edge = "envoy"
	// EdgeIstioSidecar and EdgeIstioGateway are Envoys that Istio's pilot
	// configures, from what memgate render istio prints. The other two are the
	// same with --hold-headers.
	EdgeIstioSidecar      Edge = "istio-sidecar"
	EdgeIstioGateway      Edge = "istio-gateway"
	EdgeIstioSidecarHolds Edge = "istio-sidecar-holds"
	EdgeIstioGatewayHolds Edge = "istio-gateway-holds"
	// EdgeEnvoyGateway is an Envoy that Envoy Gateway starts and configures, from
	// what memgate render envoy-gateway prints. The other is the same with
	// --hold-headers.
	EdgeEnvoyGateway      Edge = "envoy-gateway"
	EdgeEnvoyGatewayHolds Edge = "envoy-gateway-holds"
)

// edge is one way to put Envoy in front of a system.
type edge struct {
	// envoy starts Envoy in front of a system that runs already, where its policy
	// says: memgate at Server.GRPC and Server.HTTP, the protected service at
	// Upstream.Address, the filter in the file Envoy.Wasm.
	envoy func(T, *policy.Policy) *Envoy
	// lacks are the features that it has not, each with the reason.
	lacks map[Feature]string
}

// edges are all there are.
var edges = map[Edge]edge{
	EdgeEnvoy: {envoy: func(t T, p *policy.Policy) *Envoy {
		t.Helper()
		bootstrap, err := render.Envoy(p)
		if err != nil {
			t.Fatalf("%v", err)
		}
		return StartEnvoy(t, bootstrap)
	}},
	EdgeIstioSidecar:      istioEdge(mesh.Sidecar, false),
	EdgeIstioGateway:      istioEdge(mesh.Gateway, false),
	EdgeIstioSidecarHolds: istioEdge(mesh.Sidecar, true),
	EdgeIstioGatewayHolds: istioEdge(mesh.Gateway, true),
	EdgeEnvoyGateway:      envoyGatewayEdge(false),
	EdgeEnvoyGatewayHolds: envoyGatewayEdge(true),
}

// Feature is something that memgate's own Envoy does and not every mesh can.
type Feature string

const (
	// OwnRoutes says that requests of memgate's own routes (sessions, the
	// metadata of the resource) are sent to memgate.
	OwnRoutes Feature = "own routes"
	// HeldHeaders says that headers wait until the body is checked, so that a
	// refused body's request never reaches the service.
	HeldHeaders Feature = "held headers"
	// RawHeaders says that headers that come twice reach memgate apart.
	RawHeaders Feature = "raw headers"
	// EnvoyAnswers says that what Envoy answers by itself is a problem document, and
	// that each answer has a request id and no header that names Envoy.
	EnvoyAnswers Feature = "Envoy's own answers"
	// ReloadedFilter says that a content filter which has failed is loaded again.
	ReloadedFilter Feature = "a filter that is loaded again"
	// Findings says that what the content filter found is in the audit log.
	Findings Feature = "findings of the filter in the audit log"
	// StrictRequests says that Envoy refuses escaped slashes, names with an
	// underscore, and more headers than memgate's own Envoy takes.
	StrictRequests Feature = "strict requests"
	// OwnMutations says that what the authz service may not do is an error.
	OwnMutations Feature = "own mutation rules"
	// NoUpgrades says that Envoy refuses to switch protocols. memgate does so too.
	NoUpgrades Feature = "refusal of upgrades in Envoy"
	// UpstreamTimeout says that the service's time is bounded by the policy.
	UpstreamTimeout Feature = "the service's timeout"
	// BeforeAuth says that limits.before_auth counts.
	BeforeAuth Feature = "limits before memgate"
	// ClientAddress says that memgate learns a client's address as envoy.trusted_hops
	// has it.
	ClientAddress Feature = "the client's address"
	// NewRequestIDs says that a client's request id is never taken over.
	NewRequestIDs Feature = "new request ids"
)

// TheEdge is the edge that suites go through. It panics if EDGE names none.
func TheEdge() Edge {
	name := Edge(os.Getenv("EDGE"))
	if name == "" {
		return EdgeEnvoy
	}
	if _, ok := edges[name]; !ok {
		panic(fmt.Sprintf("EDGE=%s: no such edge", name))
	}
	return name
}

// Has reports whether the edge has a feature.
func Has(f Feature) bool {
	_, lacks := edges[TheEdge()].lacks[f]
	return !lacks
}

// Needs skips a test on an edge without a feature.
func Needs(t testing.TB, f Feature) {
	t.Helper()
	if reason, lacks := edges[TheEdge()].lacks[f]; lacks {
		t.Skipf("on %s: no %s: %s", TheEdge(), f, reason)
	}
}

// OnlyOn skips a test on any edge but these, with the reason: what of the test is
// of these alone. Where a mesh cannot do something, that is a [Feature] instead.
func OnlyOn(t testing.TB, reason string, on ...Edge) {
	t.Helper()
	if !slices.Contains(on, TheEdge()) {
		t.Skipf("on %s: %s", TheEdge(), reason)
	}
}

// startEdge puts the edge that the environment names in front of a system.
func startEdge(t T, p *policy.Policy) *Envoy {
	t.Helper()
	return edges[TheEdge()].envoy(t, p)
}

// portOf is the port of a host:port.
func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
