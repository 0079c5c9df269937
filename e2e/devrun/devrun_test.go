// Package devrun does what a user does on a machine of their own: starts the
// whole system with one command, pastes what it prints, and uses the command
// line.
package devrun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// ready ends the text that memgate dev prints when all is up.
const ready = "Ctrl-C ends everything."

// machine is a folder with a policy file whose ports are free.
type machine struct {
	dir, config, port string
	upstream, http    string // addresses of the memory backend and of memgate
	env               []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	envoy, err := harness.EnvoyPath()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{dir: t.TempDir(), upstream: harness.FreeAddress(t), http: harness.FreeAddress(t)}
	m.config = filepath.Join(m.dir, "memgate.yaml")
	_, m.port, _ = net.SplitHostPort(harness.FreeAddress(t))
	m.env = []string{"MEMGATE_PORT=" + m.port, "ENVOY=" + envoy}
	yaml := read(t, filepath.Join(harness.Root(), "memgate.yaml"))
	for old, free := range map[string]string{"127.0.0.1:8081": m.upstream, "127.0.0.1:9010": harness.FreeAddress(t)} {
		if !strings.Contains(yaml, old) {
			t.Fatalf("memgate.yaml does not hold %s any more", old)
		}
		yaml = strings.ReplaceAll(yaml, old, free)
	}
	yaml += fmt.Sprintf("\nserver: { grpc: %q, http: %q }\nenvoy: { wasm: %q, admin: %q }\n",
		harness.FreeAddress(t), m.http, harness.Wasm(t), harness.FreeAddress(t))
	write(t, m.config, yaml)
	return m
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// args are those of memgate dev.
func (m *machine) args(t *testing.T) []string {
	return []string{"dev", "--config", m.config, "--dir", filepath.Join(m.dir, ".run"), "--backend", harness.MemoryBackend(t)}
}

// run starts the system and waits until it is ready.
func (m *machine) run(t *testing.T) *harness.Process {
	t.Helper()
	p := harness.Start(t, "memgate-dev", m.env, harness.Memgate(t), m.args(t)...)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(m.dir, ".run", "logs", "*"))
			for _, log := range logs {
				t.Logf("--- %s ---\n%s", log, read(t, log))
			}
		}
	})
	var ended error
	harness.Eventually(t, func() error {
		switch {
		case strings.Contains(p.Log(0), ready):
			return nil
		case !p.Running():
			ended = errors.New("it ended")
			return nil
		}
		return errors.New("it is not ready")
	})
	if ended != nil {
		t.Fatalf("memgate dev: %v\n%s", ended, p.Log(0))
	}
	return p
}

// dotenv returns the values of dev.env, which only its owner may read.
func (m *machine) dotenv(t *testing.T) map[string]string {
	t.Helper()
	path := filepath.Join(m.dir, ".run", "dev.env")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("dev.env has mode %o", info.Mode().Perm())
	}
	values := make(map[string]string)
	for line := range strings.Lines(read(t, path)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	return values
}

// gone waits until nothing of the machine runs any more.
func (m *machine) gone(t *testing.T) {
	t.Helper()
	harness.Eventually(t, func() error {
		if left := harness.Running(m.dir); len(left) > 0 {
			return fmt.Errorf("still running: %v", left)
		}
		return nil
	})
}

// execute runs a command and returns its exit code and output.
func execute(t *testing.T, env []string, dir, stdin, path string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1"), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, failure strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &failure
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %v: %v", path, args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), failure.String()
}

