package qdrant

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/qdrant/qdranttest"
	"github.com/memgate/memgate/memory-backend/store/storetest"
)

// keyring makes the keys of a test.
func keyring(t *testing.T) *crypt.Keyring {
	t.Helper()
	dir := t.TempDir()
	master, err := crypt.OpenFile(filepath.Join(dir, "master.json"), true)
	if err != nil {
		t.Fatal(err)
	}
	k, err := crypt.OpenKeyring(crypt.Config{Dir: filepath.Join(dir, "keys"), Masters: []crypt.Master{master}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func config(t *testing.T, port int) Config {
	return Config{Host: "127.0.0.1", Port: port, Keys: keyring(t), Random: rand.Reader, Timeout: 20 * time.Second, Space: storetest.Space}
}

func openStore(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestConformance runs the suite that every engine passes: against the Qdrant that QDRANT_URL names
// (http://host:6334), where it does, and always against a server that answers as its documentation says.
func TestConformance(t *testing.T) {
	t.Run("documented", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) memory.Store {
			_, port := qdranttest.Serve(t)
			return openStore(t, config(t, port))
		})
	})
	t.Run("real", func(t *testing.T) {
		at, err := url.Parse(os.Getenv("QDRANT_URL"))
		if err != nil || at.Hostname() == "" {
			t.Skip("QDRANT_URL names no Qdrant")
		}
		port, _ := strconv.Atoi(at.Port())
		storetest.Run(t, func(t *testing.T) memory.Store {
			c := config(t, port)
			name := make([]byte, 8)
			_, _ = rand.Read(name)
			c.Host, c.APIKey, c.Collection = at.Hostname(), os.Getenv("QDRANT_API_KEY"), "test_"+hex.EncodeToString(name)
			s := openStore(t, c)
			t.Cleanup(func() { _ = s.client.DeleteCollection(context.Background(), c.Collection) })
			return s
		})
	})
}

var (
	start = time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC)
	by    = memory.Write{By: "canary-writer", At: start}
)

func canary(id string) *memory.Memory {
	return &memory.Memory{ID: id, Agent: "canary-agent", User: "canary-user", App: "canary-app", Run: "canary-run", Actor: "canary-actor",
		Title: "canary-title", Content: "canary-content words", Tags: []string{"canary-tag"}, Category: []string{"canary-category"},
		Metadata: []byte(`{"canary-key":"canary-value"}`), Type: "fact", Status: memory.StatusActive, Source: "canary-source",
		Created: start, Updated: start}
}

