//go:build mesh

package mesh

import (
	"fmt"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render/mesh"
)

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// sidecar runs the edge in a sidecar's Envoy.
func sidecar(t *testing.T, hold bool) *edge {
	s := harness.StartServices(t, nil)
	r := rendered(t, s, func(o *mesh.Options) { o.HoldHeaders = hold })
	if hold {
		localFilter(t, r)
	}
	inbound := harness.FreeAddress(t)
	more := fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: orders, namespace: orders }
spec:
  workloadSelector: { labels: { app: orders } }
  ingress:
  - { port: { number: %s, protocol: HTTP, name: http }, bind: 127.0.0.1, defaultEndpoint: "127.0.0.1:%d" }
  egress:
  - { hosts: ["*/*"] }
`, port(inbound), r.port)
	pilot := control(t, r, more, r.workload())
	e := &edge{Stack: s, url: "http://orders.orders", client: client(inbound), holds: hold}
	s.Envoy = proxy(t, pilot, "sidecar", "orders-1", "orders", "app: orders")
	return e
}

// localFilter has an EnvoyFilter's content filter read from a file, as istio-agent,
// which fetches it, is not there.
func localFilter(t *testing.T, r *rendering) {
	t.Helper()
	text := string(r.files["edge.yaml"])
	i := strings.Index(text, "                remote:")
	if i < 0 {
		i = strings.Index(text, "remote:")
		i = strings.LastIndexByte(text[:i], '\n') + 1
	}
	indent := len(text[i:]) - len(strings.TrimLeft(text[i:], " "))
	end := i
	for first := true; end < len(text); first = false {
		line, _, _ := strings.Cut(text[end:], "\n")
		if !first && len(line)-len(strings.TrimLeft(line, " ")) <= indent {
			break
		}
		end += len(line) + 1
	}
	r.files["edge.yaml"] = []byte(text[:i] + strings.Repeat(" ", indent) + "local: { filename: " + harness.Wasm(t) + " }\n" + text[end:])
}

func TestSidecar(t *testing.T)          { suite(t, sidecar(t, false)) }
func TestSidecarThatHolds(t *testing.T) { suite(t, sidecar(t, true)) }
func TestGateway(t *testing.T)          { suite(t, gateway(t, false)) }
func TestGatewayThatHolds(t *testing.T) { suite(t, gateway(t, true)) }

// gateway runs the edge in the Envoy of an ingress gateway. Its TLS is taken out:
// pilot gives certificates only to a proxy that has proven who it is.
func gateway(t *testing.T, hold bool) *edge {
	s := harness.StartServices(t, nil)
	r := rendered(t, s, func(o *mesh.Options) { o.At, o.HoldHeaders, o.Hosts = mesh.Gateway, hold, []string{host} })
	if hold {
		localFilter(t, r)
	}
	secure, plain := harness.FreeAddress(t), harness.FreeAddress(t)
	text := string(r.files["edge.yaml"])
	for rendered, here := range map[string]string{"number: 443": port(secure), "number: 80": port(plain)} {
		if strings.Count(text, rendered+"\n") != 1 {
			t.Fatalf("%q is not once in what is rendered:\n%s", rendered, text)
		}
		text = strings.Replace(text, rendered+"\n", "number: "+here+"\n", 1)
	}
	r.files["edge.yaml"] = []byte(objects(t, []byte(text), func(kind string, o map[string]any) bool {
		if kind == "Gateway" {
			for _, server := range o["spec"].(map[string]any)["servers"].([]any) {
				server := server.(map[string]any)
				server["bind"] = "127.0.0.1"
				if p := server["port"].(map[string]any); p["protocol"] == "HTTPS" {
					p["protocol"] = "HTTP"
					delete(server, "tls")
				}
			}
		}
		return true
	}))
	pilot := control(t, r, "", r.workload())
	e := &edge{Stack: s, url: "http://" + host, client: client(secure), holds: hold, routes: true}
	s.Envoy = proxy(t, pilot, "router", "ingress-1", "istio-ingress", "istio: ingress")

	// memgate decides before Istio's gateway redirects: plain HTTP reaches nothing.
	t.Run("plain HTTP", func(t *testing.T) {
		unsafe := &edge{Stack: s, url: "http://" + host, client: client(plain)}
		token := map[string]string{"Authorization": "Bearer " + s.Token("acme", scopes)}
		harness.Eventually(t, func() error {
			a, err := unsafe.send("GET", "/api/v2/agents", token, "")
			if err != nil || a.status != 301 || !strings.HasPrefix(a.header.Get("Location"), "https://"+host) {
				return fmt.Errorf("%v %d %v", err, a.status, a.header)
			}
			return nil
		})
		want(t, "without a credential", unsafe.do(t, "GET", "/api/v2/agents", "", ""), 401)
	})
	return e
}
