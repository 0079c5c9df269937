package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// cli runs a command to its end.
func cli(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, noEnv, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out := cli(t, args...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
	return out
}

// refused runs a command that must fail and say why.
func refused(t *testing.T, says string, args ...string) {
	t.Helper()
	if code, out := cli(t, args...); code == 0 || !strings.Contains(out, says) {
		t.Errorf("%v: exit code %d, want a failure that says %q\n%s", args, code, says, out)
	}
}

// remember stores a memory of a tenant over HTTP.
func (s *service) remember(t testing.TB, tenant, content string) {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"content": content})
	if status, a := s.call(t, tenant, "POST", "/api/v2/agents/bot/remember", string(body)); status != 200 {
		t.Fatalf("%d %v", status, a)
	}
}

// count returns how many memories of a tenant there are.
func (s *service) count(t testing.TB, tenant string) int {
	t.Helper()
	status, a := s.call(t, tenant, "POST", "/api/v2/agents/bot/recall/recent", `{"limit":1}`)
	if status != 200 {
		t.Fatalf("%d %v", status, a)
	}
	n, _ := a["total_available"].(float64)
	return int(n)
}

// storm writes memories of a tenant until stop is called, which returns how many were acknowledged.
func (s *service) storm(t *testing.T, tenant string) (stop func() int) {
	var done atomic.Bool
	var n atomic.Int64
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; !done.Load(); i++ {
				status, a := s.call(t, tenant, "POST", "/api/v2/agents/bot/remember", fmt.Sprintf(`{"content":"storm %d %d"}`, w, i))
				if status != 200 {
					t.Errorf("%d %v", status, a)
					return
				}
				n.Add(1)
			}
		}()
	}
	return func() int {
		done.Store(true)
		wg.Wait()
		return int(n.Load())
	}
}

