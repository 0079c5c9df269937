package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

// EnvoyGateway is an Envoy that Envoy Gateway started and configured: its own
// server, which make test-mesh builds from e2e/mesh/gateway, without a cluster.
type EnvoyGateway struct {
	*Envoy
	Plain string // host:port of the listener for HTTP, which redirects

	server *gatewayServer
	name   string // of the gateway and its namespace
}

// EnvoyGatewayOptions say what [StartEnvoyGateway] renders. The zero value is an
// edge by plain HTTP for every host.
type EnvoyGatewayOptions struct {
	Refused     bool                                        // Envoy Gateway refuses an object
	HoldHeaders bool                                        // see mesh.Options
	Host        string                                      // the only one that is served
	TLS         string                                      // a Secret named edge-tls, with which the edge speaks HTTPS
	More        string                                      // objects beside the rendered ones, as YAML, with NAME for the gateway and its namespace
	Edit        func(kind string, spec map[string]any) bool // changes a rendered object, or takes it out
}

func envoyGatewayEdge(hold bool) edge {
	e := edge{
		envoy: func(t T, p *policy.Policy) *Envoy {
			t.Helper()
			return StartEnvoyGateway(t, p, EnvoyGatewayOptions{HoldHeaders: hold}).Envoy
		},
		lacks: map[Feature]string{NoUpgrades: "Envoy Gateway always lets Envoy switch to WebSocket"},
	}
	if !hold {
		const no = ": with --hold-headers it is there"
		e.lacks[HeldHeaders] = "an EnvoyExtensionPolicy cannot hold them" + no
		e.lacks[RawHeaders] = "a SecurityPolicy cannot ask for them" + no
		e.lacks[EnvoyAnswers] = "Envoy Gateway has no object for them" + no
		e.lacks[StrictRequests] = "Envoy Gateway does not bound headers" + no
		e.lacks[OwnMutations] = "a SecurityPolicy cannot ask for them" + no
		e.lacks[Findings] = "Envoy Gateway does not log a filter's state" + no
		e.lacks[ReloadedFilter] = "an EnvoyExtensionPolicy cannot ask for it" + no
	}
	return e
}

// StartEnvoyGateway runs an Envoy until the test ends, in front of the memgate and
// the service that a policy names.
//
// What a cluster would bring and this machine has not is put in its place: a Backend
// for each port of a Service, free ports, and a server with the filter.
func StartEnvoyGateway(t T, p *policy.Policy, o EnvoyGatewayOptions) *EnvoyGateway {
	t.Helper()
	server := useGatewayServer(t)
	e := &EnvoyGateway{Envoy: &Envoy{Addr: FreeAddress(t)}, Plain: FreeAddress(t), server: server, name: server.newName()}
	e.URL = "http://" + e.Addr
	if o.TLS != "" {
		e.URL = "https://" + e.Addr
	}
	r := *p // the system itself keeps its addresses
	for _, address := range []*string{&r.Server.GRPC, &r.Server.HTTP} {
		*address = "0.0.0.0:" + portOf(*address)
	}
	r.Envoy.TLSInFront = true
	// One namespace for all: outside a cluster Envoy Gateway 1.9 does not see of what kind
	// a policy is, so that no ReferenceGrant can name it.
	options := mesh.Defaults()
	options.HoldHeaders = o.HoldHeaders
	options.Namespace, options.Workload, options.WorkloadNamespace, options.Policy = e.name, e.name, e.name, []byte("{}")
	if o.Host != "" {
		options.Hosts = []string{o.Host}
	}
	options.Wasm, options.WasmSHA256 = serve(t, p.Envoy.Wasm)
	files, err := mesh.EnvoyGateway(&r, options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	dir := t.TempDir()
	admin, log := filepath.Join(dir, "admin"), filepath.Join(dir, "envoy.log")
	var text string
	for _, f := range files {
		if f.Name != "edge.yaml" {
			continue
		}
		text = objects(t, f.Text, func(kind string, spec map[string]any) bool {
			e.place(kind, spec, o)
			if kind == "EnvoyProxy" {
				spec["extraArgs"] = []string{"--disable-hot-restart", "--admin-address-path", admin, "--log-path", log, "--log-format", "%L %n: %v"}
			}
			return kind != "NetworkPolicy" && (o.Edit == nil || o.Edit(kind, spec))
		})
	}
	for name, address := range map[string]string{"memgate-" + portOf(p.Server.GRPC): p.Server.GRPC, "memgate-" + portOf(p.Server.HTTP): p.Server.HTTP, e.name + "-" + portOf(p.Upstream.Address): p.Upstream.Address} {
		text += e.backend(name, address)
	}
	before := len(server.Log(0))
	server.apply(t, e.name, text+strings.ReplaceAll(o.TLS+o.More, "NAME", e.name))
	e.wait(t, admin, log)
	// It logs what a cluster would see of each object. A gateway has no address here.
	status := strings.ReplaceAll(server.Log(0)[before:], "AddressNotAssigned\n  status: \"False\"", "")
	switch at := strings.Index(status, `status: "False"`); {
	case o.Refused && at < 0:
		t.Fatalf("Envoy Gateway refuses none of the objects:\n%s", status)
	case !o.Refused && at >= 0:
		t.Fatalf("Envoy Gateway refuses an object:\n%s", status[max(0, at-1024):at])
	}
	return e
}

// serve serves the filter, and returns its URL and hash.
func serve(t T, file string) (url, hash string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	sum := sha256.Sum256(text)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	t.Cleanup(registry.Close)
	return registry.URL + "/memgate.wasm", hex.EncodeToString(sum[:])
}

// place puts what this machine has in the place of what a cluster has.
func (e *EnvoyGateway) place(kind string, spec map[string]any, o EnvoyGatewayOptions) {
	switch kind {
	case "Gateway":
		for _, l := range spec["listeners"].([]any) {
			l := l.(map[string]any)
			if l["protocol"] == "HTTP" {
				l["port"], _ = strconv.Atoi(portOf(e.Plain))
				continue
			}
			l["port"], _ = strconv.Atoi(portOf(e.Addr))
			if o.TLS == "" {
				l["protocol"] = "HTTP"
				delete(l, "tls")
			}
		}
	case "EnvoyProxy":
		spec["provider"] = map[string]any{"type": "Host", "host": map[string]any{"envoyVersion": "1.40.0"}}
		spec["concurrency"] = 2
		spec["logging"] = map[string]any{"level": map[string]any{"default": "warn", "wasm": "info"}}
	case "HTTPRoute":
		if o.Host == "" {
			delete(spec, "hostnames")
		}
	}
	refer(spec)
}

// refer has each reference to a port of a Service refer to its Backend.
func refer(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if list, ok := member.([]any); ok && name == "backendRefs" {
				for _, ref := range list {
					ref := ref.(map[string]any)
					ref["name"] = fmt.Sprint(ref["name"], "-", ref["port"])
					ref["group"], ref["kind"] = "gateway.envoyproxy.io", "Backend"
					delete(ref, "port")
				}
			}
			refer(member)
		}
	case []any:
		for _, member := range v {
			refer(member)
		}
	}
}

