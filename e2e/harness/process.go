package harness

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// startTime is how long a process may take until it is ready.
	startTime = 120 * time.Second
	// stopTime is how long it may take to end after SIGTERM.
	stopTime = 10 * time.Second
	// logTail is how much of a log is shown after a failure, in bytes.
	logTail = 16 << 10
)

// Process is a program that a test started.
type Process struct {
	name string
	t    T
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // how it ended; valid once done is closed
}

// Start runs a program until the test ends. Its output is shown only if the
// test fails. It gets the environment of the test and env.
func Start(t T, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	p := &Process{name: name, t: t, log: filepath.Join(t.TempDir(), name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer out.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = Root()
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.end)
	return p
}

// end stops the process after its test, and shows its output if that failed.
func (p *Process) end() {
	p.Stop()
	if p.t.Failed() {
		p.t.Logf("--- log of %s (%s) ---\n%s", p.name, p.state(), p.Log(logTail))
	}
}

// watch waits for the end of a process that another one started.
func (p *Process) watch() {
	for p.cmd.Process.Signal(syscall.Signal(0)) == nil {
		time.Sleep(20 * time.Millisecond)
	}
	close(p.done)
}

// Stop ends the process, by its id, and waits until it is gone. It may be
// called twice.
func (p *Process) Stop() {
	if p.Running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Log returns the last bytes of what the process wrote, all of it for 0.
func (p *Process) Log(last int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if last > 0 && len(text) > last {
		text = text[len(text)-last:]
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	return string(text)
}

func (p *Process) state() string {
	if p.Running() {
		return "running"
	}
	if p.err != nil {
		return p.err.Error()
	}
	return "ended"
}

// errEnded is the reason why a process will never be ready.
var errEnded = errors.New("it ended")

// WaitReady waits until a URL of the process answers 200.
func (p *Process) WaitReady(url string) {
	p.t.Helper()
	err := poll(func() error {
		if !p.Running() {
			return errEnded
		}
		return answers(url)
	})
	if err != nil {
		p.t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.Log(logTail))
	}
}

// WaitLog waits until the process has written a text.
func (p *Process) WaitLog(text string) {
	p.t.Helper()
	err := poll(func() error {
		if !p.Running() {
			return errEnded
		}
		if !strings.Contains(p.Log(0), text) {
			return errors.New("it has not written " + text)
		}
		return nil
	})
	if err != nil {
		p.t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.Log(logTail))
	}
}

func answers(url string) error {
	// As the probes of a cluster do, which verify no certificate.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return errors.New(url + " answers " + response.Status)
	}
	return nil
}

// poll tries until f succeeds, f fails with errEnded, or startTime is over.
func poll(f func() error) error {
	deadline := time.Now().Add(startTime)
	for {
		err := f()
		if err == nil || errors.Is(err, errEnded) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Eventually waits until f returns nil and fails the test if it never does. It
// is for what another process does in its own time, such as a log that is
// flushed.
func Eventually(t T, f func() error) {
	t.Helper()
	if err := poll(f); err != nil {
		t.Fatalf("it did not happen: %v", err)
	}
}

// FreeAddress returns a loopback address on which nothing listens. Programs that
// can be told to choose a port themselves should be.
func FreeAddress(t T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("no free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}
