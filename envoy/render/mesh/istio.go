package mesh

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

// Names of the extension providers in the mesh's configuration.
const (
	authzProvider = "memgate"
	logProvider   = "memgate-log"
)

// ingressLabels are those of the pods of Istio's own ingress gateway.
var ingressLabels = map[string]string{"istio": "ingress"}

const (
	ingressNamespace = "istio-ingress"
	securityAPI      = "security.istio.io/v1"
	networkingAPI    = "networking.istio.io/v1"
)

// Istio returns the edge for an Istio mesh: a file of mesh configuration, memgate
// itself, the edge in front of the workload, and, with Options.HoldHeaders, an
// EnvoyFilter in place of the WasmPlugin.
func Istio(p *policy.Policy, o Options) ([]File, error) {
	e, err := newEdge(p, o)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, make := range []func() (File, error){e.istioMesh, func() (File, error) { return e.memgate(map[string]string{"istio-injection": "enabled"}) }, e.istioMemgate, e.istioEdge} {
		f, err := make()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (e *edge) istioMesh() (File, error) {
	values := meshValues{meshConfig{
		PathNormalization: pathNormalization{"MERGE_SLASHES"},
		ExtensionProviders: []provider{
			{Name: authzProvider, ExtAuthz: &extAuthz{
				Service: e.host(), Port: e.grpc, Timeout: render.CheckTimeout.String(), StatusOnError: "503",
				ClearRouteCache: e.At == Gateway,
			}},
			{Name: logProvider, AccessLog: &httpAccessLog{e.host(), e.grpc, render.LogName, render.LoggedState}},
		},
	}}
	return newFile("mesh-config.yaml", `Values for the chart of istiod, or the meshConfig of your installation:

  helm upgrade istiod istio/istiod -n istio-system --reuse-values -f mesh-config.yaml

extensionProviders is a list: add these to those that you have. Without them, or with another
port, Istio answers every request with 403. A failure of memgate is 503, never a pass.`, document{"", values})
}

func (e *edge) istioMemgate() (File, error) {
	at := meta{Name: "memgate", Namespace: e.Namespace, Labels: memgateLabels}
	rule := destinationSpec{Host: e.host(), TrafficPolicy: trafficPolicy{TLS: &clientTLS{"ISTIO_MUTUAL"}}}
	rule.TrafficPolicy.ConnectionPool.TCP.ConnectTimeout = "0.25s"
	rule.TrafficPolicy.ConnectionPool.HTTP.HTTP1MaxPendingRequests = e.policy.Envoy.MaxConnections
	rule.TrafficPolicy.ConnectionPool.HTTP.HTTP2MaxRequests = e.policy.Envoy.MaxConnections
	docs := []document{
		{"memgate takes connections of the mesh alone.", resource[peerAuthenticationSpec]{securityAPI, "PeerAuthentication", at, peerAuthenticationSpec{
			Selector: &labelSelector{memgateLabels}, MTLS: clientTLS{"STRICT"},
		}}},
		{"As many requests at once as the edge takes connections, so that Envoy's own limit of 1024 refuses none.",
			resource[destinationSpec]{networkingAPI, "DestinationRule", at, rule}},
	}
	if hosts := e.issuers(); len(hosts) > 0 {
		docs = append(docs, document{"Where memgate fetches the keys of issuers. Needed where the mesh lets out only what it knows\n(outboundTrafficPolicy: REGISTRY_ONLY).",
			resource[serviceEntrySpec]{networkingAPI, "ServiceEntry", meta{Name: "memgate-issuers", Namespace: e.Namespace, Labels: memgateLabels}, serviceEntrySpec{
				Hosts: hosts, Location: "MESH_EXTERNAL", Resolution: "DNS", ExportTo: []string{"."},
				Ports: []entryPort{{443, "tls", "TLS"}},
			}}})
	}
	return newFile("memgate-mesh.yaml", "What Istio should know of memgate. Nothing here needs a change.", docs...)
}

// issuers are the hosts that memgate fetches keys from.
func (e *edge) issuers() []string {
	var out []string
	for i := range e.policy.Identity.Issuers {
		issuer := &e.policy.Identity.Issuers[i]
		text := issuer.JWKSURI
		if text == "" && issuer.JWKSFile == "" {
			text = issuer.Issuer
		}
		if u, err := url.Parse(text); err == nil && u.Scheme == "https" && !slices.Contains(out, u.Hostname()) {
			out = append(out, u.Hostname())
		}
	}
	slices.Sort(out)
	return out
}

func (e *edge) istioEdge() (File, error) {
	selector, namespace, at := labelSelector{map[string]string{"app": e.Workload}}, e.WorkloadNamespace, "before the workload, in its sidecar"
	if e.At == Gateway {
		selector, namespace, at = labelSelector{ingressLabels}, ingressNamespace, "in the ingress gateway"
	}
	name := meta{Name: "memgate-" + e.Workload, Namespace: namespace, Labels: memgateLabels}
	docs := []document{
		{"Every request is decided by memgate. CUSTOM comes before every other action and every WasmPlugin.",
			resource[authorizationSpec]{securityAPI, "AuthorizationPolicy", name, authorizationSpec{
				Selector: &selector, Action: "CUSTOM", Provider: &providerRef{authzProvider}, Rules: []authorization{{}},
			}}},
	}
	if e.HoldHeaders {
		filter, err := e.envoyFilter(name, selector)
		if err != nil {
			return File{}, err
		}
		docs = append(docs, filter)
	} else {
		docs = append(docs, document{`The content filter. A WasmPlugin cannot hold headers back until the body is known: a refused body
reaches the service as a request that breaks off after its headers. Where that matters,
render with --hold-headers.`,
			resource[wasmSpec]{"extensions.istio.io/v1alpha1", "WasmPlugin", name, wasmSpec{
				Selector: selector, URL: e.Wasm, SHA256: e.WasmSHA256, ImagePullPolicy: "IfNotPresent", ImagePullSecret: e.PullSecret,
				PluginName: "memgate", Type: "HTTP", Phase: "STATS", Priority: 10, FailStrategy: "FAIL_RELOAD",
				PluginConfig: pluginConfig{e.cluster(e.http), "pass"}, Match: []wasmMatch{{e.mode()}},
			}}})
	}
	docs = append(docs,
		document{"Envoy's access log goes to memgate, which writes one audit line for each request.",
			resource[telemetrySpec]{"telemetry.istio.io/v1", "Telemetry", name, telemetrySpec{
				Selector: selector, AccessLogging: []accessLogger{{Providers: []providerRef{{logProvider}}, Match: &wasmMatch{e.mode()}}},
			}}})
	workload := meta{Name: "memgate-" + e.Workload, Namespace: e.WorkloadNamespace, Labels: memgateLabels}
	docs = append(docs, document{"The workload takes connections of the mesh alone: nobody gets past its sidecar in plain text.",
		resource[peerAuthenticationSpec]{securityAPI, "PeerAuthentication", workload, peerAuthenticationSpec{
			Selector: &labelSelector{map[string]string{"app": e.Workload}}, MTLS: clientTLS{"STRICT"},
		}}})
	if e.At == Gateway {
		docs = append(docs, e.istioGateway()...)
		docs = append(docs, e.onlyFrom(workload, peer{NamespaceSelector: named(ingressNamespace), PodSelector: &labelSelector{ingressLabels}}))
	}
	return newFile("edge.yaml", fmt.Sprintf(`The edge of %s, %s.
What you would change: the workload (--workload, --workload-namespace; its pods have the label
app), where the edge stands (--at), and the filter (--wasm, --wasm-sha256).`, e.Workload, at), docs...)
}

// mode is Istio's word for requests that come to where the edge stands.
func (e *edge) mode() string {
	if e.At == Gateway {
		return "CLIENT" // a gateway is a client of the services behind it
	}
	return "SERVER"
}

// cluster is how Istio calls a port of memgate in Envoy's configuration.
func (e *edge) cluster(port uint32) string { return fmt.Sprintf("outbound|%d||%s", port, e.host()) }

// onlyFrom keeps all but the edge from the workload.
func (e *edge) onlyFrom(name meta, from peer) document {
	return document{"The workload accepts the edge only. Where it has other callers, add them, and know that they\ncome without memgate's Txn-Token.",
		resource[networkSpec]{"networking.k8s.io/v1", "NetworkPolicy", name, networkSpec{
			PodSelector: labelSelector{map[string]string{"app": e.Workload}}, PolicyTypes: []string{"Ingress"},
			Ingress: []ingressRule{{From: []peer{from}}},
		}}}
}

func (e *edge) istioGateway() []document {
	name := meta{Name: "memgate-" + e.Workload, Namespace: ingressNamespace, Labels: memgateLabels}
	certs := &gatewayCerts{Mode: "SIMPLE", CredentialName: e.TLSSecret, MinProtocolVersion: "TLSV1_2", CipherSuites: []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
		"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
	}}
	if e.ClientCASecret != "" {
		certs.Mode, certs.CredentialName = "MUTUAL", e.ClientCASecret
	}
	routes := virtualServiceSpec{Hosts: e.Hosts, Gateways: []string{name.Name}}
	if own := e.own(); len(own) > 0 {
		r := httpRoute{Name: "memgate", Route: []destination{to(e.host(), e.http)}, Timeout: "5s"}
		for _, o := range own {
			r.Match = append(r.Match, httpMatch{URI: stringMatch{o.regex + `(\?.*)?`}, Method: &stringMatch{strings.Join(o.methods, "|")}})
		}
		routes.HTTP = append(routes.HTTP, r)
	}
	routes.HTTP = append(routes.HTTP, httpRoute{
		Name: "upstream", Route: []destination{to(e.workloadHost(), e.port)}, Timeout: seconds(e.policy.Upstream.Timeout),
		Retries: routeRetries{1, "connect-failure,refused-stream"},
	})
	return []document{
		{"TLS 1.2 or newer for clients, and a redirect from plain HTTP. The certificate is the secret " + certs.CredentialName + "\nin " + ingressNamespace + ".",
			resource[istioGatewaySpec]{networkingAPI, "Gateway", name, istioGatewaySpec{
				Selector: ingressLabels,
				Servers: []gatewayServer{
					{entryPort{80, "http", "HTTP"}, e.Hosts, &gatewayCerts{HTTPSRedirect: true}},
					{entryPort{443, "https", "HTTPS"}, e.Hosts, certs},
				},
			}}},
		{"memgate's own answers come from memgate, all others from the workload. A request is sent again\nonly where the first certainly did not arrive.",
			resource[virtualServiceSpec]{networkingAPI, "VirtualService", name, routes}},
	}
}

func to(host string, port uint32) destination {
	var d destination
	d.Destination.Host, d.Destination.Port.Number = host, port
	return d
}

func seconds(d policy.Duration) string { return time.Duration(d).String() }
