// Package ownerfile reads, makes and replaces small files that nobody but their owner may
// read, such as those of keys.
package ownerfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrOpen is that others than its owner may read or write a file.
var ErrOpen = errors.New("open to others: its mode must be 0600")

// forbidden are the bits of a mode that nobody but the owner has.
const forbidden fs.FileMode = 0o077

// Read returns the content of the file at path, of at most limit bytes. The errors are
// [ErrOpen], or those of the file system.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s is %w (it is %#o)", path, ErrOpen, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}

// Create makes the file at path. It writes the whole under another name and then links it
// into place, which fails with [fs.ErrExist] when the name is taken: nobody ever sees a
// part of it.
func Create(path string, content []byte) error {
	name, err := beside(path, content)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	return os.Link(name, path)
}

// Replace puts a file in the place of the one at path, if there is one, whole or not at
// all. When it returns nil, a loss of power does not undo it.
func Replace(path string, content []byte) error {
	name, err := beside(path, content)
	if err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// beside writes a file to the folder of path, under a name of its own, and syncs it.
func beside(path string, content []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// ReadOrCreate reads the file at path, and makes it with what content returns where there
// is none. When two processes make it at once, both get what the first has written.
func ReadOrCreate(path string, limit int64, content func() ([]byte, error)) ([]byte, error) {
	b, err := Read(path, limit)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = content(); err != nil {
		return nil, err
	}
	if err := Create(path, b); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return Read(path, limit)
}
