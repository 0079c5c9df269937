package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
	"github.com/memgate/memgate/memory-backend/store/qdrant/qdranttest"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// Tenants move from files to a Qdrant: interrupted, taken up again, compared, and served from there.
func TestMigrate(t *testing.T) {
	s := start(t)
	for i := range 120 {
		s.remember(t, "acme", fmt.Sprintf("green tea number %d", i))
	}
	s.remember(t, "other", "coffee")
	_, listed := s.call(t, "acme", "POST", "/api/v2/agents/bot/recall", `{"query":"number 7","limit":1}`)
	id := listed["memories"].([]any)[0].(map[string]any)["id"].(string)
	if code, a := s.call(t, "acme", "PATCH", "/api/v2/agents/bot/memories/"+id, `{"content":"black tea number 7","tags":["seven"]}`); code != 200 {
		t.Fatalf("%d %v", code, a)
	}
	s.stop()
	<-s.code

	server, port := qdranttest.Serve(t)
	at := fmt.Sprintf("http://127.0.0.1:%d", port)
	data := filepath.Join(s.dir, "data")
	args := []string{"migrate", "--from", "sqlite", "--to", "qdrant", "--data", data, "--qdrant", at}
	// It goes away in the middle.
	writes := 0
	server.With(func(s *qdranttest.State) {
		s.Before = func(method string) error {
			if method == "Upsert" {
				writes++
			}
			if writes > 3 { // the first says who writes
				return status.Error(codes.Unavailable, "gone")
			}
			return nil
		}
	})
	refused(t, "store is busy", args...)
	server.With(func(s *qdranttest.State) { s.Before = nil })
	out := must(t, args...)
	if !strings.Contains(out, `"acme": 120 memories, 70 of them new, checksum `) || !strings.Contains(out, `"other": 1 memories, 1 of them new`) ||
		!strings.Contains(out, "[##############################] 120 of 120 memories") {
		t.Errorf("%s", out)
	}
	if out := must(t, args...); !strings.Contains(out, "120 memories, 0 of them new") {
		t.Errorf("again: %s", out)
	}

	// The service goes on there, with the same keys.
	moved := startIn(t, s, data, "--qdrant", at)
	if n := moved.count(t, "acme"); n != 120 {
		t.Errorf("%d memories", n)
	}
	_, a := moved.call(t, "acme", "POST", "/api/v2/agents/bot/recall", `{"query":"black","tags":["seven"]}`)
	if list := a["memories"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != id {
		t.Errorf("%v", a)
	}
	moved.remember(t, "acme", "one more")
	moved.stop()
	<-moved.code
	refused(t, "there are 120 memories in the one and 121 in the other", args...)

	// A tenant that is dropped there has lost its keys, and its points.
	must(t, "tenant", "drop", "other", "--data", data, "--qdrant", at, "--yes")
	if out := must(t, "tenant", "list", "--data", data, "--qdrant", at); out != "\"acme\"\n" {
		t.Errorf("tenants %s", out)
	}
	refused(t, "this is for files", "backup", "--data", data, "--qdrant", at, "--to", filepath.Join(s.dir, "backup"))
}

func TestMigrateUsage(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "--from sqlite --to qdrant", "migrate", "--data", dir)
	refused(t, "--from sqlite --to qdrant", "migrate", "--data", dir, "--from", "qdrant", "--to", "sqlite", "--qdrant", "http://localhost:1")
	refused(t, "--qdrant must be", "serve", "--data", dir, "--txn-jwks", key, "--qdrant", "localhost:6334")
	refused(t, "--qdrant must be", "serve", "--data", dir, "--txn-jwks", key, "--qdrant", "http://user:pass@localhost:6334")
	refused(t, "is empty", "serve", "--data", dir, "--txn-jwks", key, "--qdrant", "http://localhost:6334", "--qdrant-api-key-file", key)
	refused(t, "encrypted only", "serve", "--data", dir, "--txn-jwks", key, "--qdrant", "http://localhost:6334", "--master-key", "none")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "with TLS only", "serve", "--data", dir, "--txn-jwks", key, "--qdrant", "http://qdrant.example.com:6334", "--qdrant-api-key-file", key)
}

// Every kind of record moves, and what is there already stays.
func TestMigrateRecords(t *testing.T) {
	files := func() *sqlite.Store {
		s, err := sqlite.Open(sqlite.Config{Dir: t.TempDir(), Now: time.Now, Random: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	source, target := files(), files()
	put := func(s *sqlite.Store, kind, name, value string) {
		if err := s.EditRecords(t.Context(), "acme", kind, []string{name}, func(string, []byte) ([]byte, error) { return []byte(value), nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range rights.RecordKinds() {
		for i := range migrateStep + 5 {
			put(source, kind, fmt.Sprint("n", i), kind+" value")
		}
		put(target, kind, "n7", "newer")
	}
	if err := migrate(t.Context(), source, target, "", io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, kind := range rights.RecordKinds() {
		for name, want := range map[string]string{"n0": kind + " value", fmt.Sprint("n", migrateStep+4): kind + " value", "n7": "newer"} {
			if got, err := target.Record(t.Context(), "acme", kind, name); err != nil || string(got) != want {
				t.Errorf("%s %s: %q, %v", kind, name, got, err)
			}
		}
	}
	if err := migrate(t.Context(), source, target, "nobody", io.Discard, io.Discard); err == nil {
		t.Error("a tenant that does not exist was moved")
	}
}

// As many memories on both sides that say other things are no move.
func TestMigrateCompares(t *testing.T) {
	at := time.Unix(1, 0).UTC()
	files := func(content string) *sqlite.Store {
		s, err := sqlite.Open(sqlite.Config{Dir: t.TempDir(), Now: time.Now, Random: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		m := &memory.Memory{ID: "1", Agent: "bot", Content: content, Created: at, Updated: at}
		if err := s.Add(t.Context(), "acme", memory.Write{By: "w", At: at}, []*memory.Memory{m}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	source, target := files("green tea"), files("black tea")
	if err := migrate(t.Context(), source, target, "", io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "which differ") {
		t.Errorf("%v", err)
	}
	if m, err := target.Get(t.Context(), "acme", "1", nil); err != nil || m.Content != "black tea" {
		t.Errorf("%+v, %v", m, err)
	}
}
