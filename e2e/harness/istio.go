package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

// Istio is an Envoy that Istio's own translation configures: pilot, which
// make test-mesh builds from e2e/mesh/istio, without a cluster.
type Istio struct {
	*Envoy
	Plain string // host:port of a gateway's listener for HTTP, which redirects
}

// IstioOptions say what [StartIstio] renders.
type IstioOptions struct {
	At          string   // mesh.Sidecar or mesh.Gateway
	HoldHeaders bool     // see mesh.Options
	Hosts       []string // of a gateway, all when nil
	More        string   // objects of Istio that the cluster has beside the rendered ones, as YAML
}

func istioEdge(at string, hold bool) edge {
	e := edge{
		envoy: func(t T, p *policy.Policy) *Envoy {
			t.Helper()
			return StartIstio(t, p, IstioOptions{At: at, HoldHeaders: hold}).Envoy
		},
		lacks: map[Feature]string{
			NoUpgrades: "Istio always lets Envoy switch to WebSocket",
			BeforeAuth: "they are of memgate's own Envoy",
		},
	}
	if at == mesh.Sidecar {
		e.lacks[OwnRoutes] = "a sidecar sends everything to its workload"
		e.lacks[ClientAddress] = "a sidecar believes the gateway of the mesh"
		e.lacks[NewRequestIDs] = "a sidecar believes the mesh, whose request ids it takes over"
	}
	if !hold {
		const no = ": with --hold-headers it is there"
		e.lacks[HeldHeaders] = "a WasmPlugin cannot hold them" + no
		e.lacks[ClientAddress] = "an extension provider cannot tell it" + no
		e.lacks[RawHeaders] = "an extension provider cannot ask for them" + no
		e.lacks[EnvoyAnswers] = "Istio has no object for them" + no
		e.lacks[StrictRequests] = "Istio has no object for them" + no
		e.lacks[OwnMutations] = "an extension provider cannot ask for them" + no
		if at == mesh.Sidecar {
			e.lacks[UpstreamTimeout] = "a VirtualService is of the callers of a sidecar" + no
		}
	}
	return e
}

// istioServices is where the parts of a system are on this machine. In the test's
// cluster their services have other ports, as a sidecar listens on those itself.
type istioServices struct {
	grpc, http, workload string // ports that are listened on
	port                 string // of the workload's service
}

// StartIstio runs Envoy with what Istio makes of a policy until the test ends.
//
// What a cluster would bring and loopback has not is taken out of the objects:
// mutual TLS and a gateway's certificates, which pilot gives only to a proxy that
// has proven who it is, and the fetching of the filter, which istio-agent does.
func StartIstio(t T, p *policy.Policy, o IstioOptions) *Istio {
	t.Helper()
	r := *p // the system itself keeps its addresses
	var at istioServices
	for _, a := range []struct {
		address *string
		port    *string
	}{{&r.Server.GRPC, &at.grpc}, {&r.Server.HTTP, &at.http}, {&r.Upstream.Address, &at.workload}} {
		*a.port = portOf(*a.address)
		at.port = portOf(FreeAddress(t))
		*a.address = "0.0.0.0:" + at.port
	}
	r.Envoy.TLSInFront = true
	options := mesh.Defaults()
	options.At, options.HoldHeaders, options.Hosts = o.At, o.HoldHeaders, o.Hosts
	if o.Hosts == nil {
		options.Hosts = []string{"*"}
	}
	options.Wasm, options.WasmSHA256, options.Policy = "file://"+p.Envoy.Wasm, strings.Repeat("0", 64), []byte("{}")
	files, err := mesh.Istio(&r, options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	texts := make(map[string][]byte)
	for _, f := range files {
		texts[f.Name] = f.Text
	}

	e := &Istio{Envoy: &Envoy{Addr: FreeAddress(t)}, Plain: FreeAddress(t)}
	e.URL = "http://" + e.Addr
	config := objects(t, texts["memgate-mesh.yaml"], func(kind string, spec map[string]any) bool {
		switch kind {
		case "DestinationRule":
			spec["trafficPolicy"].(map[string]any)["tls"] = map[string]any{"mode": "DISABLE"}
		case "PeerAuthentication":
			spec["mtls"] = map[string]any{"mode": "DISABLE"}
		}
		return true
	})
	config += objects(t, texts["edge.yaml"], func(kind string, spec map[string]any) bool {
		switch kind {
		case "Gateway":
			e.listen(spec)
		case "EnvoyFilter":
			if err := local(spec, p.Envoy.Wasm); err != nil {
				t.Fatalf("%v", err)
			}
		case "PeerAuthentication":
			spec["mtls"] = map[string]any{"mode": "DISABLE"}
		}
		return kind != "NetworkPolicy"
	})
	cluster := objects(t, texts["memgate.yaml"], func(kind string, _ map[string]any) bool { return kind == "Service" })
	cluster += slice("memgate", "memgate", map[string]string{"grpc": at.grpc, "http": at.http}) + at.service()
	kind, pod, namespace, labels := "router", "ingress-1", "istio-ingress", "istio: ingress"
	if o.At == mesh.Sidecar {
		kind, pod, namespace, labels = "sidecar", "orders-1", "orders", "app: orders"
		config += at.sidecar(e.Addr)
	}
	pilot := startPilot(t, texts["mesh-config.yaml"], config+o.More, cluster)
	e.startProxy(t, pilot, kind, pod, namespace, labels)
	return e
}

// listen puts a gateway's listeners on loopback, without TLS.
func (e *Istio) listen(spec map[string]any) {
	for _, server := range spec["servers"].([]any) {
		server := server.(map[string]any)
		server["bind"] = "127.0.0.1"
		port := server["port"].(map[string]any)
		port["number"], _ = strconv.Atoi(portOf(e.Plain))
		if port["protocol"] == "HTTPS" {
			port["number"], _ = strconv.Atoi(portOf(e.Addr))
			port["protocol"] = "HTTP"
			delete(server, "tls")
		}
	}
}

// local has an EnvoyFilter's content filter read from a file.
func local(spec map[string]any, file string) error {
	for _, p := range spec["configPatches"].([]any) {
		p := p.(map[string]any)
		if p["applyTo"] != "EXTENSION_CONFIG" {
			continue
		}
		var at any = p
		for _, member := range []string{"patch", "value", "typed_config", "config", "vm_config"} {
			at = at.(map[string]any)[member]
		}
		at.(map[string]any)["code"] = map[string]any{"local": map[string]any{"filename": file}}
		return nil
	}
	return errors.New("the rendered EnvoyFilter has no filter")
}

// service is the protected service in the test's cluster.
func (at *istioServices) service() string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: orders }
spec:
  selector: { app: orders }
  clusterIP: 127.0.0.1
  ports: [{ name: http, port: %s, targetPort: http }]
