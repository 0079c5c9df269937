// Package audit checks the audit log of a whole running system: that it verifies,
// that what is done to it shows, and what callers get while it cannot be written.
package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/memgate/memgate/e2e/harness"
)

const scopes = "memory:read memory:write"

// auditLine is what memgate.yaml says of the log.
const auditLine = `audit: { file: audit.log, key: "file:audit.key" }`

// begin runs the system with a policy's audit section.
func begin(t *testing.T, section string) (*harness.Stack, string) {
	t.Helper()
	s := harness.StartStack(t, func(yaml string) string {
		if !strings.Contains(yaml, auditLine) {
			t.Fatalf("the policy does not hold %q any more", auditLine)
		}
		yaml = strings.Replace(yaml, "{ write: 60/m, read: 120/m }", "{ write: 6000/m, read: 6000/m }", 1)
		return strings.Replace(yaml, auditLine, "audit: "+section, 1)
	})
	token := s.Token("audit", scopes)
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 200) })
	return s, token
}

func list(t *testing.T, s *harness.Stack, token string) *harness.Response {
	t.Helper()
	return s.JSON(t, "GET", "/api/v2/agents", token, "")
}

// logged waits until the event of a request is in the log, found as an operator
// finds it.
func logged(t *testing.T, s *harness.Stack, id string) map[string]any {
	t.Helper()
	var line string
	harness.Eventually(t, func() error {
		line = s.CLI("audit", "query", "--config", s.Config, "--request-id", id)
		if line == "" {
			return fmt.Errorf("no event of request %s", id)
		}
		return nil
	})
	var event map[string]any
	if err := json.Unmarshal([]byte(line), &event); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return event
}

// Requests through Envoy leave a log that verifies, over rotations, a crash and
// restarts, and any change of it shows.
func TestLogOfARunningSystem(t *testing.T) {
	s, token := begin(t, `{ file: audit.log, key: "file:audit.key", checkpoint: 1s, entries: 5 }`)
	path := filepath.Join(s.Dir, "audit.log")
	for range 12 {
		list(t, s, token)
	}
	denied := s.Do(t, harness.Request{Path: "/api/v2/agents"})
	event := logged(t, s, denied.ID)
	if event["class_uid"] != 4002.0 || event["unmapped"].(map[string]any)["reason"] != "no_credentials" {
		t.Errorf("%v", event)
	}
	table := s.CLI("audit", "query", "--config", s.Config, "--decision", "deny", "--status", "4xx", "--format", "table")
	if lines := strings.Count(table, "\n"); lines != 2 || !strings.Contains(table, denied.ID) || !strings.Contains(table, "no_credentials") {
		t.Errorf("%s", table)
	}
	verify := func(args ...string) string {
		return s.CLI(append([]string{"audit", "verify", "--config", s.Config}, args...)...)
	}
	if out := verify(); !strings.Contains(out, "OK: ") {
		t.Errorf("%s", out)
	}

	// As logrotate does it.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.Memgate.Signal(syscall.SIGHUP)
	harness.Eventually(t, func() error { _, err := os.Stat(path); return err })
	logged(t, s, list(t, s, token).ID)
	verify()

	// A crash, and a stop in order.
	s.Memgate.Signal(syscall.SIGKILL)
	s.Memgate.Stop()
	s.StartMemgate()
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 200) })
	logged(t, s, list(t, s, token).ID)
	s.Memgate.Stop()
	if out := verify(); !strings.Contains(out, "OK: ") || strings.Contains(out, "not signed yet") {
		t.Errorf("%s", out)
	}
	// Someone who has the verifier key alone can do it, too.
	key := strings.TrimSpace(s.CLI("audit", "key", "--config", s.Config))
	if out := s.CLI("audit", "verify", "--key", key, path); !strings.Contains(out, "OK: ") {
		t.Errorf("%s", out)
	}
	if out := s.CLIFails("audit", "verify", "--key", "memgate-audit+6ee0ab29+AfFBFuGaJVqPSh8GF27WNqfHnCVzOjXgFQuzYSzkE4vU", path); !strings.Contains(out, "audit:") {
		t.Errorf("%s", out)
	}

	text, err := os.ReadFile(path + ".1")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for name, changed := range map[string]string{
		"a denial becomes an allowed request": strings.Replace(string(text), `"decision":"deny"`, `"decision":"allow"`, 1),
		"a line is gone":                      strings.Join(append(append([]string(nil), lines[:3]...), lines[4:]...), ""),
		"the tail is gone":                    strings.Join(lines[:len(lines)-2], ""),
		"a line is there twice":               string(text) + lines[0],
	} {
		if changed == string(text) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(path+".1", []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := s.CLIFails("audit", "verify", "--config", s.Config); !strings.Contains(out, "audit.log") || !strings.Contains(out, "FAILED") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if err := os.WriteFile(path+".1", text, 0o600); err != nil {
		t.Fatal(err)
	}
	verify()
}

// fill lets the log take no more bytes, as a full disk does, and returns what
// makes room again.
func fill(t *testing.T, s *harness.Stack) (room func()) {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.Dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	limit := func(to *unix.Rlimit, was *unix.Rlimit) {
		t.Helper()
		if err := unix.Prlimit(s.Memgate.PID(), unix.RLIMIT_FSIZE, to, was); err != nil {
			t.Fatal(err)
		}
	}
	limit(nil, &old)
	limit(&unix.Rlimit{Cur: uint64(info.Size()) + 100, Max: old.Max}, nil)
	return func() { limit(&old, nil) }
}

// metric returns the line of a metric of memgate.
func metric(t *testing.T, s *harness.Stack, name string) string {
	t.Helper()
	r := harness.Do(t, s.MemgateHTTP, harness.Request{Path: "/metrics"})
	for line := range strings.Lines(r.Body) {
		if strings.HasPrefix(line, name) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// While the disk is full, a policy of deny lets nothing pass; when there is room
// again all goes on by itself, and nothing is missing.
func TestDiskFullDenies(t *testing.T) {
	s, token := begin(t, `{ file: audit.log, key: "file:audit.key", checkpoint: 1s }`)
	logged(t, s, list(t, s, token).ID)
	room := fill(t, s)
	var refused *harness.Response
	harness.Eventually(t, func() error {
		refused = list(t, s, token)
		return harness.Want(refused, 503)
	})
	if !strings.Contains(refused.Body, "urn:memgate:problem:unavailable") || strings.Contains(refused.Body, "audit") {
		t.Errorf("%s", refused.Body)
	}
	// An anonymous route and a preflight are refused, too.
	if r := s.Do(t, harness.Request{Path: "/healthz"}); r.Status != 503 {
		t.Errorf("an anonymous route: %d", r.Status)
	}
	if got := metric(t, s, "memgate_audit_available"); got != "memgate_audit_available 0" {
		t.Errorf("%q", got)
	}
	if got := metric(t, s, `memgate_decisions_total{decision="deny",reason="audit_unavailable",route="",stage="audit"}`); got == "" {
		t.Error("the refusals are not counted")
	}
	room()
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 200) })
	event := logged(t, s, refused.ID)["unmapped"].(map[string]any)
	if event["stage"] != "audit" || event["reason"] != "audit_unavailable" || event["status"] != 503.0 {
		t.Errorf("%v", event)
	}
	s.Memgate.Stop()
	if out := s.CLI("audit", "verify", "--config", s.Config); !strings.Contains(out, "OK: ") {
		t.Errorf("%s", out)
	}
}