func TestDevelopmentRun(t *testing.T) {
	m := newMachine(t)
	p := m.run(t)
	env := m.dotenv(t)
	url := "http://127.0.0.1:" + m.port
	if env["MEMGATE_URL"] != url || len(env) != 3 || !strings.HasPrefix(env["MEMGATE_API_KEY"], "mg_") || strings.Count(env["MEMGATE_TOKEN"], ".") != 2 {
		t.Fatalf("dev.env: %v", env)
	}
	for name, value := range env {
		if !strings.Contains(p.Log(0), value) {
			t.Errorf("%s is not printed", name)
		}
	}
	children := harness.Running(m.dir)
	if len(children) != 4 { // itself, memgate serve, memory-backend, Envoy
		t.Errorf("running: %v", children)
	}

	t.Run("printed lines", func(t *testing.T) { paste(t, p.Log(0)) })
	t.Run("minted token", func(t *testing.T) { mint(t, m, url) })
	t.Run("private files", func(t *testing.T) { private(t, m) })
	t.Run("ports in use", func(t *testing.T) { inUse(t, m, url) })

	p.Signal(os.Interrupt)
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d after Ctrl-C\n%s", code, p.Log(0))
	}
	// By their ids, and at once: it ends after all that it started.
	left := harness.Running(m.dir)
	for pid, line := range children {
		if left[pid] != "" {
			t.Errorf("%d is left behind: %s", pid, line)
		}
	}
	if len(left) != 0 {
		t.Errorf("still running: %v", left)
	}

	t.Run("again", func(t *testing.T) { again(t, m, url, env["MEMGATE_API_KEY"]) })
}

// paste runs the lines that were printed, as they stand there, and checks that
// they do what they say.
func paste(t *testing.T, welcome string) {
	_, block, _ := strings.Cut(welcome, "Paste these:\n")
	block, _, ok := strings.Cut(block, ready)
	if !ok {
		t.Fatalf("nothing to paste in:\n%s", welcome)
	}
	// A mark after each command tells their outputs apart; the lines themselves
	// are not touched.
	const mark = "\x1e"
	var script strings.Builder
	for line := range strings.Lines(block) {
		script.WriteString(line)
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") && !strings.HasSuffix(text, `\`) {
			script.WriteString("printf '" + mark + "'\n")
		}
	}
	code, out, failure := execute(t, nil, t.TempDir(), script.String(), "bash")
	if code != 0 || failure != "" {
		t.Fatalf("exit code %d: %s", code, failure)
	}
	got := strings.Split(strings.TrimSuffix(out, mark), mark)
	if len(got) != 7 || got[0] != "" {
		t.Fatalf("%d commands, want 7: the environment, and six requests: %q", len(got), got)
	}
	for i, want := range []struct{ what, text string }{
		1: {"an agent is made", `"agent_id":"helper"`},
		2: {"a memory is made", `"memory_id"`},
		3: {"it is recalled by the API key", "The release train leaves on Thursdays"},
		4: {"a refusal", "HTTP/1.1 401 Unauthorized"},
		5: {"an address is remembered", `"memory_id"`},
		6: {"and redacted", "Write to [EMAIL_ADDRESS] about it"},
	} {
		if !strings.Contains(got[i], want.text) {
			t.Errorf("%s: no %q in %s", want.what, want.text, got[i])
		}
	}
	if !strings.Contains(got[4], "urn:memgate:problem:unauthenticated") || !strings.Contains(strings.ToLower(got[4]), "www-authenticate: bearer") {
		t.Errorf("the refusal does not say why: %s", got[4])
	}
	if strings.Contains(out, "jane.doe@example.com") {
		t.Error("the address came back")
	}
}

// mint makes a token of another tenant.
func mint(t *testing.T, m *machine, url string) {
	code, token, failure := execute(t, nil, m.dir, "", harness.Memgate(t), "token", "--config", m.config, "--dir", filepath.Join(m.dir, ".run"),
		"--tenant", "acme", "--subject", "builder", "--scope", "memory:read")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, failure)
	}
	header := map[string]string{"Authorization": "Bearer " + strings.TrimSpace(token)}
	r := harness.Do(t, url, harness.Request{Path: "/api/v2/agents", Header: header})
	if r.Status != 200 || strings.Contains(r.Body, "helper") {
		t.Errorf("the agents of another tenant: %d %s", r.Status, r.Body)
	}
	if r := harness.Do(t, url, harness.Request{Method: "POST", Path: "/api/v2/agents", Header: header}); r.Status != 403 {
		t.Errorf("a write without the scope: %d %s", r.Status, r.Body)
	}
	r = harness.Do(t, url, harness.Request{Path: "/api/v2/status", Header: header})
	var who struct{ Tenant, Subject string }
	_ = json.Unmarshal([]byte(r.Body), &who)
	if r.Status != 200 || !strings.Contains(r.Body, "acme") {
		t.Errorf("status: %d %s", r.Status, r.Body)
	}
}

