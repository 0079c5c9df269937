// Package mesh writes a policy down as objects of Kubernetes, Istio and Envoy
// Gateway, so that the same edge stands in a sidecar, in a gateway of Istio, and
// in Envoy Gateway. The objects are this package's own types, with the members
// that it sets and no others: what a cluster makes of them is tested against the
// definitions and the control planes themselves (e2e/mesh).
package mesh

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/memgate/memgate/filter/policy"
)

// Where the edge stands in Istio.
const (
	Sidecar = "sidecar" // before one workload, in its own pod
	Gateway = "gateway" // before one workload, in the mesh's gateway
)

// Options are what a policy does not say of a cluster.
type Options struct {
	Policy []byte // the policy file, which goes into a ConfigMap as it is

	Namespace         string // of memgate
	Workload          string // name of the protected service, and the label app of its pods
	WorkloadNamespace string
	At                string // Sidecar or Gateway, for Istio
	Hosts             []string
	TLSSecret         string // of the gateway's certificate, in WorkloadNamespace
	ClientCASecret    string // of the authorities of clients' certificates, or ""
	GatewayClass      string // of Envoy Gateway

	Image       string // of memgate, best with its digest
	Wasm        string // URL of the filter: oci:// or https://
	WasmSHA256  string // digest of the image, or hash of the file
	PullSecret  string // for a private registry, or ""
	HoldHeaders bool   // use an EnvoyFilter that can hold headers, instead of a WasmPlugin, or an EnvoyPatchPolicy
	Replicas    int    // of memgate, at least
	FilesSecret string // whose files appear beside the policy in secrets/
	EnvSecret   string // whose members are environment variables, such as REDIS_URL
	RedisPort   int    // that memgate may connect to, or 0
}

// Defaults are the options that a command line starts from.
func Defaults() Options {
	return Options{
		Namespace: "memgate", Workload: "orders", WorkloadNamespace: "orders", At: Sidecar, GatewayClass: "eg", Hosts: []string{"api.example.com"},
		TLSSecret: "edge-tls", Image: "ghcr.io/memgate/memgate:latest", Wasm: "oci://ghcr.io/memgate/memgate-wasm:latest",
		Replicas: 2, FilesSecret: "memgate-files", EnvSecret: "memgate-env",
	}
}

var (
	label  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // RFC 1123
	hash   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	digest = regexp.MustCompile(`@sha256:([0-9a-f]{64})$`)
)

// edge is what the objects are made from.
type edge struct {
	Options
	policy           *policy.Policy
	grpc, http, port uint32 // of memgate, and of the protected service
}

// newEdge checks what can be known before a cluster sees it.
func newEdge(p *policy.Policy, o Options) (*edge, error) {
	for _, f := range []struct{ flag, value string }{
		{"--namespace", o.Namespace}, {"--workload", o.Workload}, {"--workload-namespace", o.WorkloadNamespace},
		{"--tls-secret", o.TLSSecret}, {"--files-secret", o.FilesSecret}, {"--env-secret", o.EnvSecret}, {"--gateway-class", o.GatewayClass},
	} {
		if !label.MatchString(f.value) {
			return nil, fmt.Errorf("%s: %q is not a name (small letters, digits and hyphens, at most 63)", f.flag, f.value)
		}
	}
	if o.At != Sidecar && o.At != Gateway {
		return nil, fmt.Errorf("--at: want %s or %s", Sidecar, Gateway)
	}
	if o.Replicas < 1 {
		return nil, errors.New("--replicas: want 1 or more")
	}
	if found := digest.FindStringSubmatch(o.Wasm); found != nil {
		if o.WasmSHA256 != "" && o.WasmSHA256 != found[1] {
			return nil, errors.New("--wasm-sha256: --wasm names another digest")
		}
		o.WasmSHA256 = found[1]
	}
	if !hash.MatchString(o.WasmSHA256) {
		return nil, errors.New("--wasm-sha256: want the 64 hexadecimal digits of the filter's digest: a filter that is not pinned could be replaced in the registry")
	}
	e := &edge{Options: o, policy: p}
	for _, a := range []struct {
		key, address string
		port         *uint32
		open         bool
	}{{"server.grpc", p.Server.GRPC, &e.grpc, true}, {"server.http", p.Server.HTTP, &e.http, true}, {"upstream.address", p.Upstream.Address, &e.port, false}} {
		host, port, err := net.SplitHostPort(a.address)
		if err != nil {
			return nil, fmt.Errorf("%s: want host:port", a.key)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%s: want host:port", a.key)
		}
		*a.port = uint32(n)
		if ip, err := netip.ParseAddr(host); a.open && (host == "localhost" || err == nil && ip.IsLoopback()) {
			return nil, fmt.Errorf("%s: is on loopback, where no other pod reaches it; write \"0.0.0.0:%d\"", a.key, n)
		}
	}
	if !p.Envoy.TLSInFront && p.Envoy.TLS == nil {
		return nil, errors.New("envoy.tls_in_front: must be true, as the mesh or its gateway ends TLS for the clients")
	}
	if p.Server.TLS != nil {
		return nil, errors.New("server.tls: leave it out in a mesh, which secures the way to memgate by itself")
	}
	return e, nil
}

// host is memgate's name in the cluster.
func (e *edge) host() string { return "memgate." + e.Namespace + ".svc.cluster.local" }

// workloadHost is the protected service's.
func (e *edge) workloadHost() string {
	return e.Workload + "." + e.WorkloadNamespace + ".svc.cluster.local"
}

// own are the requests that memgate answers itself: method and path by regular
// expression, in the order of the policy. Envoy outside a mesh routes by what the
// authz service decided; the objects of a mesh can only repeat the path, and a
// path that they send elsewhere than was decided reaches a service that refuses
// it: memgate's own API believes a token for memgate alone, the upstream one for
// itself.
func (e *edge) own() []ownPath {
	var out []ownPath
	for i := range e.policy.Routes {
		r := &e.policy.Routes[i]
		if r.Own {
			out = append(out, ownPath{r.Match.Methods, pathRegex(r.Match.Path)})
		}
	}
	return out
}

type ownPath struct {
	methods []string
	regex   string // RE2, for the whole path
}

// pathRegex is a path template as a regular expression.
func pathRegex(template string) string {
	var out []string
	for segment := range strings.SplitSeq(template, "/") {
		switch {
		case strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "...}"):
			out = append(out, ".*")
		case strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}"):
			out = append(out, "[^/]+")
		default:
			out = append(out, regexp.QuoteMeta(segment))
		}
	}
	return strings.Join(out, "/")
}
