package mesh

import (
	"fmt"
	"strings"
	"time"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

const (
	gatewayAPI = "gateway.networking.k8s.io"
	envoyAPI   = "gateway.envoyproxy.io"
)

// ownRoute is the HTTPRoute of memgate's own answers. Its first rule is also how
// the content filter reaches memgate: Envoy Gateway names a cluster after a rule.
const ownRoute = "memgate"

// EnvoyGateway returns the edge for Envoy Gateway: memgate itself, and a gateway
// of the workload's own.
func EnvoyGateway(p *policy.Policy, o Options) ([]File, error) {
	e, err := newEdge(p, o)
	if err != nil {
		return nil, err
	}
	kube, err := e.memgate(nil)
	if err != nil {
		return nil, err
	}
	edge, err := e.gateway()
	return []File{kube, edge}, err
}

func (e *edge) gateway() (File, error) {
	at := meta{Name: e.Workload, Namespace: e.WorkloadNamespace, Labels: memgateLabels}
	this := []targetRef{{Group: gatewayAPI, Kind: "Gateway", Name: e.Workload}}
	proxy := resource[envoyProxySpec]{envoyAPI + "/v1alpha1", "EnvoyProxy", at, envoyProxySpec{}}
	proxy.Spec.Telemetry.AccessLog.Settings = []egLog{{[]egSink{{"ALS", egALS{[]backendRef{e.memgatePort(e.grpc)}, render.LogName, "HTTP"}}}}}
	filterComment, logComment := "The content filter.", "Envoy's access log goes to memgate, which writes one audit line for each request."
	if !e.HoldHeaders {
		filterComment = `The content filter. It cannot hold headers back until the body is known here: a refused body
reaches the service as a request that breaks off after its headers. Where that matters,
render with --hold-headers.`
		logComment += " What the\ncontent filter found is not in it: Envoy Gateway cannot log a filter's state."
	}
	docs := []document{
		{"TLS for clients, with the certificate in the secret " + e.TLSSecret + ", and a redirect from plain HTTP.",
			resource[gatewaySpec]{gatewayAPI + "/v1", "Gateway", at, gatewaySpec{
				GatewayClassName: e.GatewayClass,
				Infrastructure:   infrastructure{targetRef{Group: envoyAPI, Kind: "EnvoyProxy", Name: e.Workload}},
				Listeners: []gatewayListener{
					{Name: "http", Protocol: "HTTP", Port: 80},
					{Name: "https", Protocol: "HTTPS", Port: 443, TLS: &listenerTLS{"Terminate", []targetRef{{Kind: "Secret", Name: e.TLSSecret}}}},
				},
			}}},
		{logComment, proxy},
		{"", resource[httpRouteSpec]{gatewayAPI + "/v1", "HTTPRoute", suffixed(at, "redirect"), httpRouteSpec{
			ParentRefs: []parentRef{{e.Workload, "http"}}, Hostnames: e.Hosts,
			Rules: []routeRule{{Filters: []routeFilter{{"RequestRedirect", redirectRoute{"https", 301}}}}},
		}}},
		{"memgate's own answers. The content filter's configuration below names this route's first rule:\nit is how it reaches memgate.", e.ownHTTPRoute(at)},
		{"", resource[httpRouteSpec]{gatewayAPI + "/v1", "HTTPRoute", at, httpRouteSpec{
			ParentRefs: []parentRef{{e.Workload, "https"}}, Hostnames: e.Hosts,
			Rules: []routeRule{{BackendRefs: []backendRef{{Name: e.Workload, Port: e.port}}}},
		}}},
		{"Every request is decided by memgate; a failure of it is 503, never a pass.",
			resource[securitySpec]{envoyAPI + "/v1alpha1", "SecurityPolicy", at, securitySpec{
				TargetRefs: https(this), ExtAuth: egExtAuth{
					GRPC: backendRefs{[]backendRef{e.memgatePort(e.grpc)}}, Timeout: render.CheckTimeout.String(), StatusOnError: 503,
				},
			}}},
		{filterComment, e.wasmPolicy(at, https(this))},
		{"Paths, headers, sizes and times as in memgate's own Envoy.", e.clientTraffic(at, https(this))},
		{"", e.backendTraffic(at, this)},
	}
	if e.HoldHeaders {
		patches, err := e.envoyPatch(at)
		if err != nil {
			return File{}, err
		}
		docs = append(docs, document{"What Envoy Gateway has no objects for. It must let you set it: extensionApis.enableEnvoyPatchPolicy.", patches})
	}
	if e.Namespace != e.WorkloadNamespace {
		from := func(group, kind string) grantFrom { return grantFrom{group, kind, e.WorkloadNamespace} }
		docs = append(docs, document{"The gateway's objects may name memgate's service in its namespace.",
			resource[grantSpec]{gatewayAPI + "/v1", "ReferenceGrant", meta{Name: "memgate-" + e.Workload, Namespace: e.Namespace, Labels: memgateLabels}, grantSpec{
				From: []grantFrom{from(gatewayAPI, "HTTPRoute"), from(envoyAPI, "SecurityPolicy"), from(envoyAPI, "EnvoyProxy")},
				To:   []grantTo{{"", "Service", "memgate"}},
			}}})
	}
	docs = append(docs, e.onlyFrom(meta{Name: "memgate-" + e.Workload, Namespace: e.WorkloadNamespace, Labels: memgateLabels}, peer{
		NamespaceSelector: named("envoy-gateway-system"),
		PodSelector: &labelSelector{map[string]string{
			"gateway.envoyproxy.io/owning-gateway-name": e.Workload, "gateway.envoyproxy.io/owning-gateway-namespace": e.WorkloadNamespace,
		}},
	}))
	return newFile("edge.yaml", fmt.Sprintf(`The edge of %s in Envoy Gateway. What you would change: the workload (--workload,
--workload-namespace), its names (--host), its certificate (--tls-secret), the class of the gateway
(--gateway-class), and the filter (--wasm, --wasm-sha256: of an image its digest, of a file its hash).`, e.Workload), docs...)
}

func suffixed(m meta, suffix string) meta {
	m.Name += "-" + suffix
	return m
}

// https are the targets without the listener that only redirects: it has nothing
// to decide.
func https(refs []targetRef) []targetRef {
	out := make([]targetRef, len(refs))
	for i, r := range refs {
		r.SectionName = "https"
		out[i] = r
	}
	return out
}

func (e *edge) memgatePort(port uint32) backendRef {
	ref := backendRef{Name: "memgate", Port: port}
	if e.Namespace != e.WorkloadNamespace {
		ref.Namespace = e.Namespace
	}
	return ref
}

func (e *edge) ownHTTPRoute(at meta) resource[httpRouteSpec] {
	at.Name = ownRoute
	rule := routeRule{BackendRefs: []backendRef{e.memgatePort(e.http)}}
	for _, o := range e.own() {
		for _, method := range o.methods {
			rule.Matches = append(rule.Matches, routeMatch{Path: pathMatch{"RegularExpression", o.regex}, Method: method})
		}
	}
	if rule.Matches == nil {
		// The policy has no own answers: a path that none of its routes can have, so
		// that memgate refuses it.
		rule.Matches = []routeMatch{{Path: pathMatch{"Exact", "/.memgate"}, Headers: []headerMatch{{"x-memgate-route", "none"}}}}
	}
	return resource[httpRouteSpec]{gatewayAPI + "/v1", "HTTPRoute", at, httpRouteSpec{
		ParentRefs: []parentRef{{e.Workload, "https"}}, Hostnames: e.Hosts, Rules: []routeRule{rule},
	}}
}

func (e *edge) wasmPolicy(at meta, targets []targetRef) resource[extensionSpec] {
	image := &wasmImage{URL: strings.TrimPrefix(e.Wasm, "oci://"), SHA256: e.WasmSHA256}
	if e.PullSecret != "" {
		image.PullSecretRef = &targetRef{Kind: "Secret", Name: e.PullSecret}
	}
	code := wasmCode{Type: "Image", Image: image}
	if strings.HasPrefix(e.Wasm, "http://") || strings.HasPrefix(e.Wasm, "https://") {
		image.PullSecretRef = nil
		code = wasmCode{Type: "HTTP", HTTP: image}
	}
	config := pluginConfig{Cluster: "httproute/" + e.WorkloadNamespace + "/" + ownRoute + "/rule/0", Headers: "pass"}
	if e.HoldHeaders {
		config.Headers = ""
	}
	return resource[extensionSpec]{envoyAPI + "/v1alpha1", "EnvoyExtensionPolicy", at, extensionSpec{
		TargetRefs: targets,
		Wasm: []egWasm{{
			Name: "memgate", RootID: "memgate", Code: code,
			Config: config,
		}},
	}}
}

func (e *edge) clientTraffic(at meta, targets []targetRef) resource[clientTrafficSpec] {
	spec := clientTrafficSpec{
		TargetRefs: targets,
		TLS: &egTLS{MinVersion: "1.2", ALPNProtocols: []string{"h2", "http/1.1"}, Ciphers: []string{
			"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
			"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		}},
		Path: egPath{EscapedSlashesAction: "RejectRequest"},
		Headers: egHeaders{
			"RejectRequest", "Generate", egHeader{[]headerMatch{{"X-Request-Id", "%REQ(X-REQUEST-ID)%"}}}, egXFCC{Mode: "Sanitize"},
		},
		Timeout: egTimeouts{egHTTPTimeouts{
			RequestReceivedTimeout: "1m", RequestHeadersReceivedTimeout: "10s", IdleTimeout: "15m", StreamIdleTimeout: "5m",
		}},
		// The content filter holds a whole body in what Envoy buffers.
		Connection: egClientConnections{BufferLimit: quantity(int64(render.BodyLimit(e.policy)))},
		HTTP2:      egHTTP2{"64Ki", "1Mi", 100},
	}
	spec.Connection.ConnectionLimit.Value = e.policy.Envoy.MaxConnections
	if hops := e.policy.Envoy.TrustedHops; hops > 0 {
		spec.ClientIPDetection = new(clientIP)
		spec.ClientIPDetection.XForwardedFor.NumTrustedHops = hops
	}
	if e.ClientCASecret != "" {
		spec.TLS.ClientValidation = &egValidation{CACertificateRefs: []targetRef{{Kind: "Secret", Name: e.ClientCASecret}}}
		spec.Headers.XForwardedClientCert = egXFCC{"SanitizeSet", []string{"Subject", "DNS", "URI"}}
	}
	if t := e.policy.Envoy.TLS; t != nil && t.HTTP3 {
		spec.HTTP3 = new(struct{})
	}
	return resource[clientTrafficSpec]{envoyAPI + "/v1alpha1", "ClientTrafficPolicy", at, spec}
}

func (e *edge) backendTraffic(at meta, targets []targetRef) resource[backendTrafficSpec] {
	most := e.policy.Envoy.MaxConnections
	spec := backendTrafficSpec{
		TargetRefs:     targets,
		CircuitBreaker: egBreaker{most, most, most},
		Connection:     egBackendBuffer{"32Ki"},
		Retry:          egRetry{NumRetries: 1},
		Timeout:        egTimeouts{egHTTPTimeouts{RequestTimeout: gatewayDuration(time.Duration(e.policy.Upstream.Timeout))}},
	}
	spec.Retry.RetryOn.Triggers = []string{"connect-failure", "refused-stream", "reset-before-request"}
	return resource[backendTrafficSpec]{envoyAPI + "/v1alpha1", "BackendTrafficPolicy", at, spec}
}

// gatewayDuration is d as the Gateway API writes it (GEP-2257): whole units, no
// fractions.
func gatewayDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var out strings.Builder
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.length; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, u.name)
			d -= n * u.length
		}
	}
	return out.String()
}

// quantity is a number of bytes as Kubernetes writes it.
func quantity(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 20, "Mi"}, {1 << 10, "Ki"}} {
		if n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprint(n)
}
