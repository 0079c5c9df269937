package backend

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// files is how many files a service may have open: what 12 tenants need (each five connections with two files each, and one
// that they share), 40 for callers and as many for itself.
const (
	files     = 12*11 + 80
	mostOpen  = 12
	tenants   = 10_000
	mostGrown = 48 << 20 // of its memory, between the first tenth of the tenants and all of them
)

// TestTenThousandTenants asks for a memory of each of ten thousand tenants, and writes to each hundredth, by a service that may have
// few files open: it never runs out of them, keeps no more of them and no more memory with the tenants that it saw, and gives nobody what is another's.
func TestTenThousandTenants(t *testing.T) {
	e, data := newEdge(t), filepath.Join(t.TempDir(), "data")
	id := manyTenants(t, e, data)
	s := e.serve(t, fmt.Sprintf("ulimit -n %d; ", files), nil, "--data", data, "--master-key", "none", "--max-open-tenants", fmt.Sprint(mostOpen), "--max-connections", "40")
	var wg sync.WaitGroup
	next := make(chan int)
	for range 4 {
		wg.Go(func() {
			for i := range next {
				status, a := s.ask(t, tenant(i), "GET", "/api/v2/agents/bot/memories/"+id, "")
				if content := fmt.Sprint(a["content"]); status != 200 || content != "of "+tenant(i) {
					t.Errorf("%s: %d %v", tenant(i), status, a)
				}
				if i%100 == 0 {
					s.remember(t, tenant(i), "another of "+tenant(i))
				}
			}
		})
	}
	early := 0
	for i := range tenants {
		if next <- i; i == tenants/10 {
			early = s.resident(t)
		}
		if i%50 == 0 {
			if n := s.openFiles(t); n > files {
				t.Errorf("%d files are open after %d tenants", n, i)
			}
		}
	}
	close(next)
	wg.Wait()
	late, open := s.resident(t), s.openFiles(t)
	t.Logf("%d tenants: %d files open at the end, %d may be; resident %d KiB after %d, %d KiB after all", tenants, open, files, early>>10, tenants/10, late>>10)
	if late > early+mostGrown {
		t.Errorf("resident memory grew from %d to %d bytes", early, late)
	}
	for _, i := range []int{0, 100, tenants - 100} {
		if status, a := s.ask(t, tenant(i), "POST", "/api/v2/agents/bot/recall", `{"query":"another"}`); status != 200 || a["count"] != 1.0 {
			t.Errorf("%s: %d %v", tenant(i), status, a)
		}
	}
}

func tenant(i int) string { return fmt.Sprintf("tenant-%05d", i) }

// manyTenants makes the files of all tenants from that of one, which holds a memory whose id it returns. All have it by the
// same id, and each with its own name in it.
func manyTenants(t *testing.T, e *edge, data string) (id string) {
	t.Helper()
	s := e.serve(t, "", nil, "--data", data, "--master-key", "none")
	id = s.remember(t, tenant(0), "of "+tenant(0))
	s.Stop()
	path := filepath.Join(data, sqlite.FileName(tenant(0)))
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM", "PRAGMA journal_mode=WAL"} { // small
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	one, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < tenants; i++ {
		other := bytes.ReplaceAll(one, []byte(tenant(0)), []byte(tenant(i)))
		if err := os.WriteFile(filepath.Join(data, sqlite.FileName(tenant(i))), other, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// openFiles counts the files that the service has open.
func (s *service) openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// resident is the memory that the service occupies, in bytes.
func (s *service) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
