package crypt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// maxFile is how many bytes a file with keys may have.
const maxFile = 1 << 20

// stamp tells one content of a file from another without reading it.
type stamp struct {
	info fs.FileInfo
	at   time.Time
	size int64
}

func stampOf(info fs.FileInfo) stamp { return stamp{info, info.ModTime(), info.Size()} }

func (s stamp) same(o stamp) bool {
	return s.info != nil && o.info != nil && os.SameFile(s.info, o.info) && s.at.Equal(o.at) && s.size == o.size
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), maxFile)
	}
	return data, err
}

// writeFile writes a file of mode 0600 so that it is either there whole and durable, or as it was before.
// When fresh is set it fails with fs.ErrExist if there is one.
func writeFile(path string, data []byte, fresh bool) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // has mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		if fresh {
			err = os.Link(f.Name(), path)
		} else {
			err = os.Rename(f.Name(), path)
		}
	}
	if err != nil || fresh {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// destroy overwrites a file with zeros and removes it, durably.
func destroy(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, info.Size()))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
