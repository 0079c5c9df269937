// Package upgrade changes every part of a running system under load: the policy,
// the content filter, memgate, one instance and two, and the service. No request is
// answered wrongly or let through without authorization meanwhile; how many
// failed is printed.
package upgrade

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

const scopes = "memory:read memory:write"

func TestUpgrade(t *testing.T) {
	s := harness.StartServices(t, func(yaml string) string {
		return replace(t, yaml, "{ write: 60/m, read: 120/m }", "{ write: 600000/m, read: 600000/m }")
	})
	second := startSecond(t, s)
	token := s.Token("acme", scopes)
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := render.Envoy(p)
	if err != nil {
		t.Fatal(err)
	}
	both(t, bootstrap, second)
	e := startEnvoy(t, bootstrap)

	create := harness.Do(t, e.url, harness.Request{Method: "POST", Path: "/api/v2/agents", Body: `{"agent_id":"helper","pattern":"tool"}`,
		Header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	if create.Status >= 300 {
		t.Fatalf("%d %s", create.Status, create.Body)
	}
	note := `{"content":"Write to ` + email + `","type":"fact"}`
	typed := func(credential string) map[string]string {
		h := map[string]string{"Content-Type": "application/json"}
		if credential != "" {
			h["Authorization"] = "Bearer " + credential
		}
		return h
	}
	l := startLoad(e.url, []caller{
		{name: "writer", method: "POST", path: path, header: typed(token), body: note, want: create200(t, e.url, token, note)},
		{name: "reader", method: "GET", path: "/api/v2/agents", header: typed(token), want: 200},
		{name: "stranger", method: "POST", path: path, header: typed(""), body: note, want: 401, problem: "unauthenticated"},
		{name: "forger", method: "POST", path: path, header: typed(token[:len(token)-8] + "AAAAAAAA"), body: note, want: 401, problem: "invalid-credentials"},
		{name: "reader who writes", method: "POST", path: path, header: typed(s.Token("acme", "memory:read")), body: note, want: 403, problem: "forbidden"},
	})
	end := sync.OnceFunc(l.end)
	t.Cleanup(end)

	l.during(t, "nothing changes", func(*testing.T) {})
	l.during(t, "the policy, ten times", func(t *testing.T) {
		first := s.Policy()
		other := replace(t, first, "request: { default: redact }", "request: { default: redact, EMAIL_ADDRESS: mask }")
		for i := range 10 {
			// The two do not change at the same moment: a request that one has
			// decided by the new policy must not fail by the other.
			text := []string{other, first}[i%2]
			reloaded(t, s.MemgateHTTP, func() { s.WritePolicy(text) })
			reloaded(t, "http://"+second.http, func() { second.write(t, s, text) })
		}
	})
	l.during(t, "the service is restarted", func(*testing.T) {
		l.restarting.Store(true)
		s.Backend.Stop()
		s.StartBackend()
	})
	l.restarting.Store(false)
	l.during(t, "two memgates, one after the other", func(t *testing.T) {
		s.Memgate.Stop()
		s.StartMemgate()
		second.stop()
		second.start(t)
	})
	l.during(t, "both memgates at once", func(t *testing.T) {
		s.Memgate.Stop()
		second.stop()
		s.StartMemgate()
		second.start(t)
	})
	l.during(t, "Envoy, with a newer filter", func(t *testing.T) { e.replace(t, newerWasm(t)) })

	end()
	e.Stop()
	s.Memgate.Stop()
	second.stop()
	missing := l.unaudited(t, filepath.Join(s.Dir, "audit.log"), filepath.Join(s.Dir, "audit-2.log"))
	fmt.Printf("upgrade: answered and not in the audit log: %v of %d\n", missing, len(l.ids))

	// Nothing of what must be redacted has reached the service.
	held := s.Held(t, "acme", "POST", "/api/v2/agents/helper/recall", `{"query":"write"}`)
	if strings.Contains(held, email) || !strings.Contains(held, "Write to ") {
		t.Errorf("the service holds %.300s", held)
	}
}

// create200 sends a note once and returns the status that the service gives it.
func create200(t *testing.T, url, token, note string) int {
	t.Helper()
	r := harness.Do(t, url, harness.Request{Method: "POST", Path: path, Body: note,
		Header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
	if r.Status != 200 && r.Status != 201 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	return r.Status
}

// replace replaces what must be there.
func replace(t harness.T, text, old, changed string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the policy does not hold %q any more", old)
	}
	return strings.Replace(text, old, changed, 1)
}

// instance is a second memgate, which shares keys and state with the first.
type instance struct {
	*harness.Process
	config, grpc, http string
}

func startSecond(t *testing.T, s *harness.Stack) *instance {
	t.Helper()
	i := &instance{config: filepath.Join(s.Dir, "second.yaml"), grpc: harness.FreeAddress(t), http: harness.FreeAddress(t)}
	i.write(t, s, s.Policy())
	i.start(t)
	return i
}

// write gives the instance a policy of the first, with addresses and an audit log
// of its own.
func (i *instance) write(t *testing.T, s *harness.Stack, yaml string) {
	t.Helper()
	yaml = replace(t, yaml, s.MemgateGRPC, i.grpc)
	yaml = replace(t, yaml, strings.TrimPrefix(s.MemgateHTTP, "http://"), i.http)
	yaml = replace(t, yaml, `audit: { file: audit.log, key: "file:audit.key" }`, `audit: { file: audit-2.log, key: "file:audit-2.key" }`)
	if err := os.WriteFile(i.config+".new", []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(i.config+".new", i.config); err != nil {
		t.Fatal(err)
	}
}

// reloaded waits until a change of the policy is in force.
func reloaded(t *testing.T, memgate string, change func()) {
	t.Helper()
	count := func() string {
		text := harness.Do(t, memgate, harness.Request{Path: "/metrics"}).Body
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, `memgate_policy_reloads_total{result="success"}`) {
				return line
			}
		}
		t.Fatalf("no metric of reloads in %s", text)
		return ""
	}
	before := count()
	change()
	harness.Eventually(t, func() error {
		if count() == before {
			return errors.New("the policy is not in force")
		}
		return nil
	})
}

func (i *instance) start(t *testing.T) {
	t.Helper()
	i.Process = harness.Start(suite, "memgate-2", nil, harness.Memgate(t), "serve", "--config", i.config)
	i.WaitReady("http://" + i.http + "/readyz")
}

func (i *instance) stop() { i.Process.Stop() }

// both gives the clusters of memgate a second address, as a name has that stands
// for two instances.
func both(t *testing.T, b *bootstrapv3.Bootstrap, second *instance) {
	t.Helper()
	for _, c := range b.StaticResources.Clusters {
		address, ok := map[string]string{render.ClusterGRPC: second.grpc, render.ClusterHTTP: second.http}[c.Name]
		if !ok {
			continue
		}
		host, text, _ := net.SplitHostPort(address)
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		endpoints := c.LoadAssignment.Endpoints[0]
		more := proto.Clone(endpoints.LbEndpoints[0]).(*endpointv3.LbEndpoint)
		more.GetEndpoint().Address = &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}}}
		endpoints.LbEndpoints = append(endpoints.LbEndpoints, more)
	}
}
