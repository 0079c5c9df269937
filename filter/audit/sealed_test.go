package audit

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// seed makes keys that are the same in each run.
func seed(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

func newKey(t testing.TB, n byte) Key {
	t.Helper()
	key, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "key"), seed(n))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// told collects what a writer tells.
type told struct {
	mu   sync.Mutex
	errs []error
	lost int
}

func (t *told) add(err error, lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
	t.lost += lost
}

func (t *told) has(target error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, err := range t.errs {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// sealedConfig signs after each ten entries and never by the clock.
func sealedConfig(key Key) Config {
	return Config{Key: &key, Sync: SyncNever, Entries: 10, Checkpoint: never, Retry: never, Random: seed(9), Now: func() time.Time { return noon }}
}

// fill writes events one after another, so that checkpoints come when they are
// due.
func fill(t *testing.T, w *Writer, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		must(t, w.Write(event(fmt.Sprint("r", i))))
		must(t, w.Flush())
	}
}

func verifyAll(t *testing.T, path string, key Key) *Report {
	t.Helper()
	logs, points, err := Files(path)
	must(t, err)
	r, err := Verify(Verification{Logs: logs, Checkpoints: points, Verifier: key.Verifier})
	must(t, err)
	return r
}

func wantOK(t *testing.T, r *Report, entries, signed int64) {
	t.Helper()
	if !r.OK() || r.Entries != entries || r.Signed != signed {
		t.Fatalf("%d entries, %d signed; want %d, %d: %v %v", r.Entries, r.Signed, entries, signed, r.Problems, r.Notes)
	}
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key, err := LoadOrCreateKey(path, seed(1))
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := LoadOrCreateKey(path, seed(2))
	if err != nil || again.Verifier != key.Verifier {
		t.Errorf("%v, %q and %q", err, key.Verifier, again.Verifier)
	}
	for n := range byte(100) { // whatever digits a key has
		key := newKey(t, n)
		if _, err := newVerifier(key); err != nil {
			t.Errorf("%q: %v", key.Verifier, err)
		}
	}
	must(t, os.Chmod(path, 0o640))
	if _, err := LoadKey(path); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a key that a group may read: %v", err)
	}
	must(t, os.Chmod(path, 0o600))
	secret := strings.TrimSpace(read(t, path))
	for _, text := range []string{"", "x", key.Verifier, secret[:len(secret)-4], secret + "A"} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := LoadKey(path); !errors.Is(err, ErrKeyFile) || text != "" && strings.Contains(err.Error(), text) && text != "x" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSealedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	w, err := Open(path, config)
	must(t, err)
	if _, err := Open(path, config); !errors.Is(err, ErrInUse) {
		t.Errorf("a second writer: %v", err)
	}
	fill(t, w, 0, 25)
	r := verifyAll(t, path, key)
	wantOK(t, r, 25, 20)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "entries 20 to 24 are not signed yet") {
		t.Errorf("%q", r.Notes)
	}
	must(t, w.Close())
	wantOK(t, verifyAll(t, path, key), 25, 25)

	// A second run goes on with the same tree.
	w, err = Open(path, config)
	must(t, err)
	fill(t, w, 25, 30)
	must(t, w.Close())
	r = verifyAll(t, path, key)
	wantOK(t, r, 30, 30)
	if len(r.Notes) != 0 {
		t.Errorf("%q", r.Notes)
	}
	for _, name := range []string{path, path + CheckpointSuffix} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, err, info.Mode())
		}
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	config.MaxSize = 3000 // some five lines
	w, err := Open(path, config)
	must(t, err)
	fill(t, w, 0, 30)
	// As logrotate does it, with a file of its own making.
	must(t, os.Rename(path, path+".1"))
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, w.Reopen())
	fill(t, w, 30, 40)
	must(t, w.Close())
	logs, points, err := Files(path)
	must(t, err)
	if len(logs) < 5 || len(points) < 4 {
		t.Fatalf("%q %q", logs, points)
	}
	wantOK(t, verifyAll(t, path, key), 40, 40)

	// What is missing in the middle or at the beginning is found.
	for _, i := range []int{0, 1, len(logs) - 2, len(logs) - 1} {
		hide := logs[i]
		must(t, os.Rename(hide, hide+"x"))
		rest := append(append([]string(nil), logs[:i]...), logs[i+1:]...)
		r, err := Verify(Verification{Logs: rest, Checkpoints: points, Verifier: key.Verifier})
		must(t, err)
		if r.OK() || !strings.Contains(r.Problems[0].Text, "missing") {
			t.Errorf("without %s: %v", hide, r.Problems)
		}
		must(t, os.Rename(hide+"x", hide))
	}
	// The oldest may be deleted on purpose, with their checkpoints.
	r, err := Verify(Verification{Logs: logs[2:], Checkpoints: points[1:], Verifier: key.Verifier, Pruned: true})
	must(t, err)
	if !r.OK() || r.First == 0 {
		t.Errorf("%v", r.Problems)
	}
}

func TestResumeAfterRotationWhileStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	for i, rename := range [][2]string{{}, {path, path + ".2"}, {path + CheckpointSuffix, path + CheckpointSuffix + ".1"}, {path, path + ".3"}} {
		if rename[0] != "" {
			must(t, os.Rename(rename[0], rename[1]))
		}
		w, err := Open(path, config)
		must(t, err)
		fill(t, w, 15*i, 15*i+15)
		must(t, w.Close())
	}
	wantOK(t, verifyAll(t, path, key), 60, 60)
}

// What a crash leaves: lines without a checkpoint, a torn line, a torn
// checkpoint.
func TestResumeAfterCrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	w, err := Open(path, config)
	must(t, err)
	fill(t, w, 0, 25)
	lines, points := read(t, path), read(t, path+CheckpointSuffix)
	must(t, w.Close())
	for name, c := range map[string]struct {
		log, points string
		entries     int64
		notes       int
	}{
		"whole lines":     {lines, points, 25, 1},
		"torn line":       {lines[:len(lines)-100], points, 25, 1},
		"start of a line": {lines[:strings.LastIndexByte(lines[:len(lines)-1], '\n')+5], points, 25, 2},
		"torn checkpoint": {lines, points[:len(points)-100], 25, 1},
		"all signed":      {strings.Join(strings.SplitAfter(lines, "\n")[:20], ""), points, 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(path, []byte(c.log), 0o600))
			must(t, os.WriteFile(path+CheckpointSuffix, []byte(c.points), 0o600))
			var heard told
			config := config
			config.OnError = heard.add
			w, err := Open(path, config)
			must(t, err)
			wantOK(t, verifyAll(t, path, key), c.entries, c.entries)
			fill(t, w, 100, 115)
			must(t, w.Close())
			r := verifyAll(t, path, key)
			wantOK(t, r, c.entries+15, c.entries+15)
			if len(r.Notes) != c.notes {
				t.Errorf("%q", r.Notes)
			}
			if heard.errs != nil {
				t.Errorf("told %v", heard.errs)
			}
			if !strings.HasPrefix(read(t, path), c.log) {
				t.Error("what was written is no longer there")
			}
		})
	}
}

// A log that is not as it was written goes on, says so, and never verifies again.
func TestStartOnATamperedLog(t *testing.T) {
	key := newKey(t, 1)
	for name, c := range map[string]struct {
		change func(t *testing.T, path string)
		opens  error
		told   error
	}{
		"truncated": {func(t *testing.T, path string) { must(t, os.Truncate(path, 2000)) }, nil, ErrTampered},
		"appended after it was closed": {func(t *testing.T, path string) {
			forged := append(event("forged").appendLine([]byte(read(t, path)), 25), '\n')
			must(t, os.WriteFile(path, forged, 0o600))
		}, nil, ErrTampered},
		"no checkpoints": {func(t *testing.T, path string) { must(t, os.Remove(path+CheckpointSuffix)) }, ErrUnsealed, nil},
		"another key": {func(t *testing.T, path string) {
			other := newKey(t, 2)
			w, err := Open(path+"-other", sealedConfig(other))
			must(t, err)
			must(t, w.Close())
			must(t, os.Rename(path+"-other"+CheckpointSuffix, path+CheckpointSuffix))
		}, ErrSignature, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			var heard told
			config := sealedConfig(key)
			config.OnError = heard.add
			w, err := Open(path, config)
			must(t, err)
			fill(t, w, 0, 25)
			must(t, w.Close())
			c.change(t, path)
			w, err = Open(path, config)
			if !errors.Is(err, c.opens) {
				t.Fatalf("Open: %v", err)
			}
			if err != nil {
				return
			}
			if !heard.has(c.told) {
				t.Errorf("told %v", heard.errs)
			}
			fill(t, w, 25, 40)
			must(t, w.Close())
			if r := verifyAll(t, path, key); r.OK() {
				t.Error("it verifies")
			}
		})
	}
}

