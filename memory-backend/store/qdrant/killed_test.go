package qdrant

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// realQdrant is a Qdrant of this test's own, by the binary that QDRANT_BIN names.
type realQdrant struct {
	binary, dir string
	http, grpc  int
	cmd         *exec.Cmd
}

func (q *realQdrant) start(t *testing.T) {
	t.Helper()
	q.cmd = exec.Command(q.binary)
	q.cmd.Dir = q.dir
	q.cmd.Env = append(os.Environ(), "QDRANT__SERVICE__HOST=127.0.0.1", fmt.Sprint("QDRANT__SERVICE__HTTP_PORT=", q.http), fmt.Sprint("QDRANT__SERVICE__GRPC_PORT=", q.grpc),
		"QDRANT__STORAGE__STORAGE_PATH="+filepath.Join(q.dir, "storage"), "QDRANT__TELEMETRY_DISABLED=true")
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := q.cmd
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 1200 {
		if r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", q.http)); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("Qdrant is not ready")
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A Qdrant that is killed in a storm of writes, twice, and comes back has every memory that was acknowledged, with its history,
// and nothing in halves. Writers go on by themselves.
//
//	QDRANT_BIN=/path/to/qdrant go test ./memory-backend/store/qdrant -run Killed -v
func TestQdrantIsKilled(t *testing.T) {
	binary := os.Getenv("QDRANT_BIN")
	if binary == "" {
		t.Skip("QDRANT_BIN names no Qdrant")
	}
	q := &realQdrant{binary: binary, dir: t.TempDir(), http: freePort(t), grpc: freePort(t)}
	q.start(t)
	c := config(t, q.grpc)
	c.Timeout = 10 * time.Second
	s := openStore(t, c)
	const want = 200
	var mu sync.Mutex
	acknowledged := make(map[string]string)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	var wg sync.WaitGroup
	for writer := range 4 {
		wg.Go(func() {
			tenant := fmt.Sprint("tenant", writer%2)
			for i := 0; ctx.Err() == nil; i++ {
				m := canary(fmt.Sprintf("%d-%d", writer, i))
				if err := s.Add(ctx, tenant, by, []*memory.Memory{m}); err != nil {
					continue // it is away
				}
				mu.Lock()
				acknowledged[m.ID] = tenant
				mu.Unlock()
			}
		})
	}
	reached := func(n int) {
		t.Helper()
		for range 3000 {
			mu.Lock()
			got := len(acknowledged)
			mu.Unlock()
			if got >= n {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("%d writes were not acknowledged", n)
	}
	for round := 1; round <= 2; round++ {
		reached(round * want)
		if err := q.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = q.cmd.Wait()
		q.start(t)
	}
	reached(3 * want)
	stop()
	wg.Wait()
	for id, tenant := range acknowledged {
		if m, err := s.Get(t.Context(), tenant, id, nil); err != nil || m.Content != canary(id).Content {
			t.Errorf("%s: %v", id, err)
		}
		if changes, err := s.History(t.Context(), tenant, id, ""); err != nil || len(changes) != 1 {
			t.Errorf("%s: %d changes, %v", id, len(changes), err)
		}
	}
	for i := range 2 {
		if _, err := s.Inspect(t.Context(), fmt.Sprint("tenant", i)); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d acknowledged writes, none lost", len(acknowledged))
}
