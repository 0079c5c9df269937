package sqlite_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/embed/embedtest"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search/corpus"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

var space = memory.Space{Model: "letters", Dimensions: 96}

// withVectors is the write of memories with the vectors of their texts.
func withVectors(memories ...*memory.Memory) memory.Write {
	w := by
	w.Space = space
	for _, m := range memories {
		w.Vectors = append(w.Vectors, embedtest.Vector(m.EmbedText(), space.Dimensions))
	}
	return w
}

func addEmbedded(t *testing.T, s memory.Store, tenant string, memories ...*memory.Memory) {
	t.Helper()
	if err := s.Add(ctx, tenant, withVectors(memories...), memories); err != nil {
		t.Fatal(err)
	}
}

func fact(id, content string) *memory.Memory {
	return &memory.Memory{ID: id, Agent: "bot", Type: "fact", Content: content, Created: by.At, Updated: by.At}
}

// nearest returns the ids of what means nearly what the text does.
func nearest(t *testing.T, s memory.Store, tenant, text string) (ids []string) {
	t.Helper()
	hits, err := s.Search(ctx, tenant, memory.SearchQuery{Space: space, Vector: embedtest.Vector(text, space.Dimensions), Limit: 10, MinScore: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hits {
		ids = append(ids, h.Memory.ID)
	}
	return ids
}

// TestVectorsOnDisk looks for the bytes of vectors in every file: there are none where files are encrypted, and where
// they are not those of what was erased are gone.
func TestVectorsOnDisk(t *testing.T) {
	bytesOf := func(text string) []byte {
		var b []byte
		for _, x := range embedtest.Vector(text, space.Dimensions) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	const erased, kept = "a secret that is erased", "another that is kept"
	for _, encrypted := range []bool{true, false} {
		dir := t.TempDir()
		keys := keyring(t, dir)
		if !encrypted {
			keys = nil
		}
		s := openWith(t, dir, 8, keys)
		addEmbedded(t, s, "a", fact("1", erased), fact("2", kept))
		if got := nearest(t, s, "a", erased); !reflect.DeepEqual(got, []string{"1"}) {
			t.Fatalf("found %v", got)
		}
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := s.Backup(ctx, "a", backup); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{erased, kept} {
			if bytes.Contains(onDisk(t, dir, filepath.Dir(backup)), bytesOf(text)) == encrypted {
				t.Errorf("encrypted %v: the vector of %q is on the disk, or the test cannot see it", encrypted, text)
			}
		}
		if n, err := s.Delete(ctx, "a", memory.Write{By: "officer", At: by.At, Forget: true}, memory.Eq(memory.FieldID, "1")); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		if err := s.Compact(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if s.VectorBytes() != 0 {
			t.Errorf("%d bytes of vectors are kept in memory", s.VectorBytes())
		}
		if !encrypted {
			if disk := onDisk(t, dir); bytes.Contains(disk, bytesOf(erased)) || !bytes.Contains(disk, bytesOf(kept)) {
				t.Error("what was erased is on the disk, or what was kept is not")
			}
		}
		if got := nearest(t, s, "a", erased); got != nil {
			t.Errorf("found %v", got)
		}
	}
}

func TestReencryptVectors(t *testing.T) {
	dir := t.TempDir()
	keys := keyring(t, dir)
	s := openWith(t, dir, 8, keys)
	addEmbedded(t, s, "a", fact("1", "violin"), fact("2", "station"))
	if err := keys.Rotate(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Reencrypt(ctx, "a"); err != nil || n < 4 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openWith(t, dir, 8, keyring(t, dir))
	if got := nearest(t, s, "a", "violin"); !reflect.DeepEqual(got, []string{"1"}) {
		t.Errorf("found %v", got)
	}
}

// TestVectorMemory has more vectors than may be kept: of several tenants, of which those searched last are kept, and of
// one, whose are read each time. What is found is the same.
func TestVectorMemory(t *testing.T) {
	dir := t.TempDir()
	const most = 40_000 // about 80 vectors
	s, err := sqlite.Open(sqlite.Config{Dir: dir, MaxOpen: 2, Now: time.Now, Random: rand.Reader, Keys: keyring(t, dir), VectorMemory: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	fill := func(tenant string, n int) {
		var batch []*memory.Memory
		for i := range n {
			batch = append(batch, fact(fmt.Sprint(i), fmt.Sprintf("thing%d of %s", i*7919, tenant)))
		}
		addEmbedded(t, s, tenant, batch...)
	}
	for round := range 2 {
		for _, tenant := range []string{"a", "b", "c", "d"} {
			if round == 0 {
				fill(tenant, 50)
			}
			if got := nearest(t, s, tenant, fmt.Sprintf("thing%d of %s", 3*7919, tenant)); len(got) == 0 || got[0] != "3" {
				t.Errorf("%s: found %v", tenant, got)
			}
			if n := s.VectorBytes(); n > most || n < 20_000 {
				t.Errorf("%d bytes are kept", n)
			}
		}
	}
	fill("large", 200)
	for range 2 {
		if got := nearest(t, s, "large", fmt.Sprintf("thing%d of large", 150*7919)); len(got) == 0 || got[0] != "150" {
			t.Errorf("found %v", got)
		}
	}
	// With fewer of them they are kept again.
	if _, err := s.Delete(ctx, "large", by, memory.Not{Filter: memory.In(memory.FieldID, "150", "151")}); err != nil {
		t.Fatal(err)
	}
	before := s.VectorBytes()
	if got := nearest(t, s, "large", fmt.Sprintf("thing%d of large", 150*7919)); len(got) == 0 || got[0] != "150" || s.VectorBytes() <= before {
		t.Errorf("found %v, %d bytes kept, %d before", got, s.VectorBytes(), before)
	}
}

// TestVectorsOfAnotherProcess changes vectors past a store that holds them.
func TestVectorsOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	keys := keyring(t, dir)
	a, b := openWith(t, dir, 8, keys), openWith(t, dir, 8, keys)
	addEmbedded(t, a, "t", fact("1", "violin"))
	if got := nearest(t, b, "t", "violin"); !reflect.DeepEqual(got, []string{"1"}) {
		t.Fatalf("found %v", got)
	}
	addEmbedded(t, a, "t", fact("2", "station"))
	if n, err := a.SetVectors(ctx, "t", space, []memory.Embedded{{ID: "1", Version: 1, Vector: embedtest.Vector("cello", space.Dimensions)}}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for text, want := range map[string][]string{"violin": nil, "cello": {"1"}, "station": {"2"}} {
		if got := nearest(t, b, "t", text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: found %v, want %v", text, got, want)
		}
	}
}

// TestVectorsAtOnce searches while others write.
func TestVectorsAtOnce(t *testing.T) {
	s := openDir(t, t.TempDir(), 8)
	addEmbedded(t, s, "t", fact("first", "violin"))
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("%d-%d", w, i)
				m := fact(id, "station "+id)
				if err := s.Add(ctx, "t", withVectors(m), []*memory.Memory{m}); err != nil {
					t.Error(err)
				}
				if i%4 == 3 {
					if err := s.DeleteIDs(ctx, "t", by, []string{id}, nil); err != nil {
						t.Error(err)
					}
				}
			}
		})
		all.Go(func() {
			for range 20 {
				hits, err := s.Search(ctx, "t", memory.SearchQuery{Space: space, Vector: embedtest.Vector("violin", space.Dimensions), Limit: 1})
				if err != nil || len(hits) != 1 || hits[0].Memory.ID != "first" {
					t.Errorf("found %v, %v", hits, err)
				}
			}
		})
	}
	all.Wait()
	if have, n, err := s.CountVectors(ctx, "t", space); err != nil || have != n || n != 46 {
		t.Errorf("%d of %d, %v", have, n, err)
	}
}

// TestFusedQuality asks the labelled questions by words and vectors: an encrypted and a plain store must find the same,
// with the same scores.
//
//	go test ./memory-backend/store/sqlite -run FusedQuality -v
func TestFusedQuality(t *testing.T) {
	memories, questions := corpus.Labelled()
	stores := []memory.Store{}
	for _, keys := range []*crypt.Keyring{keyring(t, t.TempDir()), nil} {
		s := openWith(t, t.TempDir(), 8, keys)
		addEmbedded(t, s, "a", memories...)
		stores = append(stores, s)
	}
	first, among := 0, 0
	for question, answer := range questions {
		q := memory.SearchQuery{Text: question, Limit: 5, Filter: memory.Eq(memory.FieldAgent, corpus.Agent), Space: space, Vector: embedtest.Vector(question, space.Dimensions)}
		sealed, err := stores[0].Search(ctx, "a", q)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := stores[1].Search(ctx, "a", q)
		if err != nil || !reflect.DeepEqual(sealed, plain) {
			t.Fatalf("%q: encrypted and plain differ: %v", question, err)
		}
		for i, h := range sealed {
			if h.Memory.ID == answer {
				among++
				if i == 0 {
					first++
				}
			}
		}
	}
	t.Logf("%d questions over %d memories, by words and vectors: %d answers first, %d among five, the same encrypted and plain", len(questions), len(memories), first, among)
	if among*100 < len(questions)*80 {
		t.Errorf("%d of %d answers first, %d among five", first, len(questions), among)
	}
}