// TestBackupUnderLoad copies a service that is being written to, and restores the copy elsewhere.
func TestBackupUnderLoad(t *testing.T) {
	s := start(t)
	data, dir := filepath.Join(s.dir, "data"), t.TempDir()
	master := "file:" + filepath.Join(data, masterFile)
	for i := range 5 {
		s.remember(t, fmt.Sprint("tenant", i), "Alice plays the violin")
	}
	s.remember(t, "busy", "the first")
	stop := s.storm(t, "busy")
	before := s.count(t, "busy")
	to := filepath.Join(dir, "backup")
	if out := must(t, "backup", "--data", data, "--to", to); !strings.Contains(out, "6 tenants") {
		t.Error(out)
	}
	written := stop()
	refused(t, "file exists", "backup", "--data", data, "--to", to)

	restored := filepath.Join(dir, "restored")
	out := must(t, "restore", "--data", restored, "--from", to, "--master-key", master)
	if !strings.Contains(out, "6 tenants") {
		t.Error(out)
	}
	again := start(t, "--data", restored, "--master-key", master)
	if n := again.count(t, "busy"); n < before || n > written+1 {
		t.Errorf("%d memories, there were %d before and %d after", n, before, written+1)
	}
	if status, a := again.call(t, "tenant3", "POST", "/api/v2/agents/bot/recall", `{"query":"violin"}`); status != 200 || a["count"] != 1.0 {
		t.Errorf("%d %v", status, a)
	}
	again.remember(t, "tenant3", "goes on")

	refused(t, "has tenants already", "restore", "--data", restored, "--from", to, "--master-key", master)
	other := filepath.Join(dir, "other.json")
	if _, err := os.Stat(other); err == nil {
		t.Fatal("there is a key")
	}
	refused(t, "no such file", "restore", "--data", filepath.Join(dir, "x"), "--from", to, "--master-key", "file:"+other)
	files, err := filepath.Glob(filepath.Join(to, "*.db"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%v, %v", files, err)
	}
	f, err := os.OpenFile(files[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1}, 5000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	refused(t, "is damaged", "restore", "--data", filepath.Join(dir, "y"), "--from", to, "--master-key", master)
	if err := os.Remove(filepath.Join(to, manifestFile)); err != nil {
		t.Fatal(err)
	}
	refused(t, "no backup that was finished", "restore", "--data", filepath.Join(dir, "z"), "--from", to, "--master-key", master)
}

// TestKeysAreRotatedOnline rotates all keys while the service is being written to.
func TestKeysAreRotatedOnline(t *testing.T) {
	s := start(t)
	data := filepath.Join(s.dir, "data")
	s.remember(t, "acme", "Alice plays the violin")
	s.remember(t, "busy", "the first")
	stop := s.storm(t, "busy")
	read := func() string {
		t.Helper()
		keys, err := filepath.Glob(filepath.Join(data, "keys", "*.keys"))
		if err != nil || len(keys) != 2 {
			t.Fatalf("%v, %v", keys, err)
		}
		b, err := os.ReadFile(keys[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := read()
	must(t, "keys", "rotate", "--data", data)
	if out := must(t, "keys", "rotate", "--data", data, "--re-encrypt"); !strings.Contains(out, `of "busy" are sealed with it alone`) {
		t.Error(out)
	}
	must(t, "keys", "rotate", "--data", data, "--master")
	if read() == first {
		t.Error("nothing changed")
	}
	if out := must(t, "keys", "status", "--data", data); !strings.Contains(out, `"acme"`) || !strings.Contains(out, `"busy"`) || strings.Contains(out, "damaged") {
		t.Error(out)
	}
	n := stop()
	if got := s.count(t, "busy"); got != n+1 {
		t.Errorf("%d memories, %d were acknowledged", got, n+1)
	}
	if status, a := s.call(t, "acme", "POST", "/api/v2/agents/bot/recall", `{"query":"violin"}`); status != 200 || a["count"] != 1.0 {
		t.Errorf("%d %v", status, a)
	}
	s.stop()
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d\n%s", code, s.logs)
	}
	again := start(t, "--data", data)
	if got := again.count(t, "busy"); got != n+1 {
		t.Errorf("%d memories after a restart", got)
	}
	if status, a := again.call(t, "busy", "POST", "/api/v2/agents/bot/recall", `{"query":"first"}`); status != 200 || a["count"] != 1.0 {
		t.Errorf("%d %v", status, a)
	}
	refused(t, "goes with neither", "keys", "rotate", "--data", data, "--master", "--tenant", "acme")
	refused(t, "there are no keys", "keys", "status", "--data", data, "--master-key", "none")
	refused(t, "no keys", "keys", "rotate", "--data", data, "--tenant", "nobody")
}

func TestTenantDrop(t *testing.T) {
	s := start(t)
	data, dir := filepath.Join(s.dir, "data"), t.TempDir()
	s.remember(t, "acme", "Alice plays the violin")
	s.remember(t, "other", "Bob plays the drums")
	refused(t, "--yes", "tenant", "drop", "acme", "--data", data)
	refused(t, "the service is running", "tenant", "drop", "acme", "--data", data, "--yes")
	if n := s.count(t, "acme"); n != 1 {
		t.Errorf("%d memories", n)
	}
	s.stop()
	<-s.code
	signed := must(t, "tenant", "drop", "acme", "--data", data, "--yes", "--by", "dpo@example.com")
	refused(t, "there is no tenant", "tenant", "drop", "acme", "--data", data, "--yes")
	if out := must(t, "tenant", "list", "--data", data); out != "\"other\"\n" {
		t.Error(out)
	}
	jwks, jws := filepath.Join(dir, "jwks.json"), filepath.Join(dir, "receipt.jws")
	for path, text := range map[string]string{jwks: must(t, "receipt", "jwks", "--data", data), jws: signed} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := must(t, "receipt", "verify", "--jwks", jwks, jws); !strings.Contains(out, `dpo@example.com destroyed tenant "" of tenant "acme": 1 memories, data keys `) || strings.Contains(out, "data keys ;") {
		t.Error(out)
	}
	kept, err := filepath.Glob(filepath.Join(data, "receipts", "*.jws"))
	if err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
	if err := os.WriteFile(jws, []byte(strings.Replace(signed, ".", ".e", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "invalid", "receipt", "verify", "--jwks", jwks, jws)
}
