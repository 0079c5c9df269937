package upgrade

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
)

// suite outlives the phases: what a phase starts is still needed after it.
var suite harness.T

func TestMain(m *testing.M) { harness.Main(m, func(t harness.T) { suite = t }) }

// envoy is an Envoy that can be replaced by another one while it serves, which
// takes over its port (hot restart).
type envoy struct {
	*harness.Process
	url, config, dir, admin string
	epoch                   int
}

func startEnvoy(t *testing.T, b *bootstrapv3.Bootstrap) *envoy {
	t.Helper()
	// The port must be known: a new Envoy finds it by its number.
	address := harness.FreeAddress(t)
	host, port, _ := strings.Cut(address, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	at := func(port uint64) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}}}
	}
	b.StaticResources.Listeners[0].Address, b.Admin.Address = at(n), at(0)
	text, err := render.YAML(b)
	if err != nil {
		t.Fatal(err)
	}
	e := &envoy{url: "http://" + address, dir: suite.TempDir()}
	e.config = filepath.Join(e.dir, "envoy.yaml")
	if err := os.WriteFile(e.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	e.start(t, "--use-dynamic-base-id", "--base-id-path", filepath.Join(e.dir, "base-id"))
	return e
}

func (e *envoy) start(t *testing.T, args ...string) {
	t.Helper()
	program, err := harness.EnvoyPath()
	if err != nil {
		t.Fatal(err)
	}
	e.admin = filepath.Join(e.dir, fmt.Sprint("admin-", e.epoch))
	e.Process = harness.Start(suite, fmt.Sprint("envoy-", e.epoch), nil, program, append([]string{
		"--config-path", e.config, "--admin-address-path", e.admin, "--concurrency", "2",
		"--drain-time-s", "2", "--parent-shutdown-time-s", "4", "--log-level", "warning", "--log-format", "%L %n: %v"}, args...)...)
	harness.Eventually(t, func() error {
		if !e.Running() {
			t.Fatalf("Envoy has ended:\n%s", e.Log(4<<10))
		}
		address, err := os.ReadFile(e.admin)
		if err != nil {
			return err
		}
		r, err := http.Get("http://" + string(address) + "/ready")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if text, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", text)
		}
		return nil
	})
}

// replace starts a new Envoy with another filter in place of the one that runs,
// and waits until that has ended by itself.
func (e *envoy) replace(t *testing.T, wasm string) {
	t.Helper()
	id, err := os.ReadFile(filepath.Join(e.dir, "base-id"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.config, []byte(strings.Replace(string(text), harness.Wasm(t), wasm, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	old := e.Process
	e.epoch++
	e.start(t, "--base-id", strings.TrimSpace(string(id)), "--restart-epoch", strconv.Itoa(e.epoch))
	if code := old.Exit(); code != 0 {
		t.Errorf("the old Envoy ended with %d\n%s", code, old.Log(4<<10))
	}
}

// newerWasm builds the filter once more, so that it is another file.
func newerWasm(t *testing.T) string {
	t.Helper()
	path := filepath.Join(suite.TempDir(), "newer.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w -buildid=newer", "-o", path, "./wasm")
	cmd.Dir = harness.Root()
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