// A file that is deleted under the writer is replaced, and the loss told.
func TestDeletedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	var heard told
	config := sealedConfig(key)
	config.OnError = heard.add
	w, err := Open(path, config)
	must(t, err)
	fill(t, w, 0, 12)
	must(t, os.Remove(path))
	within(t, func() bool { return heard.has(ErrRemoved) })
	fill(t, w, 12, 15)
	must(t, w.Close())
	if r := verifyAll(t, path, key); r.OK() || !strings.Contains(r.Problems[0].Text, "entries 0 to 11 are missing") {
		t.Errorf("%v", r.Problems)
	}
	if w.Err() != nil {
		t.Error(w.Err())
	}
}

// within waits for what the writer's clock brings.
func within(t *testing.T, done func() bool) {
	t.Helper()
	for range 3000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}

// An error stays until the log takes lines again, and no line is lost meanwhile.
func TestFailingSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	var heard told
	config := sealedConfig(key)
	config.OnError, config.Sync, config.Retry = heard.add, SyncAlways, time.Millisecond
	var mu sync.Mutex
	failing, synced := true, 0
	config.fsync = func(*os.File) error {
		mu.Lock()
		defer mu.Unlock()
		if failing && synced > 1 {
			return errDisk
		}
		synced++
		return nil
	}
	w, err := Open(path, config)
	must(t, err)
	for i := range 5 {
		must(t, w.Write(event(fmt.Sprint(i))))
		_ = w.Flush()
	}
	within(t, func() bool { return errors.Is(w.Err(), errDisk) })
	mu.Lock()
	failing = false
	mu.Unlock()
	within(t, func() bool { return w.Err() == nil })
	must(t, w.Close())
	if heard.lost != 0 || synced < 3 {
		t.Errorf("%d lost, %d syncs", heard.lost, synced)
	}
	wantOK(t, verifyAll(t, path, key), 5, 5)
}

func TestSyncPolicies(t *testing.T) {
	for policy, want := range map[string]func(n int) bool{
		"always": func(n int) bool { return n >= 20 }, "interval": func(n int) bool { return n > 0 && n < 20 }, "never": func(n int) bool { return n == 0 },
	} {
		key := newKey(t, 1)
		config := sealedConfig(key)
		config.Sync, _ = ParseSyncPolicy(policy)
		n := 0
		config.fsync = func(*os.File) error { n++; return nil }
		w, err := Open(filepath.Join(t.TempDir(), "audit.log"), config)
		must(t, err)
		fill(t, w, 0, 20)
		if !want(n) { // the goroutine waits for the next request
			t.Errorf("%s: %d syncs", policy, n)
		}
		must(t, w.Close())
	}
	if _, ok := ParseSyncPolicy("sometimes"); ok {
		t.Error("an unknown policy")
	}
}

// Rotated files may be compressed, and the settings of a log changed while it is
// open.
func TestCompressedAndReconfigured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	w, err := Open(path, config)
	must(t, err)
	fill(t, w, 0, 20)
	config.MaxSize = 3000
	must(t, w.Configure(config))
	fill(t, w, 20, 40)
	must(t, w.Close())
	logs, points, err := Files(path)
	must(t, err)
	if len(logs) < 3 {
		t.Fatalf("%q", logs)
	}
	for _, name := range []string{logs[0], points[0]} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(read(t, name)))
		must(t, errors.Join(err, z.Close(), os.WriteFile(name+".gz", b.Bytes(), 0o600), os.Remove(name)))
	}
	wantOK(t, verifyAll(t, path, key), 40, 40)
	w, err = Open(path, config)
	must(t, err)
	fill(t, w, 40, 45)
	must(t, w.Close())
	wantOK(t, verifyAll(t, path, key), 45, 45)
}

// A log that is being written verifies at any moment.
func TestVerifyWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	w, err := Open(path, config)
	must(t, err)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				if errors.Is(w.Write(&full), ErrFull) {
					_ = w.Flush()
				}
			}
		}
	}()
	for range 10 {
		if r := verifyAll(t, path, key); !r.OK() {
			t.Errorf("%v", r.Problems)
		}
	}
	close(stop)
	<-done
	must(t, w.Close())
	if r := verifyAll(t, path, key); !r.OK() || r.Signed != r.Entries {
		t.Errorf("%v", r.Problems)
	}
}