// Nothing that Qdrant is sent says what a memory says, or whose it is.
func TestNothingIsSentInClear(t *testing.T) {
	server, port := qdranttest.Serve(t)
	var requests []proto.Message
	s := openStore(t, config(t, port))
	once := by
	once.Once = &memory.Once{Key: "canary-once", Request: []byte("canary-request"), Answer: []byte("canary-answer"), For: time.Hour}
	if err := s.Add(t.Context(), "canary-tenant", once, []*memory.Memory{canary("canary-id")}); err != nil {
		t.Fatal(err)
	}
	if _, err := memory.Update(t.Context(), s, "canary-tenant", by, "canary-id", nil, func(m *memory.Memory) error { m.Content = "canary-changed"; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.EditRecords(t.Context(), "canary-tenant", "access", []string{"canary-record"}, func(string, []byte) ([]byte, error) { return []byte("canary-read"), nil }); err != nil {
		t.Fatal(err)
	}
	hits, err := s.Search(t.Context(), "canary-tenant", memory.SearchQuery{Text: "canary-changed", Limit: 5,
		Filter: memory.And{memory.Eq(memory.FieldUser, "canary-user"), memory.Eq(memory.FieldTags, "canary-tag"),
			memory.Cond{Field: memory.FieldMetadata, Key: "canary-key", Op: memory.OpEq, Values: []any{"canary-value"}}}})
	if err != nil || len(hits) != 1 || hits[0].Memory.Content != "canary-changed" {
		t.Fatalf("%+v, %v", hits, err)
	}
	server.With(func(sent *qdranttest.State) { requests = sent.Requests })
	for _, r := range requests {
		if text := r.ProtoReflect().Descriptor().FullName(); strings.Contains(strings.ToLower(string(must(proto.Marshal(r)))), "canary") {
			t.Errorf("%s says it in clear: %v", text, r)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// The requests have the shapes that the design names.
func TestRequests(t *testing.T) {
	server, port := qdranttest.Serve(t)
	c := config(t, port)
	s := openStore(t, c)
	openStore(t, c) // setting up again changes nothing
	if err := s.Add(t.Context(), "a", by, []*memory.Memory{canary("m1"), canary("m2")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Search(t.Context(), "a", memory.SearchQuery{Text: "words", Limit: 3, Filter: memory.Eq(memory.FieldType, "fact")}); err != nil {
		t.Fatal(err)
	}
	var got qdranttest.State
	server.With(func(s *qdranttest.State) { got = *s })
	if !got.Indexes[fieldTenant].GetFieldIndexParams().GetKeywordIndexParams().GetIsTenant() {
		t.Error("the tenant is not indexed as one")
	}
	if got.Made.GetShardNumber() != 1 || got.Made.SparseVectorsConfig.Map[vectorTerms] == nil {
		t.Errorf("collection %v", got.Made)
	}
	made, upserts, queries := 0, 0, 0
	for _, r := range got.Requests {
		switch r := r.(type) {
		case *qdrant.CreateCollection:
			made++
		case *qdrant.UpsertPoints:
			if r.UpdateMode != nil {
				continue // the lease
			}
			upserts++
			if len(r.Points) != 5 || !r.GetWait() { // two memories, two changes, an agent
				t.Errorf("a write of %d points, wait %v", len(r.Points), r.GetWait())
			}
		case *qdrant.QueryPoints:
			queries++
			if r.GetUsing() != vectorTerms || r.Query.GetNearest().GetSparse() == nil || r.Filter.Must[0].GetField().GetKey() != fieldTenant ||
				len(r.Filter.Must) != 3 || r.Filter.Must[2].GetField().GetKey() != "type" {
				t.Errorf("query %v", r)
			}
		}
	}
	if made != 1 || upserts != 1 || queries != 1 {
		t.Errorf("%d collections, %d writes, %d queries", made, upserts, queries)
	}
}

// Words and vectors are ranked and joined by Qdrant, in one request, and both sides are of the tenant alone.
func TestFusionIsAskedOfQdrant(t *testing.T) {
	server, port := qdranttest.Serve(t)
	s := openStore(t, config(t, port))
	vector := make([]float32, storetest.Space.Dimensions)
	vector[0] = 1
	w := by
	w.Space, w.Vectors = storetest.Space, [][]float32{vector}
	if err := s.Add(t.Context(), "a", w, []*memory.Memory{canary("m1")}); err != nil {
		t.Fatal(err)
	}
	hits, err := s.Search(t.Context(), "a", memory.SearchQuery{Text: "words", Space: storetest.Space, Vector: vector, Limit: 3})
	if err != nil || len(hits) != 1 {
		t.Fatalf("%v, %v", hits, err)
	}
	server.With(func(s *qdranttest.State) {
		queries := 0
		for _, r := range s.Requests {
			q, ok := r.(*qdrant.QueryPoints)
			if !ok {
				continue
			}
			queries++
			if len(q.Prefetch) != 2 || q.Query.GetRrf() == nil || q.Prefetch[0].GetUsing() == q.Prefetch[1].GetUsing() {
				t.Errorf("query %v", q)
			}
			for _, side := range q.Prefetch {
				if side.Filter.Must[0].GetField().GetKey() != fieldTenant {
					t.Errorf("a side is not of the tenant: %v", side)
				}
			}
		}
		if queries != 1 {
			t.Errorf("%d queries", queries)
		}
	})
}

func TestAPIKey(t *testing.T) {
	server, port := qdranttest.Serve(t)
	c := config(t, port)
	c.APIKey = "the-key"
	openStore(t, c)
	server.With(func(s *qdranttest.State) {
		if !s.Keys["the-key"] || len(s.Keys) != 1 {
			t.Errorf("keys %v", s.Keys)
		}
	})
	c.Host = "qdrant.example.com"
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "TLS only") {
		t.Errorf("a key in clear: %v", err)
	}
}

// A Qdrant that is gone for a moment is asked again; one that stays away is 503, and nothing of the write is left.
func TestQdrantGoesAwayInTheMiddleOfAWrite(t *testing.T) {
	server, port := qdranttest.Serve(t)
	s := openStore(t, config(t, port))
	add := func(id string) error { return s.Add(t.Context(), "a", by, []*memory.Memory{canary(id)}) }
	if err := add("m1"); err != nil {
		t.Fatal(err)
	}
	failing := func(times int) func(string) error {
		return func(method string) error {
			if method != "Upsert" || times == 0 {
				return nil
			}
			times--
			return status.Error(codes.Unavailable, "restarting")
		}
	}
	server.With(func(s *qdranttest.State) { s.Before = failing(2) })
	if err := add("m2"); err != nil {
		t.Errorf("away for two tries: %v", err)
	}
	server.With(func(s *qdranttest.State) { s.Before = failing(1 << 30) })
	if err := add("m3"); !errors.Is(err, memory.ErrBusy) {
		t.Errorf("away for good: %v", err)
	}
	server.With(func(s *qdranttest.State) { s.Before = nil })
	if _, err := s.Get(t.Context(), "a", "m3", nil); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("half a write: %v", err)
	}
	// It carried the write out, and its answer was lost: trying again comes to the same.
	server.With(func(s *qdranttest.State) { s.After = failing(1) })
	if err := add("m4"); err != nil {
		t.Errorf("an answer that was lost: %v", err)
	}
	list, total, err := s.List(t.Context(), "a", memory.ListQuery{Limit: 10, Total: true})
	if err != nil || total != 3 || len(list) != 3 {
		t.Errorf("%d memories, %v", total, err)
	}
	if changes, err := s.History(t.Context(), "a", "m4", ""); err != nil || len(changes) != 1 {
		t.Errorf("%+v, %v", changes, err)
	}
	// What a deletion left to be cleaned up is empty, and is not seen.
	server.With(func(s *qdranttest.State) {
		s.Before = func(method string) error {
			if method == "Delete" {
				return status.Error(codes.Internal, "broken")
			}
			return nil
		}
	})
	if err := s.DeleteIDs(t.Context(), "a", by, []string{"m4"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "a", "m4", nil); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("a deleted memory: %v", err)
	}
	server.With(func(s *qdranttest.State) { s.Before = nil })
	if err := s.Compact(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	server.With(func(s *qdranttest.State) {
		for _, p := range s.Points {
			if p.Payload[fieldKind].GetStringValue() == kindGone {
				t.Error("an empty point is left")
			}
		}
	})
}

// Refusals are not tried again, and other faults have their meaning.
func TestFaults(t *testing.T) {
	server, port := qdranttest.Serve(t)
	s := openStore(t, config(t, port))
	if err := s.Add(t.Context(), "a", by, []*memory.Memory{canary("m1")}); err != nil {
		t.Fatal(err)
	}
	calls := 0
	server.With(func(s *qdranttest.State) {
		s.Before = func(string) error { calls++; return status.Error(codes.InvalidArgument, "no") }
	})
	if _, err := s.Get(t.Context(), "a", "m1", nil); err == nil || errors.Is(err, memory.ErrBusy) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready")
	}
	server.With(func(s *qdranttest.State) { s.Before, s.Made = nil, nil })
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready without its collection")
	}
	// Points that were tampered with, or moved to another tenant, do not open.
	server.With(func(s *qdranttest.State) {
		for _, p := range s.Points {
			if p.Payload[fieldKind].GetStringValue() == kindMemory {
				p.Payload[fieldData] = qdrant.NewValueString("AQAAAAEyMw==")
			}
		}
	})
	if _, err := s.Get(t.Context(), "a", "m1", nil); !errors.Is(err, memory.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}