// backend is a port of a Service, which is a process of this machine.
func (e *EnvoyGateway) backend(name, address string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: { name: %s, namespace: %s }
spec: { endpoints: [{ ip: { address: 127.0.0.1, port: %s } }] }
`, name, e.name, portOf(address))
}

// wait waits until Envoy Gateway has started an Envoy, and that listens.
func (e *EnvoyGateway) wait(t T, admin, log string) {
	t.Helper()
	err := poll(func() error {
		if e.Process == nil {
			if e.Process = adopt(t, "envoy", admin, log); e.Process == nil {
				return errors.New("Envoy Gateway has not started it")
			}
		}
		if !e.server.Running() {
			return errEnded
		}
		return e.isReady(admin, func() error {
			_, err := e.listener(func(_, address string) bool { return portOf(address) == portOf(e.Addr) })
			return err
		})
	})
	if err != nil {
		t.Fatalf("envoy is not ready: %v\n%s", err, e.server.Log(logTail))
	}
}

// gatewayServer is a running Envoy Gateway, which all edges of a suite share: its
// ports are fixed.
type gatewayServer struct {
	*Process
	dir string

	mu    sync.Mutex
	names int
}

var shared struct {
	mu     sync.Mutex
	users  int
	server *gatewayServer
	life   *suite // of the server
}

// useGatewayServer starts Envoy Gateway, if no other edge has, and ends it after
// the last one.
func useGatewayServer(t T) *gatewayServer {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		shared.life = new(suite)
		shared.server = startGatewayServer(t, shared.life)
	}
	shared.users++
	server := shared.server
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- log of envoy-gateway ---\n%s", server.Log(logTail))
		}
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.users--; shared.users == 0 {
			shared.life.end()
			shared.server, shared.life = nil, nil
		}
	})
	return server
}

func startGatewayServer(t T, life *suite) *gatewayServer {
	t.Helper()
	if links, err := net.Interfaces(); err != nil || len(links) != 1 {
		t.Fatalf("Envoy Gateway has fixed ports: run the tests with go test -exec %s", filepath.Join(Root(), "tools", "private.sh"))
	}
	binary := filepath.Join(Root(), "build", "envoy-gateway")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no build/envoy-gateway, which make test-mesh builds: %v", err)
	}
	envoy, err := EnvoyPath()
	if err == nil {
		envoy, err = filepath.EvalSymlinks(envoy)
	}
	if err == nil {
		envoy, err = filepath.Abs(envoy)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &gatewayServer{dir: life.TempDir()}
	script := filepath.Join(Root(), "e2e", "mesh", "gateway", "serve.sh")
	s.Process = Start(life, "envoy-gateway", nil, "unshare", "--mount", script, binary, envoy, s.dir)
	err = poll(func() error {
		if !s.Running() {
			return errEnded
		}
		return answers("http://127.0.0.1:8081/readyz")
	})
	if err != nil {
		text := s.Log(logTail)
		life.end()
		t.Fatalf("Envoy Gateway is not ready: %v\n%s", err, text)
	}
	return s
}

// newName is a name that no edge had.
func (s *gatewayServer) newName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names++
	return "edge" + strconv.Itoa(s.names)
}

// apply gives the server objects, all at once, until the test ends.
func (s *gatewayServer) apply(t T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, "objects", name+".yaml")
	part := filepath.Join(s.dir, "objects", "."+name) // which it does not read
	err := os.WriteFile(part, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Logf("%v", err)
		}
	})
}

// adopt is the process that was started with an argument, nil while there is none.
// It ends with the test.
func adopt(t T, name, argument, log string) *Process {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, line := range lines {
		text, err := os.ReadFile(line)
		if err != nil || !strings.Contains(string(text), "\x00"+argument+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		if err != nil {
			continue
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		p := &Process{name: name, t: t, log: log, cmd: &exec.Cmd{Process: process}, done: make(chan struct{})}
		go p.watch()
		t.Cleanup(p.end)
		return p
	}
	return nil
}
