//go:build mesh

package mesh

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// proxy is an Envoy that takes its whole configuration from pilot.
func proxy(t *testing.T, pilot, kind, pod, namespace, labels string) *harness.Envoy {
	t.Helper()
	path, err := harness.EnvoyPath()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(pilot, ":")
	dir := t.TempDir()
	config, admin := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	text := fmt.Sprintf(`
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
`, kind, pod, namespace, labels, host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &harness.Envoy{Process: harness.Start(t, "envoy", nil, path,
		"--config-path", config, "--admin-address-path", admin,
		"--base-id-path", filepath.Join(dir, "base-id"), "--use-dynamic-base-id", "--concurrency", "1",
		"--log-level", "warning", "--component-log-level", "wasm:info")}
	harness.Eventually(t, func() error {
		address, err := os.ReadFile(admin)
		if err != nil {
			return err
		}
		e.Admin = "http://" + string(address)
		client := http.Client{Timeout: 5 * time.Second}
		r, err := client.Get(e.Admin + "/ready")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		if r.StatusCode != 200 {
			return fmt.Errorf("envoy: %s %s", r.Status, text)
		}
		return nil
	})
	return e
}
