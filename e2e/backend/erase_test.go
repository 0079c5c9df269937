package backend

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// TestEraseBesideAnotherProcess asks to erase a tenant while another process, such as a backup, has the data open: 503, and nothing is
// destroyed, neither keys nor memories. When that has ended, the same request goes through.
func TestEraseBesideAnotherProcess(t *testing.T) {
	e, data := newEdge(t), filepath.Join(t.TempDir(), "data")
	s := e.serve(t, "", nil, "--data", data)
	s.remember(t, "a", "Alice plays the violin")
	other, err := sqlite.Open(sqlite.Config{Dir: data, Now: time.Now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	const path, body = "/api/v2/erase", `{"tenant":"a"}`
	status, a := s.ask(t, "a", "POST", path, body)
	if status != 503 {
		t.Errorf("beside another process: %d %v", status, a)
	}
	if status, a := s.ask(t, "a", "POST", "/api/v2/agents/bot/recall", `{"query":"violin"}`); status != 200 || a["count"] != 1.0 {
		t.Errorf("after a refusal: %d %v", status, a)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if status, a := s.ask(t, "a", "POST", path, body); status != 200 || a["verified"] != true {
		t.Errorf("alone: %d %v", status, a)
	}
	if status, a := s.ask(t, "a", "POST", "/api/v2/agents/bot/recall", `{"query":"violin"}`); status != 200 || a["count"] != 0.0 {
		t.Errorf("erased: %d %v", status, a)
	}
}