`, at.port) + slice("orders", "orders", map[string]string{"http": at.workload})
}

// sidecar has the workload's sidecar listen where requests go.
func (at *istioServices) sidecar(address string) string {
	return fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: orders, namespace: orders }
spec:
  workloadSelector: { labels: { app: orders } }
  ingress:
  - { port: { number: %s, protocol: HTTP, name: http }, bind: 127.0.0.1, defaultEndpoint: "127.0.0.1:%s" }
  egress:
  - { hosts: ["*/*"] }
`, portOf(address), at.workload)
}

// slice are a service's endpoints: processes of this machine.
func slice(name, namespace string, ports map[string]string) string {
	out := fmt.Sprintf(`---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: %[1]s-1, namespace: %[2]s, labels: { kubernetes.io/service-name: %[1]s } }
addressType: IPv4
endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }]
ports:
`, name, namespace)
	for name, port := range ports {
		out += fmt.Sprintf("- { name: %s, port: %s, protocol: TCP }\n", name, port)
	}
	return out
}

// objects are those of a file that keep returns, after its changes, as text.
func objects(t T, text []byte, keep func(kind string, spec map[string]any) bool) string {
	t.Helper()
	var out bytes.Buffer
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o map[string]any
		err := dec.Decode(&o)
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		kind, _ := o["kind"].(string)
		spec, _ := o["spec"].(map[string]any)
		if !keep(kind, spec) {
			continue
		}
		one, err := yaml.Marshal(o)
		if err != nil {
			t.Fatalf("%v", err)
		}
		out.WriteString("---\n")
		out.Write(one)
	}
}

// startPilot runs pilot on the objects and returns its address.
func startPilot(t T, values []byte, config, cluster string) string {
	t.Helper()
	path := filepath.Join(Root(), "build", "pilot")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no build/pilot, which make test-mesh builds: %v", err)
	}
	var chart struct {
		MeshConfig yaml.Node `yaml:"meshConfig"`
	}
	if err := yaml.Unmarshal(values, &chart); err != nil {
		t.Fatalf("%v", err)
	}
	text, err := yaml.Marshal(&chart.MeshConfig)
	if err != nil {
		t.Fatalf("%v", err)
	}
	dir := t.TempDir()
	var args []string
	for name, content := range map[string]string{"mesh": string(text) + "\nenableAutoMtls: false\n", "objects": config, "kubernetes": cluster} {
		path := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatalf("%v", err)
		}
		args = append(args, "-"+name, path)
	}
	// Filters that only Istio's own build of Envoy has are left out.
	pilot := Start(t, "pilot", []string{"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false"}, path, args...)
	pilot.WaitLog("pilot serves at ")
	_, rest, _ := strings.Cut(pilot.Log(0), "pilot serves at ")
	address, _, _ := strings.Cut(rest, "\n")
	return address
}

// startProxy runs an Envoy that takes its whole configuration from pilot.
func (e *Istio) startProxy(t T, pilot, kind, pod, namespace, labels string) {
	t.Helper()
	host, port, _ := strings.Cut(pilot, ":")
	e.launch(t, fmt.Appendf(nil, `
node:
  id: %[1]s~127.0.0.1~%[2]s.%[3]s~%[3]s.svc.cluster.local
  cluster: %[2]s.%[3]s
  metadata:
    NAMESPACE: %[3]s
    NAME: %[2]s
    CLUSTER_ID: Kubernetes
    INTERCEPTION_MODE: NONE
    SERVICE_ACCOUNT: default
    LABELS: { %[4]s }
    INSTANCE_IPS: 127.0.0.1
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
dynamic_resources:
  ads_config: { api_type: GRPC, transport_api_version: V3, grpc_services: [{ envoy_grpc: { cluster_name: xds-grpc } }], set_node_on_first_message_only: true }
  cds_config: { ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s }
  lds_config: { ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s }
static_resources:
  clusters:
  # As istio-agent's bootstrap names it: secrets come from there too.
  - name: xds-grpc
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    load_assignment:
      cluster_name: xds-grpc
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: %[5]s, port_value: %[6]s } } } }] }]
`, kind, pod, namespace, labels, host, port), func() error {
		_, err := e.listener(func(_, address string) bool { return address == e.Addr })
		return err
	})
}
