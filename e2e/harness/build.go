package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

// Root is the repository's root folder.
func Root() string {
	if _, file, _, _ := runtime.Caller(0); filepath.IsAbs(file) {
		return filepath.Dir(filepath.Dir(filepath.Dir(file)))
	}
	// Built with -trimpath: a test runs in the folder of its package.
	folder, err := os.Getwd()
	for ; err == nil && folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
	}
	return "."
}

// EnvoyPath finds Envoy: $ENVOY, then PATH, then .tools/bin/envoy, where
// tools/envoy.sh puts it.
func EnvoyPath() (string, error) {
	if path := os.Getenv("ENVOY"); path != "" {
		return exec.LookPath(path)
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(filepath.Join(Root(), ".tools", "bin", "envoy"))
	if err != nil {
		return "", fmt.Errorf("no Envoy: set ENVOY to a binary, or run tools/envoy.sh, which fetches one (%w)", err)
	}
	return path, nil
}

// target is a binary that the suites run.
type target struct {
	name, dir string
	env, args []string

	once sync.Once
	path string
	err  error
}

var (
	wasmTarget = target{
		name: "memgate.wasm", dir: "./wasm",
		env:  []string{"GOOS=wasip1", "GOARCH=wasm"},
		args: []string{"-buildmode=c-shared"},
	}
	overwritingTarget = target{
		name: "overwriting.wasm", dir: wasmTarget.dir, env: wasmTarget.env,
		args: append([]string{"-tags=overwrite"}, wasmTarget.args...),
	}
	memgateTarget = target{name: "memgate", dir: "./filter/cmd/memgate"}
	backendTarget = target{name: "memory-backend", dir: "./memory-backend/cmd/memory-backend"}
)

// Wasm builds the filter from the working tree and returns its path.
func Wasm(t T) string { t.Helper(); return wasmTarget.build(t) }

// OverwritingWasm builds the filter so that it overwrites what the proxy lent it as soon as
// a callback is over: what it should have copied shows.
func OverwritingWasm(t T) string { t.Helper(); return overwritingTarget.build(t) }

// BuildWasm builds another filter, from a package of this module, and returns
// its path. It is for suites that need a filter that misbehaves.
func BuildWasm(t T, name, dir string) string {
	t.Helper()
	b := target{name: name + ".wasm", dir: dir, env: wasmTarget.env, args: wasmTarget.args}
	return b.build(t)
}

// Memgate builds the memgate command from the working tree and returns its path.
func Memgate(t T) string { t.Helper(); return memgateTarget.build(t) }

// MemoryBackend builds the memory service from the working tree and returns its
// path.
func MemoryBackend(t T) string { t.Helper(); return backendTarget.build(t) }

// build leaves the binary in build/e2e, so that it is linked again only when
// something changed. Packages of tests run side by side: one builds at a time.
func (b *target) build(t T) string {
	t.Helper()
	b.once.Do(func() { b.path, b.err = b.make() })
	if b.err != nil {
		t.Fatalf("building %s: %v", b.name, b.err)
	}
	return b.path
}

func (b *target) make() (string, error) {
	dir := filepath.Join(Root(), "build", "e2e")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, b.name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(dir, b.name)
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}, b.args...)
	cmd := exec.Command("go", append(args, b.dir)...)
	cmd.Dir = Root()
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), b.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}
