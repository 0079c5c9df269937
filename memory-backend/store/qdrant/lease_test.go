package qdrant

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/qdrant/qdranttest"
)

// One process writes at a time. Others read, are not ready and refuse writes until it ends, which it says or which they see.
func TestOneWriter(t *testing.T) {
	_, port := qdranttest.Serve(t)
	c := config(t, port)
	first, second := openStore(t, c), openStore(t, c)
	add := func(s *Store, id string) error { return s.Add(t.Context(), "a", by, []*memory.Memory{canary(id)}) }
	if err := errors.Join(first.Ready(t.Context()), second.Ready(t.Context()), add(first, "m1")); err != nil {
		t.Fatal(err)
	}
	if err := add(second, "m2"); !errors.Is(err, ErrOtherWriter) || !errors.Is(err, memory.ErrBusy) {
		t.Errorf("a second writer: %v", err)
	}
	if _, err := second.DropTenant(t.Context(), "a"); !errors.Is(err, ErrOtherWriter) {
		t.Errorf("a second writer drops a tenant: %v", err)
	}
	if err := second.Ready(t.Context()); !errors.Is(err, ErrOtherWriter) {
		t.Errorf("a second writer is ready: %v", err)
	}
	if m, err := second.Get(t.Context(), "a", "m1", nil); err != nil || m.Seq == 0 {
		t.Errorf("reading: %v", err)
	}
	if err := errors.Join(first.Ready(t.Context()), add(first, "m3"), first.Close()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second.Ready(t.Context()), add(second, "m4")); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	numbered(t, second, 3)
}

// A process that has ended without a word is waited for, and writes no more when it comes back; one in its place goes on at once.
func TestTheWriterDies(t *testing.T) {
	server, port := qdranttest.Serve(t)
	c := config(t, port)
	c.Lease = 2 * time.Second
	first, second := openStore(t, c), openStore(t, c)
	add := func(s *Store, id string) error { return s.Add(t.Context(), "a", by, []*memory.Memory{canary(id)}) }
	if err := add(first, "m1"); err != nil {
		t.Fatal(err)
	}
	// It hangs: its lease runs out.
	first.lease.mu.Lock()
	close(first.lease.stop)
	<-first.lease.done
	first.lease.stop = nil
	first.lease.mu.Unlock()
	if err := second.Claim(t.Context()); err != nil {
		t.Fatalf("the second does not get its turn: %v", err)
	}
	if err := add(second, "m2"); err != nil {
		t.Fatal(err)
	}
	if err := add(first, "m3"); !errors.Is(err, ErrOtherWriter) {
		t.Errorf("the first is back: %v", err)
	}
	numbered(t, second, 2)
	// Who is known to have taken the place of another does not wait.
	c.Holder, c.Lease = second.lease.id, time.Hour
	third := openStore(t, c)
	if err := add(third, "m4"); err != nil {
		t.Errorf("in the place of the second: %v", err)
	}
	// Without Qdrant nobody can tell, and nobody writes.
	server.With(func(s *qdranttest.State) {
		s.Before = func(string) error { return status.Error(codes.Unavailable, "gone") }
	})
	if err := add(second, "m5"); err == nil {
		t.Error("written without a Qdrant")
	}
	server.With(func(s *qdranttest.State) { s.Before = nil })
}

// numbered checks that n memories have numbers of their own.
func numbered(t *testing.T, s *Store, n int) {
	t.Helper()
	list, _, err := s.List(t.Context(), "a", memory.ListQuery{Limit: 10})
	seen := map[int64]bool{}
	for _, m := range list {
		seen[m.Seq] = true
	}
	if err != nil || len(list) != n || len(seen) != n {
		t.Errorf("%d memories with %d numbers, %v", len(list), len(seen), err)
	}
}

// Everything of a tenant is sealed with its newest key alone, also when that was interrupted, and all is there.
func TestReencrypt(t *testing.T) {
	server, port := qdranttest.Serve(t)
	c := config(t, port)
	s := openStore(t, c)
	once := by
	once.Once = &memory.Once{Key: "once", Request: []byte("request"), Answer: []byte("answer"), For: time.Hour}
	if err := s.Add(t.Context(), "a", once, []*memory.Memory{canary("m1"), canary("m2")}); err != nil {
		t.Fatal(err)
	}
	if err := s.EditRecords(t.Context(), "a", "access", []string{"m1"}, func(string, []byte) ([]byte, error) { return []byte("read"), nil }); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Keys.Rotate(t.Context(), "a"), s.Add(t.Context(), "a", by, []*memory.Memory{canary("m3")})); err != nil {
		t.Fatal(err)
	}
	server.With(func(s *qdranttest.State) {
		batches := 0
		s.Before = func(method string) error {
			if method == "UpdateBatch" {
				if batches++; batches == 2 {
					return status.Error(codes.Internal, "broken")
				}
			}
			return nil
		}
	})
	if n, err := s.Reencrypt(t.Context(), "a"); err == nil {
		t.Errorf("interrupted, %d points are sealed anew", n)
	}
	if k, err := c.Keys.Tenant(t.Context(), "a", true); err != nil || len(k.KeyIDs()) != 2 {
		t.Fatalf("keys after an interruption: %v", err)
	}
	server.With(func(s *qdranttest.State) { s.Before = nil })
	if n, err := s.Reencrypt(t.Context(), "a"); err != nil || n == 0 {
		t.Fatalf("%d points, %v", n, err)
	}
	k, err := c.Keys.Tenant(t.Context(), "a", true)
	if err != nil || len(k.KeyIDs()) != 1 {
		t.Fatalf("keys %v, %v", k.KeyIDs(), err)
	}
	hits, err := s.Search(t.Context(), "a", memory.SearchQuery{Text: "words", Limit: 5, Filter: memory.Eq(memory.FieldTags, "canary-tag")})
	if err != nil || len(hits) != 3 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	if v, err := s.Record(t.Context(), "a", "access", "m1"); err != nil || !bytes.Equal(v, []byte("read")) {
		t.Errorf("record %q, %v", v, err)
	}
	var again *memory.ReplayedError
	if err := s.Add(t.Context(), "a", once, []*memory.Memory{canary("m4")}); !errors.As(err, &again) || string(again.Answer) != "answer" {
		t.Errorf("a repeated write: %v", err)
	}
	if changes, err := s.History(t.Context(), "a", "m1", ""); err != nil || len(changes) != 1 {
		t.Errorf("%d changes, %v", len(changes), err)
	}
}
