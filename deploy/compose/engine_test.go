package compose

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envoyImage is the base of the edge's image.
const envoyImage = "envoyproxy/envoy:distroless-v1.40.0"

// docker is an engine, and how to talk to it.
type docker struct {
	env     []string // beside the environment of the test
	compose []string // the command that compose is
}

// findEngine returns the engine that runs on this machine. Where none does, CI
// starts one of its own, as a person's machine should not be changed unasked
// (MEMGATE_TEST_ENGINE=start asks). Without one the test is skipped.
func findEngine(t *testing.T) *docker {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("NOT TESTED: there is no docker command")
	}
	d := &docker{}
	switch {
	case d.run("docker", "compose", "version") == nil:
		d.compose = []string{"docker", "compose"}
	case d.run("docker-compose", "version") == nil:
		d.compose = []string{"docker-compose"}
	default:
		t.Skip("NOT TESTED: there is neither docker compose nor docker-compose")
	}
	if d.run("docker", "info") == nil {
		return d
	}
	if os.Getenv("CI") != "true" && os.Getenv("MEMGATE_TEST_ENGINE") != "start" {
		t.Skip("NOT TESTED: no Docker engine runs here (MEMGATE_TEST_ENGINE=start starts one, as root)")
	}
	d.start(t)
	return d
}

// start runs an engine of the test's own, apart from any other's state.
func (d *docker) start(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: no Docker engine runs here, and only root can start one")
	}
	for _, tool := range []string{"dockerd", "containerd", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: no Docker engine runs here, and none can be started: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "memgate-engine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	keepFirewall(t)
	socket := "unix://" + filepath.Join(dir, "sock")
	cmd := exec.Command("dockerd", "--host", socket, "--bridge", "none",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		t.Skipf("NOT TESTED: no Docker engine can be started here: %v", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	d.env = append(d.env, "DOCKER_HOST="+socket)
	deadline := time.Now().Add(time.Minute)
	for d.run("docker", "info") != nil {
		select {
		case <-ended:
			t.Skipf("NOT TESTED: no Docker engine can be started here:\n%s", tail(filepath.Join(dir, "log")))
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Skipf("NOT TESTED: the Docker engine was not ready within a minute:\n%s", tail(filepath.Join(dir, "log")))
		}
	}
}

// keepFirewall puts the firewall's rules back when the test is over: an engine
// leaves its own behind, and with them a machine that forwards nothing.
func keepFirewall(t *testing.T) {
	t.Helper()
	for _, table := range []string{"filter", "nat"} {
		// Listing a table makes one that was never used, so that it is saved.
		if out, err := exec.Command("iptables", "--table", table, "--list-rules").CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: no Docker engine can be started here: iptables: %v\n%s", err, out)
		}
		saved, err := exec.Command("iptables-save", "--table", table).Output()
		if err != nil {
			t.Fatalf("iptables-save: %v", err)
		}
		t.Cleanup(func() {
			restore := exec.Command("iptables-restore", "--table", table)
			restore.Stdin = bytes.NewReader(saved)
			if out, err := restore.CombinedOutput(); err != nil {
				t.Errorf("iptables-restore: %v\n%s", err, out)
			}
		})
	}
}

// haveEnvoyImage gets the base image. Where no image registry can be reached,
// it builds a stand-in under the same tag, from the Envoy that make test found
// and the libraries that it needs, and removes it afterwards.
func (d *docker) haveEnvoyImage(t *testing.T) {
	t.Helper()
	if d.run("docker", "image", "inspect", envoyImage) == nil || d.run("docker", "pull", "--quiet", envoyImage) == nil {
		return
	}
	envoy := strings.TrimSpace(d.must(t, "tools/envoy.sh"))
	t.Logf("%s cannot be pulled: building a stand-in from %s", envoyImage, envoy)
	dir := t.TempDir()
	install := func(source, target string) {
		target = filepath.Join(dir, target)
		raw, err := os.ReadFile(source)
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, raw, 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install(envoy, "root/usr/local/bin/envoy")
	for _, library := range libraries(t, envoy) {
		install(library, filepath.Join("root", library))
	}
	dockerfile := "FROM scratch\nCOPY root/ /\nENTRYPOINT [\"/usr/local/bin/envoy\"]\nCMD [\"-c\", \"/etc/envoy/envoy.yaml\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	d.must(t, "docker", "build", "--quiet", "--tag", envoyImage, dir)
	t.Cleanup(func() { _ = d.run("docker", "image", "rm", "--force", envoyImage) })
}

// libraries lists the shared libraries of a program, the loader included.
func libraries(t *testing.T, program string) []string {
	t.Helper()
	out, err := exec.Command("ldd", program).CombinedOutput()
	if err != nil {
		t.Fatalf("ldd %s: %v\n%s", program, err, out)
	}
	var list []string
	for field := range strings.FieldsSeq(string(out)) {
		if filepath.IsAbs(field) && !slices.Contains(list, field) {
			if _, err := os.Stat(field); !errors.Is(err, fs.ErrNotExist) {
				list = append(list, field)
			}
		}
	}
	return list
}

// command runs a program and returns what it printed.
func (d *docker) command(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), d.env...)
	return cmd.CombinedOutput()
}

func (d *docker) run(name string, args ...string) error {
	_, err := d.command(name, args...)
	return err
}

func (d *docker) must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := d.command(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (d *docker) up(t *testing.T, args ...string) string {
	t.Helper()
	return d.must(t, d.compose[0], append(slices.Clone(d.compose[1:]), args...)...)
}

func (d *docker) tryCompose(args ...string) []byte {
	out, _ := d.command(d.compose[0], append(slices.Clone(d.compose[1:]), args...)...)
	return out
}

func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-2000):])
}
