package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memgate/memgate/memory-backend/store/qdrant/qdranttest"
)

// Commands that write to a Qdrant do so when no service does; those that read work beside it; a service that was killed has its
// place taken at once, and what is for files says what to do instead.
func TestCommandsOnAQdrant(t *testing.T) {
	server, port := qdranttest.Serve(t)
	at := fmt.Sprintf("http://127.0.0.1:%d", port)
	s := start(t, "--qdrant", at)
	data := filepath.Join(s.dir, "data")
	on := []string{"--data", data, "--qdrant", at}
	with := func(args ...string) []string { return append(args, on...) }
	s.remember(t, "acme", "Alice plays the violin")

	if out := must(t, with("tenant", "list")...); out != "\"acme\"\n" {
		t.Errorf("%s", out)
	}
	if out := must(t, with("doctor")...); !strings.Contains(out, "all is well: 1 tenants") {
		t.Errorf("%s", out)
	}
	out := filepath.Join(t.TempDir(), "out.ndjson")
	must(t, with("export", "--tenant", "acme", "--to", out)...)
	must(t, with("keys", "rotate")...)
	s.remember(t, "acme", "Bob plays the cello")
	refused(t, "snapshots", with("backup", "--to", filepath.Join(t.TempDir(), "backup"))...)

	s.stop()
	<-s.code
	if out := must(t, with("keys", "rotate", "--re-encrypt")...); !strings.Contains(out, `of "acme" are sealed with it alone`) {
		t.Errorf("%s", out)
	}
	if out := must(t, with("keys", "status")...); strings.Count(strings.SplitN(out, `"acme"`, 2)[1], " ") == 0 {
		t.Errorf("%s", out)
	}
	// It is killed: the lease is as it was.
	var lease string
	server.With(func(q *qdranttest.State) {
		for id, p := range q.Points {
			if p.Payload["kind"].GetStringValue() == "lease" {
				lease = id
			}
		}
	})
	again := startIn(t, s, data, "--qdrant", at)
	again.remember(t, "acme", "Carla plays the flute")
	if n := again.count(t, "acme"); n != 3 || lease == "" {
		t.Errorf("%d memories, lease %q", n, lease)
	}
	name, err := os.ReadFile(filepath.Join(data, holderFile))
	if err != nil {
		t.Fatal(err)
	}
	server.With(func(q *qdranttest.State) {
		if got := q.Points[lease].Payload["holder"].GetStringValue(); got != string(name) || got == "" {
			t.Errorf("%q writes, the file says %q", got, name)
		}
	})
	// Beside it, from another directory with the same keys, nothing is written.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(other, holderFile)), filepath.WalkDir(other, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})); err != nil {
		t.Fatal(err)
	}
	refused(t, "stop it first", "tenant", "drop", "acme", "--yes", "--data", other, "--qdrant", at)
	if n := again.count(t, "acme"); n != 3 {
		t.Errorf("%d memories", n)
	}
	// A key that does not open what is there is found.
	again.stop()
	<-again.code
	server.With(func(q *qdranttest.State) {
		for _, p := range q.Points {
			if p.Payload["kind"].GetStringValue() == "memory" {
				p.Payload["data"] = p.Payload["tenant"]
			}
		}
	})
	refused(t, "damaged", with("doctor")...)
	server.With(func(q *qdranttest.State) { q.Made = nil })
	refused(t, "collection", with("doctor")...)
}