// A policy of continue lets requests pass, says so, and writes what it kept when
// there is room again.
func TestDiskFullContinues(t *testing.T) {
	s, token := begin(t, `{ file: audit.log, key: "file:audit.key", on_failure: continue }`)
	logged(t, s, list(t, s, token).ID)
	room := fill(t, s)
	last := list(t, s, token)
	harness.Eventually(t, func() error {
		if got := metric(t, s, "memgate_audit_available"); got != "memgate_audit_available 0" {
			last = list(t, s, token)
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	for range 5 {
		if last = list(t, s, token); last.Status != 200 {
			t.Fatalf("%d %s", last.Status, last.Body)
		}
	}
	if got := metric(t, s, "memgate_audit_failures_total"); got == "memgate_audit_failures_total 0" {
		t.Error("the failure is not counted")
	}
	room()
	logged(t, s, last.ID)
	s.Memgate.Stop()
	if out := s.CLI("audit", "verify", "--config", s.Config); !strings.Contains(out, "OK: ") {
		t.Errorf("%s", out)
	}
}

// The folder of the log is deleted: nothing passes until it is there again, and
// the loss shows.
func TestFolderGone(t *testing.T) {
	s, token := begin(t, `{ file: audit.log, key: "file:audit.key" }`)
	folder := filepath.Join(s.Dir, "logs")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.WritePolicy(strings.Replace(s.Policy(), `file: audit.log, key`, `file: logs/audit.log, key`, 1))
	harness.Eventually(t, func() error { _, err := os.Stat(filepath.Join(folder, "audit.log")); return err })
	logged(t, s, list(t, s, token).ID)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 503) })
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 200) })
	logged(t, s, list(t, s, token).ID)
	s.Memgate.Stop()
	if out := s.CLIFails("audit", "verify", "--config", s.Config); !strings.Contains(out, "missing") {
		t.Errorf("%s", out)
	}
}
