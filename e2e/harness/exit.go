package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exit waits until the process has ended by itself and returns its exit code, -1
// if a signal ended it.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(startTime):
		p.t.Fatalf("%s has not ended\n%s", p.name, p.Log(logTail))
	}
	return p.cmd.ProcessState.ExitCode()
}

// Running returns the ids of the processes of this machine whose command line
// names text, such as the folder of a test. It needs Linux's /proc.
func Running(text string) map[int]string {
	found := make(map[int]string)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && strings.Contains(string(line), text) {
			found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