func TestErrKeepsRoomInTheQueue(t *testing.T) {
	log := &stuck{entered: make(chan struct{}), release: make(chan struct{})}
	line := len(event("0").AppendJSON(nil)) + 1
	w := New(log, Config{MaxQueue: 6 * line})
	must(t, w.Write(event("0")))
	<-log.entered
	for i := range 3 {
		must(t, w.Write(event(fmt.Sprint(i))))
	}
	if w.Err() != nil {
		t.Errorf("half full: %v", w.Err())
	}
	must(t, w.Write(event("3")))
	if !errors.Is(w.Err(), ErrFull) {
		t.Errorf("more than half full: %v", w.Err())
	}
	must(t, w.Write(event("4"))) // there is room for requests under way
	close(log.release)
	must(t, w.Flush())
	if w.Err() != nil {
		t.Errorf("empty again: %v", w.Err())
	}
	must(t, w.Close())
}

func TestQuery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	key := newKey(t, 1)
	config := sealedConfig(key)
	config.MaxSize = 4000
	w, err := Open(path, config)
	must(t, err)
	for i := range 40 {
		e := full
		e.RequestID, e.Time = fmt.Sprint("r", i), noon.Add(time.Duration(i)*time.Minute)
		e.Status = 200 + i%4*100
		if i%2 == 1 {
			e.Tenant, e.Decision, e.Stage, e.Reason = "other", Deny, "verify", "token_expired"
		}
		must(t, w.Write(&e))
		must(t, w.Flush())
	}
	must(t, w.Close())
	logs, _, err := Files(path)
	must(t, err)
	for name, c := range map[string]struct {
		f Filter
		n int
	}{
		"all": {Filter{}, 40}, "request": {Filter{RequestID: "r7"}, 1}, "tenant": {Filter{Tenant: "other"}, 20}, "subject": {Filter{Subject: "user-1"}, 40},
		"decision": {Filter{Decision: Deny}, 20}, "stage": {Filter{Stage: "verify"}, 20}, "reason": {Filter{Reason: "token_expired"}, 20},
		"route": {Filter{Route: "remember"}, 40}, "no route": {Filter{Route: "r"}, 0}, "status": {Filter{Status: 401}, 0}, "exact": {Filter{Status: 400}, 10},
		"hundred": {Filter{Status: 5}, 10}, "since": {Filter{Since: noon.Add(30 * time.Minute)}, 10}, "until": {Filter{Until: noon.Add(30 * time.Minute)}, 30},
		"two": {Filter{Tenant: "other", Status: 3}, 10}, "principal": {Filter{Principal: "jti-9"}, 40}, "refusal": {Filter{Refusal: "none"}, 0},
	} {
		n, last := 0, ""
		skipped, err := Query(logs, c.f, func(line []byte, r *Record) error {
			if !bytes.Contains(line, []byte(`"request_id":"`+r.RequestID+`"`)) {
				t.Errorf("%s: %s with %s", name, r.RequestID, line)
			}
			n, last = n+1, r.RequestID
			return nil
		})
		if err != nil || skipped != 0 || n != c.n {
			t.Errorf("%s: %d events, want %d (%v, %d skipped, last %s)", name, n, c.n, err, skipped, last)
		}
	}
	n := 0
	if _, err := Query(logs, Filter{}, func([]byte, *Record) error { n++; return ErrStop }); err != nil || n != 1 {
		t.Errorf("stopped after %d: %v", n, err)
	}
}

// What a log takes for good: as fast as it can be written, up to the last line
// and its checkpoint.
//
//	go test -run '^$' -bench Sustained -count=6 ./filter/audit | benchstat -
func BenchmarkSustained(b *testing.B) {
	key := newKey(b, 1)
	for name, config := range map[string]Config{
		"plain": {}, "fsync=never": {Key: &key, Sync: SyncNever}, "fsync=interval": {Key: &key}, "fsync=always": {Key: &key, Sync: SyncAlways},
	} {
		b.Run(name, func(b *testing.B) {
			w, err := Open(filepath.Join(b.TempDir(), "audit.log"), config)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				for errors.Is(w.Write(&full), ErrFull) {
					if err := w.Flush(); err != nil {
						b.Fatal(err)
					}
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// One caller, who never waits for the disk: beside BenchmarkWrite.
func BenchmarkWriteSealed(b *testing.B) {
	key := newKey(b, 1)
	w, err := Open(filepath.Join(b.TempDir(), "audit.log"), Config{Key: &key, MaxQueue: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(&full); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
