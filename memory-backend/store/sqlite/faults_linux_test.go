package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// disk mounts a small disk of its own.
func disk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("NOT TESTED: no disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk fills a disk: what was acknowledged stays, what was not leaves nothing, no tenant is half there, and
// writing goes on when there is room again.
func TestFullDisk(t *testing.T) {
	dir := disk(t)
	s := openDir(t, dir, 8)
	put(t, s, "a", "first", "words")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 400<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	stored := 1
	for i := 0; ; i++ {
		err := s.Add(ctx, "a", by, []*memory.Memory{{ID: fmt.Sprint(i), Content: strings.Repeat("words ", 500)}})
		if errors.Is(err, memory.ErrFull) {
			break
		}
		if err != nil || i > 2000 {
			t.Fatalf("write %d: %v", i, err)
		}
		stored++
	}
	if n := finds(t, s, "a", "words"); n != stored {
		t.Errorf("%d stored, %d found", stored, n)
	}
	if err := s.Add(ctx, "new", by, []*memory.Memory{{ID: "1", Content: "words"}}); !errors.Is(err, memory.ErrFull) {
		t.Errorf("a new tenant: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "last", "words")
	put(t, s, "new", "1", "words")
	if a, n := finds(t, s, "a", "words"), finds(t, s, "new", "words"); a != stored+1 || n != 1 {
		t.Errorf("found %d and %d, stored %d", a, n, stored+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openDir(t, dir, 8)
	if n := finds(t, again, "a", "words"); n != stored+1 {
		t.Errorf("found %d after a restart", n)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := disk(t)
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "words")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(sqlite.Config{Dir: dir, Now: time.Now, Random: strings.NewReader(""), Keys: nil}); !errors.Is(err, unix.EROFS) {
		t.Errorf("%v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir, 8)
	put(t, s, "a", "2", "words")
	if n := finds(t, s, "a", "words"); n != 2 {
		t.Errorf("found %d", n)
	}
}