// private checks that no other user can read what a run leaves on disk.
func private(t *testing.T, m *machine) {
	run := filepath.Join(m.dir, ".run")
	files := 0
	err := filepath.WalkDir(run, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a database's temporary file
		}
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		files++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 5 {
		t.Errorf("only %d files below %s", files, run)
	}
}

// inUse: what is running already is not disturbed by a second start, which says
// what is wrong in a sentence and leaves nothing behind.
func inUse(t *testing.T, m *machine, url string) {
	before := harness.Running(m.dir)
	try := func(env ...string) string {
		code, out, failure := execute(t, append(slices.Clone(m.env), env...), m.dir, "", harness.Memgate(t), m.args(t)...)
		if code != 1 || out != "" || strings.Count(failure, "\n") != 1 {
			t.Errorf("exit code %d, output %q, error %q; want 1 and one line of error", code, out, failure)
		}
		return failure
	}
	if got := try(); !strings.Contains(got, "127.0.0.1:"+m.port+", wanted for the edge, is in use") || !strings.Contains(got, "MEMGATE_PORT") {
		t.Errorf("the edge's port: %s", got)
	}
	if got := try("MEMGATE_PORT=" + freePort(t)); !strings.Contains(got, "is in use") || !strings.Contains(got, m.config) {
		t.Errorf("another port: %s", got)
	}
	if got := try("MEMGATE_PORT="+freePort(t), "ENVOY=/nonexistent/envoy"); !strings.Contains(got, "set ENVOY to its path") {
		t.Errorf("no Envoy: %s", got)
	}
	after := harness.Running(m.dir)
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		t.Errorf("running before: %v\nand after: %v", before, after)
	}
	if r := harness.Do(t, url, harness.Request{Path: "/healthz"}); r.Status != 200 {
		t.Errorf("the system that was running: %d", r.Status)
	}
}

func freePort(t *testing.T) string {
	_, port, _ := net.SplitHostPort(harness.FreeAddress(t))
	return port
}

// again: a second run has the keys and the memories of the first, and when one
// part dies all others are ended.
func again(t *testing.T, m *machine, url, key string) {
	p := m.run(t)
	if got := m.dotenv(t)["MEMGATE_API_KEY"]; got != key {
		t.Error("the API key is another one")
	}
	r := harness.Do(t, url, harness.Request{Method: http.MethodPost, Path: "/api/v2/agents/helper/recall",
		Header: map[string]string{"X-API-Key": key, "Content-Type": "application/json"}, Body: `{"query":"release train"}`})
	if r.Status != 200 || !strings.Contains(r.Body, "Thursdays") {
		t.Errorf("recall with the first run's key: %d %s", r.Status, r.Body)
	}
	killed := false
	for pid, line := range harness.Running(m.dir) {
		if strings.Contains(line, "--txn-jwks") && pid != p.PID() {
			killed = syscall.Kill(pid, syscall.SIGKILL) == nil
		}
	}
	if !killed {
		t.Fatalf("the memory backend is not among %v", harness.Running(m.dir))
	}
	if code := p.Exit(); code != 1 || !strings.Contains(p.Log(0), "memgate: memory-backend ended") {
		t.Errorf("exit code %d after a part died\n%s", code, p.Log(0))
	}
	m.gone(t)
}

// A tool that is missing once parts are up ends them all, too.
func TestPartThatCannotBeStarted(t *testing.T) {
	m := newMachine(t)
	code, out, failure := execute(t, m.env, m.dir, "", harness.Memgate(t), "dev", "--config", m.config,
		"--dir", filepath.Join(m.dir, ".run"), "--backend", filepath.Join(m.dir, "nothing-here"))
	if code != 1 || out != "" || !strings.HasPrefix(failure, "memgate: memory-backend cannot be started") || strings.Count(failure, "\n") != 1 {
		t.Errorf("exit code %d, output %q, error %q", code, out, failure)
	}
	m.gone(t)
}
