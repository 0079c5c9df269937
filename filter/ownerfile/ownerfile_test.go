package ownerfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/memgate/memgate/filter/ownerfile"
)

func TestCreateThenRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if _, err := ownerfile.Read(path, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := ownerfile.Create(path, []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	if err := ownerfile.Create(path, []byte("another")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if b, err := ownerfile.Read(path, 10); err != nil || string(b) != "0123456789" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := ownerfile.Read(path, 9); err == nil {
		t.Error("a file above its limit was read")
	}
	if _, err := ownerfile.Read(dir, 9); err == nil {
		t.Error("a folder was read")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ownerfile.Read(path, 10); !errors.Is(err, ownerfile.ErrOpen) {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if err := ownerfile.Create(filepath.Join(dir, "no", "folder"), nil); err == nil {
		t.Error("made without its folder")
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	for _, content := range []string{"one", "two, which is longer", ""} {
		if err := ownerfile.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := ownerfile.Read(path, 100); err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
	}
	if err := ownerfile.Replace(filepath.Join(dir, "no", "folder"), nil); err == nil {
		t.Error("replaced without its folder")
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ownerfile.Replace(filepath.Join(dir, "folder"), nil); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestAllGetTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var group sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		group.Go(func() {
			b, err := ownerfile.ReadOrCreate(path, 100, func() ([]byte, error) { return fmt.Appendf(nil, "of %d", i), nil })
			if err != nil {
				t.Error(err)
			}
			got[i] = string(b)
		})
	}
	group.Wait()
	for _, g := range got {
		if g == "" || g != got[0] {
			t.Errorf("%q", got)
			break
		}
	}
	if _, err := ownerfile.ReadOrCreate(path+"2", 100, func() ([]byte, error) { return nil, fs.ErrInvalid }); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
}
