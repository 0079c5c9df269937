// Command pilot is Istio's own translation without a cluster: it takes objects of
// Kubernetes and of Istio from files and serves what pilot makes of them to Envoy,
// on loopback. The tests of rendered objects run it (e2e/mesh).
//
// It is a module of its own, so that none of Istio gets into memgate's.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
)

func main() {
	objects := flag.String("objects", "", "file of Istio's objects")
	kubernetes := flag.String("kubernetes", "", "file of Kubernetes' objects")
	config := flag.String("mesh", "", "file of the mesh's configuration")
	flag.Parse()
	text := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		return string(b)
	}
	var m *meshconfig.MeshConfig
	m, err := mesh.ApplyMeshConfigDefaults(text(*config))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	f := new(failer)
	xds.NewFakeDiscoveryServer(f, xds.FakeOptions{
		ConfigString: text(*objects), KubernetesObjectString: text(*kubernetes), MeshConfig: m,
		ListenerBuilder:            func() (net.Listener, error) { return listener, nil },
		DisableSecretAuthorization: true,
	})
	fmt.Println("pilot serves at", listener.Addr())
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
	f.cleanup()
}

// failer is what pilot's own tests have for a test.
type failer struct{ after []func() }

func (f *failer) cleanup() {
	for i := len(f.after) - 1; i >= 0; i-- {
		f.after[i]()
	}
	f.after = nil
}

func (f *failer) Fail()                     { os.Exit(1) }
func (f *failer) FailNow()                  { os.Exit(1) }
func (f *failer) Failed() bool              { return false }
func (f *failer) Fatal(args ...any)         { log.Fatal(args...) }
func (f *failer) Fatalf(s string, a ...any) { log.Fatalf(s, a...) }
func (f *failer) Log(args ...any)           { log.Print(args...) }
func (f *failer) Logf(s string, a ...any)   { log.Printf(s, a...) }
func (f *failer) Error(args ...any)         { log.Fatal(args...) }
func (f *failer) Errorf(s string, a ...any) { log.Fatalf(s, a...) }
func (f *failer) Skip(args ...any)          { log.Fatal(args...) }
func (f *failer) SkipNow()                  { runtime.Goexit() }
func (f *failer) Cleanup(after func())      { f.after = append(f.after, after) }
func (f *failer) Helper()                   {}
func (f *failer) Name() string              { return "pilot" }
func (f *failer) Setenv(key, value string)  { _ = os.Setenv(key, value) }
func (f *failer) TempDir() string {
	dir, err := os.MkdirTemp("", "pilot-")
	if err != nil {
		log.Fatal(err)
	}
	f.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
