package harness

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// SkipT is a T whose test can be skipped.
type SkipT interface {
	T
	Skipf(format string, args ...any)
}

// Redis is a redis-server of a test's own that keeps nothing on disk.
type Redis struct {
	*Process
	Addr string // host:port on loopback
	URL  string // redis://host:port

	t    T
	path string
	args []string
}

// StartRedis runs the redis-server of PATH until the test ends. Without one the
// test is skipped, and fails where CI is "true". args are more of its options.
func StartRedis(t SkipT, args ...string) *Redis {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no redis-server on PATH; CI must have one (Debian's package redis-server)")
		}
		t.Skipf("no redis-server on PATH: what needs a real Redis is not tested")
	}
	r := &Redis{Addr: FreeAddress(t), t: t, path: path, args: args}
	r.URL = "redis://" + r.Addr
	r.Restart()
	return r
}

// Restart starts the server, at first or after it was stopped, on the same port
// and with nothing in it.
func (r *Redis) Restart() {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.Addr)
	args := append([]string{"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", r.t.TempDir()}, r.args...)
	r.Process = Start(r.t, "redis-server", nil, r.path, args...)
	server := r.Process
	r.t.Cleanup(func() {
		if server.Running() {
			_ = server.cmd.Process.Signal(syscall.SIGCONT) // a stopped process does not end
		}
	})
	err := poll(func() error {
		if !r.Running() {
			return errEnded
		}
		_, err := r.command("PING")
		return err
	})
	if err != nil {
		r.t.Fatalf("redis-server is not ready: %v\n%s", err, r.Log(logTail))
	}
}

// Pause stops the server without closing its connections, until Resume.
func (r *Redis) Pause() { r.t.Helper(); r.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (r *Redis) Resume() { r.t.Helper(); r.Signal(syscall.SIGCONT) }

// Kill ends the server at once.
func (r *Redis) Kill() {
	r.t.Helper()
	r.Signal(syscall.SIGKILL)
	<-r.done
}

// Command sends one command and returns the first line of the answer, or the
// text of a bulk string.
func (r *Redis) Command(words ...string) string {
	r.t.Helper()
	answer, err := r.command(words...)
	if err != nil {
		r.t.Fatalf("redis-server: %s: %v", strings.Join(words, " "), err)
	}
	return answer
}

func (r *Redis) command(words ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var message strings.Builder
	fmt.Fprintf(&message, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&message, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := conn.Write([]byte(message.String())); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	var size int
	if n, _ := fmt.Sscanf(line, "$%d", &size); n == 1 && size >= 0 {
		text := make([]byte, size)
		for read := 0; read < size; {
			n, err := in.Read(text[read:])
			if err != nil {
				return "", err
			}
			read += n
		}
		return string(text), nil
	}
	if strings.HasPrefix(line, "-LOADING") {
		return "", fmt.Errorf("%s", line)
	}
	return line, nil
}
