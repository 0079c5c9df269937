package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/memgate/memgate/envoy/render"
)

// Envoy is a running Envoy.
type Envoy struct {
	*Process
	URL   string // of the edge, http://127.0.0.1:port, or https
	Addr  string // of the edge, 127.0.0.1:port
	Admin string // URL of the admin interface
}

// StartEnvoy runs Envoy with a bootstrap until the test ends. Listener and
// admin interface get free loopback ports, whatever the bootstrap says: Envoy
// chooses them.
func StartEnvoy(t T, bootstrap *bootstrapv3.Bootstrap) *Envoy {
	t.Helper()
	bootstrap = proto.Clone(bootstrap).(*bootstrapv3.Bootstrap)
	bootstrap.Admin.Address = anyPort()
	scheme := "http://"
	for _, l := range bootstrap.StaticResources.Listeners {
		protocol := l.GetAddress().GetSocketAddress().GetProtocol()
		l.Address = anyPort()
		l.Address.GetSocketAddress().Protocol = protocol
		if l.Name == edgeListener && l.FilterChains[0].TransportSocket != nil {
			scheme = "https://"
		}
	}
	text, err := render.YAML(bootstrap)
	if err != nil {
		t.Fatalf("%v", err)
	}
	e := new(Envoy)
	e.launch(t, text, func() error {
		e.Addr, err = e.listener(func(name, _ string) bool { return name == edgeListener })
		return err
	})
	e.URL = scheme + e.Addr
	return e
}

// launch runs Envoy by a configuration with an admin interface at port 0, and
// waits until it is ready, and so says ready.
func (e *Envoy) launch(t T, config []byte, ready func() error) {
	t.Helper()
	path, err := EnvoyPath()
	if err != nil {
		t.Fatalf("%v", err)
	}
	dir := t.TempDir()
	file, admin := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	e.Process = Start(t, "envoy", nil, path,
		"--config-path", file,
		"--admin-address-path", admin,
		"--base-id-path", filepath.Join(dir, "base-id"), "--use-dynamic-base-id",
		"--concurrency", "2",
		"--drain-time-s", "1", "--parent-shutdown-time-s", "2",
		"--log-level", "warning", "--component-log-level", "wasm:info",
		"--log-format", "%L %n: %v",
	)
	if err := poll(func() error { return e.isReady(admin, ready) }); err != nil {
		t.Fatalf("envoy is not ready: %v\n%s", err, e.Log(logTail))
	}
}

// isReady finds the admin interface by the file that Envoy writes its address to, and
// fails unless Envoy says that it is ready, and so does ready.
func (e *Envoy) isReady(admin string, ready func() error) error {
	if !e.Running() {
		return errEnded
	}
	address, err := os.ReadFile(admin)
	if err != nil {
		return err
	}
	e.Admin = "http://" + string(address)
	if err := answers(e.Admin + "/ready"); err != nil {
		return err
	}
	return ready()
}

// anyPort lets Envoy choose a port on loopback.
func anyPort() *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       "127.0.0.1",
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
	}}}
}

// edgeListener is the name of the listener that requests go to.
const edgeListener = "edge"

// Listener is the host:port of another listener than the edge.
func (e *Envoy) Listener(name string) string {
	e.t.Helper()
	address, err := e.listener(func(listener, _ string) bool { return listener == name })
	if err != nil {
		e.t.Fatalf("envoy: %v", err)
	}
	return address
}

// listener asks Envoy where a listener is, by its name or its host:port.
func (e *Envoy) listener(is func(name, address string) bool) (string, error) {
	text, err := e.admin("/listeners?format=json")
	if err != nil {
		return "", err
	}
	var answer struct {
		Listeners []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint32 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return "", err
	}
	for _, l := range answer.Listeners {
		port := l.Local.Socket.Port
		if address := net.JoinHostPort(l.Local.Socket.Address, strconv.Itoa(int(port))); port != 0 && is(l.Name, address) {
			return address, nil
		}
	}
	return "", fmt.Errorf("no such listener in %s", text)
}

func (e *Envoy) admin(path string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(e.Admin + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", path, response.Status)
	}
	return string(text), err
}

// Stat returns a counter or gauge of Envoy, 0 if it does not exist.
func (e *Envoy) Stat(name string) int {
	e.t.Helper()
	text, err := e.admin("/stats?filter=^" + strings.ReplaceAll(name, ".", "\\.") + "$")
	if err != nil {
		e.t.Fatalf("envoy: %v", err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(text), ": ")
	n, _ := strconv.Atoi(value)
	return n
}
