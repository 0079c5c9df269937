package harness

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// T is what the harness needs of a test. A [testing.T] is one, and [Main] makes
// one for what a whole suite shares.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Failed() bool
	TempDir() string
}

// Main runs the tests of a package with what start started for all of them. Call
// it from TestMain:
//
//	func TestMain(m *testing.M) {
//		harness.Main(m, func(t harness.T) { edge = harness.StartWasm(t, harness.WasmOptions{}) })
//	}
//
// What start began is ended when the tests are over. It does not return.
func Main(m *testing.M, start func(t T)) {
	s := &suite{}
	code := s.run(func() int { start(s); return m.Run() })
	os.Exit(code)
}

// suite is the T of a whole package.
type suite struct {
	mu      sync.Mutex
	cleanup []func()
	failed  bool
}

// fatal ends what a suite does after its failure was printed.
type fatal struct{}

func (s *suite) run(tests func() int) (code int) {
	code = 1
	defer func() {
		r := recover()
		s.failed = s.failed || code != 0
		s.end()
		if r != nil && r != (fatal{}) {
			panic(r)
		}
	}()
	code = tests()
	return code
}

// end ends what was started.
func (s *suite) end() {
	for i := len(s.cleanup) - 1; i >= 0; i-- {
		s.cleanup[i]()
	}
}

func (s *suite) Helper() {}

func (s *suite) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (s *suite) Fatalf(format string, args ...any) {
	s.Logf(format, args...)
	s.failed = true
	panic(fatal{})
}

func (s *suite) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanup = append(s.cleanup, f)
}

func (s *suite) Failed() bool { return s.failed }

func (s *suite) TempDir() string {
	dir, err := os.MkdirTemp("", "memgate-e2e-")
	if err != nil {
		s.Fatalf("temporary folder: %v", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
