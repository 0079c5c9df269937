//go:build mesh

// Package mesh tests what is rendered for meshes on what the meshes make of it: the
// objects go through Istio's own translation (pilot, without a cluster) to a real
// Envoy, in a sidecar and in a gateway.
package mesh

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

// host is the gateway's name.
const host = "api.example.com"

// rendering is what memgate render istio writes for a running system.
type rendering struct {
	files map[string][]byte
	// Where memgate and the protected service listen. Their services have other
	// ports, as a sidecar listens on those itself.
	grpc, http, port int
	service          int // port of the protected service in the cluster
}

// rendered writes a system's policy for Istio. Where the system listens on loopback
// the objects say what a pod would: all addresses.
func rendered(t *testing.T, s *harness.Stack, edit func(*mesh.Options)) *rendering {
	t.Helper()
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	r := &rendering{files: make(map[string][]byte)}
	for _, a := range []struct {
		address *string
		port    *int
	}{{&p.Server.GRPC, &r.grpc}, {&p.Server.HTTP, &r.http}, {&p.Upstream.Address, &r.port}} {
		_, port, err := net.SplitHostPort(*a.address)
		if err != nil {
			t.Fatal(err)
		}
		if *a.port, err = strconv.Atoi(port); err != nil {
			t.Fatal(err)
		}
		*a.address = harness.FreeAddress(t)
		if a.port == &r.port {
			_, own, _ := strings.Cut(*a.address, ":")
			r.service, _ = strconv.Atoi(own)
		}
		*a.address = strings.Replace(*a.address, "127.0.0.1", "0.0.0.0", 1)
	}
	p.Envoy.TLSInFront = true
	o := mesh.Defaults()
	// Envoy reads the file itself: it is istio-agent that fetches images and URLs.
	o.Wasm, o.WasmSHA256, o.Policy = "file://"+harness.Wasm(t), strings.Repeat("0", 64), []byte("{}")
	if edit != nil {
		edit(&o)
	}
	files, err := mesh.Istio(p, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r.files[f.Name] = f.Text
	}
	return r
}

// objects are those of a file that keep returns, as text.
func objects(t *testing.T, text []byte, keep func(kind string, o map[string]any) bool) string {
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
			t.Fatal(err)
		}
		if kind, _ := o["kind"].(string); !keep(kind, o) {
			continue
		}
		one, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(one)
	}
}

// control runs pilot on the objects and returns its address. What a cluster would
// bring and loopback has not is taken out: mutual TLS, as there is no istio-agent
// that has certificates. more are objects that belong to the test's cluster.
func control(t *testing.T, r *rendering, more, kubernetes string) string {
	t.Helper()
	var values struct {
		MeshConfig yaml.Node `yaml:"meshConfig"`
	}
	if err := yaml.Unmarshal(r.files["mesh-config.yaml"], &values); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(&values.MeshConfig)
	if err != nil {
		t.Fatal(err)
	}
	spec := func(o map[string]any) map[string]any { return o["spec"].(map[string]any) }
	configs := objects(t, r.files["memgate-mesh.yaml"], func(kind string, o map[string]any) bool {
		if kind == "DestinationRule" {
			spec(o)["trafficPolicy"].(map[string]any)["tls"] = map[string]any{"mode": "DISABLE"}
		}
		return kind == "DestinationRule" || kind == "ServiceEntry"
	})
	configs += objects(t, r.files["edge.yaml"], func(kind string, o map[string]any) bool {
		if kind == "PeerAuthentication" {
			spec(o)["mtls"] = map[string]any{"mode": "DISABLE"}
		}
		return kind != "NetworkPolicy"
	})
	kubernetes += objects(t, r.files["memgate.yaml"], func(kind string, _ map[string]any) bool { return kind == "Service" })
	kubernetes += slice("memgate", "memgate", map[string]int{"grpc": r.grpc, "http": r.http})

	dir := t.TempDir()
	args := []string{}
	for name, content := range map[string]string{"mesh": string(text) + "\nenableAutoMtls: false\n", "objects": configs + more, "kubernetes": kubernetes} {
		path := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-"+name, path)
	}
	// Filters that only Istio's own build of Envoy has are left out.
	pilot := harness.Start(t, "pilot", []string{"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false"}, pilotPath(t), args...)
	pilot.WaitLog("pilot serves at ")
	_, rest, _ := strings.Cut(pilot.Log(0), "pilot serves at ")
	address, _, _ := strings.Cut(rest, "\n")
	return address
}

// pilotPath is Istio's translation, which make test-mesh builds from e2e/mesh/istio.
func pilotPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(harness.Root(), "build", "pilot")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no build/pilot, which make test-mesh builds: %v", err)
	}
	return path
}

// slice are a service's endpoints: processes of this machine.
func slice(name, namespace string, ports map[string]int) string {
	out := fmt.Sprintf(`---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: %[1]s-1, namespace: %[2]s, labels: { kubernetes.io/service-name: %[1]s } }
addressType: IPv4
endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }]
ports:
`, name, namespace)
	for name, port := range ports {
		out += fmt.Sprintf("- { name: %s, port: %d, protocol: TCP }\n", name, port)
	}
	return out
}

// workload is the protected service in the test's cluster.
func (r *rendering) workload() string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: orders }
spec:
  selector: { app: orders }
  clusterIP: 127.0.0.1
  ports: [{ name: http, port: %d, targetPort: http }]
`, r.service) + slice("orders", "orders", map[string]int{"http": r.port})
}
