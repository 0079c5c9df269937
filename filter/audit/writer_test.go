package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// never is a retry that does not come within a test.
const never = 24 * time.Hour

func event(id string) *Event { return &Event{Time: noon, RequestID: id, Decision: Allow} }

// ids checks that text is whole lines and returns their request ids.
func ids(t *testing.T, text string) []string {
	t.Helper()
	if text != "" && !strings.HasSuffix(text, "\n") {
		t.Fatalf("the last line is not ended: %q", text)
	}
	var list []string
	for line := range strings.Lines(text) {
		list = append(list, decode(t, []byte(line)).RequestID)
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w, err := Open(path, Config{})
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
	must(t, w.Write(event("1")))
	must(t, w.Flush())
	if got := ids(t, read(t, path)); len(got) != 1 {
		t.Errorf("after Flush there is %q", got)
	}
	must(t, w.Write(event("2")))
	must(t, w.Close())
	must(t, w.Close())
	if err := w.Write(event("3")); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := w.Flush(); !errors.Is(err, ErrClosed) {
		t.Errorf("Flush after Close: %v", err)
	}

	// A second run appends.
	w, err = Open(path, Config{})
	must(t, err)
	must(t, w.Write(event("4")))
	must(t, w.Close())
	if got := fmt.Sprint(ids(t, read(t, path))); got != "[1 2 4]" {
		t.Errorf("the log has %s", got)
	}
	if s := w.Stats(); s != (Stats{Written: 1}) {
		t.Errorf("%+v", s)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "missing", "audit.log"), Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	if _, err := Open(dir, Config{}); err == nil {
		t.Error("a folder is taken for a log")
	}
	path := filepath.Join(dir, "audit.log")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Chmod(path, 0o604))
	if _, err := Open(path, Config{}); !errors.Is(err, ErrOpenToAll) {
		t.Errorf("a file for everyone: %v", err)
	}
	must(t, os.Chmod(path, 0o640))
	w, err := Open(path, Config{})
	must(t, err)
	must(t, w.Close())
}

func TestTornLineOfACrashIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	must(t, os.WriteFile(path, []byte(`{"time":"20`), 0o600))
	w, err := Open(path, Config{})
	must(t, err)
	must(t, w.Write(event("1")))
	must(t, w.Close())
	_, rest, _ := strings.Cut(read(t, path), "\n")
	if got := fmt.Sprint(ids(t, rest)); got != "[1]" {
		t.Errorf("after the torn line there is %s", got)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var told []error
	w, err := Open(path, Config{OnError: func(err error, _ int) { told = append(told, err) }})
	must(t, err)
	must(t, w.Write(event("1")))
	must(t, os.Rename(path, path+".1"))
	must(t, w.Write(event("2")))
	must(t, w.Reopen())
	must(t, w.Write(event("3")))
	must(t, w.Flush())
	if got := fmt.Sprint(ids(t, read(t, path+".1")), ids(t, read(t, path))); got != "[1 2] [3]" {
		t.Errorf("the logs have %s", got)
	}

	// A path that cannot be opened leaves the old file in use.
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o700))
	if err := w.Reopen(); err == nil || len(told) != 1 {
		t.Errorf("Reopen: %v, told %v", err, told)
	}
	must(t, w.Write(event("4")))
	must(t, w.Close())
	if s := w.Stats(); s != (Stats{Written: 4, Failed: 1}) {
		t.Errorf("%+v", s)
	}
}

func TestConcurrentWritesAreWholeLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w, err := Open(path, Config{})
	must(t, err)
	const writers, each = 8, 500
	var group sync.WaitGroup
	for g := range writers {
		group.Go(func() {
			for i := range each {
				if err := w.Write(event(fmt.Sprint(g, "-", i))); err != nil {
					t.Error(err)
				}
				if i%100 == 0 {
					if err := w.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	must(t, w.Close())
	next := map[string]int{}
	got := ids(t, read(t, path))
	for _, id := range got {
		writer, n, _ := strings.Cut(id, "-")
		if fmt.Sprint(next[writer]) != n {
			t.Fatalf("writer %s: %s follows after %d lines", writer, n, next[writer])
		}
		next[writer]++
	}
	if len(got) != writers*each {
		t.Errorf("%d of %d lines", len(got), writers*each)
	}
}

// flaky fails as often as it is told, after taking some bytes.
type flaky struct {
	mu    sync.Mutex
	fails int
	takes int
	got   bytes.Buffer
}

var errDisk = errors.New("no space left on device")

func (f *flaky) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		n := min(f.takes, len(p))
		f.got.Write(p[:n])
		return n, errDisk
	}
	return f.got.Write(p)
}

func (f *flaky) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got.String()
}

func TestFailedWriteIsToldAndFinished(t *testing.T) {
	var mu sync.Mutex
	var told []string
	log := &flaky{fails: 2, takes: 17}
	w := New(log, Config{Retry: never, OnError: func(err error, lost int) {
		mu.Lock()
		told = append(told, fmt.Sprint(err, lost))
		mu.Unlock()
	}})
	must(t, w.Write(event("1")))
	for {
		// One of the two failures may be met by the goroutine on its own.
		if err := w.Flush(); err == nil {
			break
		} else if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
	}
	must(t, w.Write(event("2")))
	must(t, w.Close())
	if got := fmt.Sprint(ids(t, log.String())); got != "[1 2]" {
		t.Errorf("the log has %s", got)
	}
	if got := fmt.Sprint(told); got != fmt.Sprintf("[%v 0 %v 0]", errDisk, errDisk) {
		t.Errorf("told %s", got)
	}
	if s := w.Stats(); s != (Stats{Written: 2, Failed: 2}) {
		t.Errorf("%+v", s)
	}
}

func TestRetryComesByItself(t *testing.T) {
	log := &flaky{fails: 3}
	failures := make(chan error, 3)
	w := New(log, Config{Retry: time.Millisecond, OnError: func(err error, _ int) { failures <- err }})
	must(t, w.Write(event("1")))
	for range 3 {
		if err := <-failures; !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	if got := fmt.Sprint(ids(t, log.String())); got != "[1]" {
		t.Errorf("the log has %s", got)
	}
}

func TestLossAtCloseIsCounted(t *testing.T) {
	lost := 0
	log := &flaky{fails: 1 << 30, takes: 1}
	w := New(log, Config{Retry: never, OnError: func(_ error, n int) { lost += n }})
	for i := range 3 {
		must(t, w.Write(event(fmt.Sprint(i))))
	}
	if err := w.Close(); !errors.Is(err, ErrLost) || !errors.Is(err, errDisk) {
		t.Errorf("Close: %v", err)
	}
	if s := w.Stats(); s.Lost != 3 || lost != 3 || s.Written != 0 {
		t.Errorf("%+v, told of %d", s, lost)
	}
}

// stuck is a log that takes nothing until it is let go.
type stuck struct {
	entered, release chan struct{}
	once             sync.Once
	bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.entered) })
	<-s.release
	return s.Buffer.Write(p)
}

func TestFullQueueLosesLoudly(t *testing.T) {
	log := &stuck{entered: make(chan struct{}), release: make(chan struct{})}
	line := len(event("0").AppendJSON(nil)) + 1
	lost := 0
	w := New(log, Config{MaxQueue: 3 * line, OnError: func(err error, n int) {
		if errors.Is(err, ErrFull) {
			lost += n
		}
	}})
	must(t, w.Write(event("0")))
	<-log.entered // the first line is on its way, the queue is empty
	for i := 1; i <= 3; i++ {
		must(t, w.Write(event(fmt.Sprint(i))))
	}
	for range 2 {
		if err := w.Write(event("x")); !errors.Is(err, ErrFull) {
			t.Errorf("a fourth waiting line: %v", err)
		}
	}
	close(log.release)
	must(t, w.Close())
	if got := fmt.Sprint(ids(t, log.String())); got != "[0 1 2 3]" {
		t.Errorf("the log has %s", got)
	}
	if s := w.Stats(); s != (Stats{Written: 4, Lost: 2}) || lost != 2 {
		t.Errorf("%+v, told of %d", s, lost)
	}
}

// lying breaks the contract of io.Writer.
type lying struct{ n int }

func (l lying) Write([]byte) (int, error) { return l.n, nil }

func TestBrokenLogDoesNotBreakTheWriter(t *testing.T) {
	for _, n := range []int{-1, 0, 1 << 20} {
		w := New(lying{n}, Config{Retry: never})
		must(t, w.Write(event("1")))
		if err := w.Close(); !errors.Is(err, io.ErrShortWrite) || !errors.Is(err, ErrLost) {
			t.Errorf("a log that answers %d: %v", n, err)
		}
	}
}

// TestTornLineGoesWholeIntoTheNewFile fails the old file in the middle of a line
// and rotates.
func TestTornLineGoesWholeIntoTheNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file, err := openLog(path)
	must(t, err)
	first := len(event("1").AppendJSON(nil)) + 1
	w := build(&flaky{fails: 2, takes: first/2 + 1}, Config{Retry: never})
	w.path, w.file = path, file
	w.queue = append(event("1").AppendJSON(nil), '\n')
	w.queue = append(event("2").AppendJSON(w.queue), '\n')
	must(t, os.Rename(path, path+".1"))
	if err := w.drain(); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	if err := w.rotate(); err != nil { // its own drain fails in the second line
		t.Fatal(err)
	}
	must(t, w.end())
	if got := fmt.Sprint(ids(t, read(t, path))); got != "[2]" {
		t.Errorf("the new file has %s", got)
	}
}

func BenchmarkWrite(b *testing.B) {
	w, err := Open(filepath.Join(b.TempDir(), "audit.log"), Config{MaxQueue: 1 << 30})
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
