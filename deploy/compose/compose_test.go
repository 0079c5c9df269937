// Package compose tests docker-compose.yml for real: it builds the images,
// starts the containers, and drives the edge that they publish.
package compose

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// The routes are those of memgate.yaml, and the file is what make render writes.
func TestPolicyHasTheRoutesOfMemgateYAML(t *testing.T) {
	_, routes, found := strings.Cut(read(t, filepath.Join(root, "memgate.yaml")), "\nroutes:")
	if !found {
		t.Fatal("memgate.yaml has no routes")
	}
	if read(t, "memgate.yaml") != read(t, "head.yaml")+"routes:"+routes {
		t.Error("deploy/compose/memgate.yaml is stale: run make render")
	}
}

func TestCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: -short")
	}
	d := findEngine(t)
	d.haveEnvoyImage(t)
	key, port := start(t, d)
	edge := "http://127.0.0.1:" + port

	t.Run("works", func(t *testing.T) {
		expect(t, edge, "POST", "/api/v2/agents", "", `{"agent_id":"helper","pattern":"tool"}`, http.StatusUnauthorized, "urn:memgate:problem:")
		expect(t, edge, "POST", "/api/v2/agents", key, `{"agent_id":"helper","pattern":"tool"}`, http.StatusCreated, "helper")
		expect(t, edge, "POST", "/api/v2/agents/helper/remember", key,
			`{"content":"Releases leave on Thursdays, ask jane.doe@example.com","type":"fact"}`, http.StatusOK, "")
		expect(t, edge, "POST", "/api/v2/agents/helper/recall", key, `{"query":"when do releases leave?"}`, http.StatusOK, "[EMAIL_ADDRESS]")
	})
	t.Run("audit lines reach the container's log", func(t *testing.T) {
		deadline := time.Now().Add(20 * time.Second)
		for !strings.Contains(d.up(t, "logs", "memgate"), `"remember"`) {
			if time.Now().After(deadline) {
				t.Fatal("no audit line names the route remember")
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	for _, service := range []string{"envoy", "memgate", "memory-backend"} {
		t.Run(service+" has no privileges", func(t *testing.T) { checkPrivileges(t, d, service, port) })
	}
	kept, ended := activate(t, edge, key), activate(t, edge, key)
	t.Run("a session ends by command", func(t *testing.T) {
		usable(t, edge, ended, http.StatusOK)
		d.up(t, "exec", "-T", "memgate", "/memgate", "revoke", "session", "--config", "/etc/memgate/memgate.yaml", ended.ID)
		usable(t, edge, ended, http.StatusUnauthorized)
	})
	t.Run("memories, sessions and revocations survive a new container", func(t *testing.T) {
		d.up(t, "up", "--detach", "--force-recreate")
		waitHealthy(t, d)
		usable(t, edge, kept, http.StatusOK)
		usable(t, edge, ended, http.StatusUnauthorized)
		expect(t, edge, "POST", "/api/v2/agents/helper/recall", key, `{"query":"when do releases leave?"}`, http.StatusOK, "Thursdays")
	})
}

// start brings everything up and returns an API key and the edge's port.
func start(t *testing.T, d *docker) (key, port string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memgate.yaml"), []byte(read(t, "memgate.yaml")), 0o644); err != nil {
		t.Fatal(err)
	}
	printed := d.must(t, "deploy/compose/prepare.sh", dir)
	if key = regexp.MustCompile(`mg_\S+`).FindString(printed); key == "" {
		t.Fatalf("prepare.sh printed no API key:\n%s", printed)
	}
	port = freePort(t)
	d.env = append(d.env, "MEMGATE_PORT="+port, "COMPOSE_PROJECT_NAME=memgate-test-"+port,
		"MEMGATE_SECRETS="+filepath.Join(dir, "secrets"), "MEMGATE_STATE="+filepath.Join(dir, "state"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", d.tryCompose("ps"), d.tryCompose("logs"))
		}
		d.tryCompose("down", "--volumes", "--timeout", "10")
	})
	d.up(t, "up", "--build", "--detach")
	waitHealthy(t, d)
	return key, port
}

// waitHealthy waits until the health check of the edge succeeds, which it does
// only when all three services answer.
func waitHealthy(t *testing.T, d *docker) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		c := d.inspect(t, "envoy")
		if c.State.Health.Status == "healthy" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the edge is %s (%s)", c.State.Status, c.State.Health.Status)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// container is what docker inspect says, as far as it is checked.
type container struct {
	State struct {
		Status string
		Health struct{ Status string }
	}
	Config     struct{ User string }
	HostConfig struct {
		ReadonlyRootfs bool
		Privileged     bool
		CapDrop        []string
		CapAdd         []string
		SecurityOpt    []string
		Memory         int64
		PidsLimit      int64
	}
	NetworkSettings struct {
		Ports map[string][]struct{ HostIP, HostPort string }
	}
}

func (d *docker) inspect(t *testing.T, service string) container {
	t.Helper()
	id := strings.TrimSpace(d.up(t, "ps", "--quiet", service))
	var list []container
	if err := json.Unmarshal([]byte(d.must(t, "docker", "inspect", id)), &list); err != nil || len(list) != 1 {
		t.Fatalf("docker inspect %q: %d containers, %v", id, len(list), err)
	}
	return list[0]
}

func checkPrivileges(t *testing.T, d *docker, service, port string) {
	c := d.inspect(t, service)
	h := c.HostConfig
	if user, _, _ := strings.Cut(c.Config.User, ":"); user == "" || user == "0" || user == "root" {
		t.Errorf("runs as user %q", c.Config.User)
	}
	if !h.ReadonlyRootfs || h.Privileged {
		t.Errorf("read-only: %v, privileged: %v", h.ReadonlyRootfs, h.Privileged)
	}
	if !slices.Equal(h.CapDrop, []string{"ALL"}) || len(h.CapAdd) > 0 {
		t.Errorf("capabilities: dropped %v, added %v", h.CapDrop, h.CapAdd)
	}
	if !slices.Contains(h.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("security options: %v", h.SecurityOpt)
	}
	if h.Memory <= 0 || h.PidsLimit <= 0 {
		t.Errorf("limits: %d bytes, %d processes", h.Memory, h.PidsLimit)
	}
	published := 0
	for inner, outer := range c.NetworkSettings.Ports {
		for _, o := range outer {
			published++
			if service != "envoy" || inner != "8080/tcp" || o.HostIP != "127.0.0.1" || o.HostPort != port {
				t.Errorf("publishes %s on %s:%s", inner, o.HostIP, o.HostPort)
			}
		}
	}
	if service == "envoy" && published != 1 {
		t.Errorf("publishes %d ports", published)
	}
}

// session is what an activation answers.
type session struct {
	ID    string `json:"session_id"`
	Token string `json:"session_token"`
}

func activate(t *testing.T, edge, key string) (s session) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, edge+"/api/v2/agents/helper/activate", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil || s.Token == "" {
		t.Fatalf("activate: %s, %v", res.Status, err)
	}
	return s
}

// usable waits until a session is answered so.
func usable(t *testing.T, edge string, s session, want int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		req, err := http.NewRequest(http.MethodGet, edge+"/api/v2/agents/helper", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Session-Token", s.Token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a session is answered with %s, want %d", res.Status, want)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func expect(t *testing.T, edge, method, path, key, body string, status int, contains string) {
	t.Helper()
	req, err := http.NewRequest(method, edge+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status || !strings.Contains(string(got), contains) {
		t.Fatalf("%s %s: %s\n%s\nwant %d and %q", method, path, res.Status, got, status, contains)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
