//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Environment of the test's own program when it is the writer that is killed.
const (
	stormLog = "MEMGATE_TEST_STORM_LOG"
	stormKey = "MEMGATE_TEST_STORM_KEY"
	stormRun = "MEMGATE_TEST_STORM_RUN"
)

// TestStorm is the program that [TestKilledInAStorm] kills.
func TestStorm(t *testing.T) {
	path := os.Getenv(stormLog)
	if path == "" {
		return // it is no test of its own
	}
	key, err := LoadKey(os.Getenv(stormKey))
	must(t, err)
	w, err := Open(path, Config{Key: &key, Sync: SyncNever, Entries: 50, MaxSize: 256 << 10, OnError: func(err error, _ int) { fmt.Println(err) }})
	must(t, err)
	for i := 0; ; i++ {
		e := full
		e.RequestID = os.Getenv(stormRun) + "-" + strconv.Itoa(i)
		for errors.Is(w.Write(&e), ErrFull) {
			must(t, w.Flush())
		}
		if i == 0 {
			must(t, w.Flush())
			must(t, os.WriteFile(path+"-started", nil, 0o600))
		}
	}
}

// A writer is killed again and again while it writes as fast as it can. Nothing
// of what was written is lost, and the log verifies.
func TestKilledInAStorm(t *testing.T) {
	dir := t.TempDir()
	path, keyPath := filepath.Join(dir, "audit.log"), filepath.Join(dir, "key")
	key, err := LoadOrCreateKey(keyPath, seed(1))
	must(t, err)
	before := int64(0)
	for run := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestStorm$")
		cmd.Env = append(os.Environ(), stormLog+"="+path, stormKey+"="+keyPath, stormRun+"="+strconv.Itoa(run))
		must(t, cmd.Start())
		started := path + "-started"
		within(t, func() bool { _, err := os.Stat(started); return err == nil })
		time.Sleep(time.Duration(run) * 7 * time.Millisecond) // somewhere in the storm
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		must(t, os.Remove(started))

		// It verifies as it was left, too, but for what no checkpoint covers yet.
		r := verifyAll(t, path, key)
		if !r.OK() || r.Entries < before {
			t.Fatalf("run %d: %d entries after %d: %v", run, r.Entries, before, r.Problems)
		}
		before = r.Entries
	}
	var heard told
	w, err := Open(path, Config{Key: &key, OnError: heard.add})
	must(t, err)
	must(t, w.Write(&full))
	must(t, w.Close())
	if len(heard.errs) > 0 {
		t.Errorf("told %v", heard.errs)
	}
	r := verifyAll(t, path, key)
	if !r.OK() || r.Signed != r.Entries || r.Entries <= before {
		t.Fatalf("%d entries after %d, %d signed: %v", r.Entries, before, r.Signed, r.Problems)
	}
	// Each run's events are there in their order and without a gap.
	next := map[string]int{}
	logs, _, err := Files(path)
	must(t, err)
	skipped, err := Query(logs, Filter{}, func(_ []byte, rec *Record) error {
		if rec.RequestID == full.RequestID {
			return nil
		}
		run, n := rec.RequestID[:1], rec.RequestID[2:]
		if n != strconv.Itoa(next[run]) {
			return fmt.Errorf("run %s: event %s instead of %d", run, n, next[run])
		}
		next[run]++
		return nil
	})
	must(t, err)
	if skipped > 6 {
		t.Errorf("%d torn lines of 6 crashes", skipped)
	}
	t.Logf("%d entries in %d files, %d torn lines", r.Entries, len(logs), skipped)
}

// A disk that is full: writes fail in the middle of a line, are told, and go on
// when there is room again, with nothing lost.
func TestDiskFull(t *testing.T) {
	if os.Getenv(stormLog) == "" { // the limit is the process's
		cmd := exec.Command(os.Args[0], "-test.run", "^TestDiskFull$", "-test.v")
		cmd.Env = append(os.Environ(), stormLog+"="+filepath.Join(t.TempDir(), "audit.log"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	path := os.Getenv(stormLog)
	key := newKey(t, 1)
	var heard told
	w, err := Open(path, Config{Key: &key, Entries: 10, Retry: time.Millisecond, OnError: heard.add})
	must(t, err)
	fill(t, w, 0, 15)
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	info, err := os.Stat(path)
	must(t, err)
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(info.Size()) + 900, Max: limit.Max}))
	for i := 15; i < 30; i++ {
		must(t, w.Write(event(fmt.Sprint("r", i))))
		_ = w.Flush()
	}
	if !errors.Is(w.Err(), unix.EFBIG) {
		t.Errorf("Err: %v", w.Err())
	}
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	within(t, func() bool { return w.Err() == nil })
	fill(t, w, 30, 35)
	must(t, w.Close())
	if !heard.has(unix.EFBIG) || heard.lost != 0 {
		t.Errorf("told %v, %d lost", heard.errs, heard.lost)
	}
	wantOK(t, verifyAll(t, path, key), 35, 35)
}
