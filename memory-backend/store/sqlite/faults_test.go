package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
	"github.com/memgate/memgate/memory-backend/store/storetest"
)

// keyService is a key management service that can be down.
type keyService struct {
	crypt.Master
	down atomic.Bool
}

func (k *keyService) EncryptWithContext(ctx context.Context, p, b []byte) ([]byte, error) {
	if k.down.Load() {
		return nil, errors.New("connection refused")
	}
	return k.Master.EncryptWithContext(ctx, p, b)
}

func (k *keyService) DecryptWithContext(ctx context.Context, c, b []byte) ([]byte, error) {
	if k.down.Load() {
		return nil, errors.New("connection refused")
	}
	return k.Master.DecryptWithContext(ctx, c, b)
}

func TestKeyServiceDown(t *testing.T) {
	dir := t.TempDir()
	master, err := crypt.OpenFile(masterKey, true)
	if err != nil {
		t.Fatal(err)
	}
	kms := &keyService{Master: master}
	open := func() *sqlite.Store {
		k, err := crypt.OpenKeyring(crypt.Config{Dir: filepath.Join(dir, "keys"), Masters: []crypt.Master{crypt.Service("test-kms://k", kms)}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return openWith(t, dir, 8, k)
	}
	s := open()
	put(t, s, "known", "1", "words")
	put(t, s, "unknown", "1", "words")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	put(t, s, "known", "2", "words")
	kms.down.Store(true)
	put(t, s, "known", "3", "words") // its keys are held
	if n := finds(t, s, "known", "words"); n != 3 {
		t.Errorf("found %d", n)
	}
	for _, tenant := range []string{"unknown", "new"} {
		if err := s.Add(ctx, tenant, by, []*memory.Memory{{ID: "2"}}); !errors.Is(err, memory.ErrKeys) {
			t.Errorf("writing to %s: %v", tenant, err)
		}
	}
	if _, err := s.Search(ctx, "unknown", memory.SearchQuery{Text: "words", Limit: 1}); !errors.Is(err, memory.ErrKeys) {
		t.Errorf("reading: %v", err)
	}
	kms.down.Store(false)
	put(t, s, "new", "1", "words")
	put(t, s, "unknown", "2", "words")
	if a, b := finds(t, s, "unknown", "words"), finds(t, s, "new", "words"); a != 2 || b != 1 {
		t.Errorf("found %d and %d", a, b)
	}
}

func TestReadOnly(t *testing.T) {
	s := openDir(t, t.TempDir(), 8)
	put(t, s, "a", "1", "words")
	if err := s.SetReadOnly("a", true); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: "2", Content: "words"}}); !errors.Is(err, memory.ErrReadOnly) {
		t.Errorf("%v", err)
	}
	if n := finds(t, s, "a", "words"); n != 1 {
		t.Errorf("found %d", n)
	}
	if err := s.SetReadOnly("a", false); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "2", "words")
}

// TestDamagedFile changes single bytes all over a file. Whatever they hit, the store says so or gives the content
// that was stored and never another, and the other tenant is not affected.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	for i := range 40 {
		put(t, s, "a", fmt.Sprint(i), strings.Repeat(fmt.Sprintf("words%d ", i), 20))
	}
	put(t, s, "b", "1", "words")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, sqlite.FileName("a"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := 0; at < len(whole); at += len(whole)/storetest.Size(60) + 1 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0xff
		if err := errors.Join(os.WriteFile(path, damaged, 0o600), os.RemoveAll(path+"-wal"), os.RemoveAll(path+"-shm")); err != nil {
			t.Fatal(err)
		}
		s := openDir(t, dir, 8)
		for i := range 40 {
			m, err := s.Get(ctx, "a", fmt.Sprint(i), nil)
			switch {
			case err != nil:
				refused++
			case m.Content != strings.Repeat(fmt.Sprintf("words%d ", i), 20):
				t.Fatalf("byte %d: memory %d says %q", at, i, m.Content)
			}
		}
		if n := finds(t, s, "b", "words"); n != 1 {
			t.Errorf("byte %d: the other tenant has %d", at, n)
		}
		_ = s.Close() // a damaged file may refuse even that
	}
	if refused == 0 {
		t.Error("nothing was damaged")
	}
}
