package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/qdrant"
)

// holderFile names who writes to a Qdrant from a data directory. Whoever has it locked has that name: so a process that is started
// again goes on at once where one that was killed had the lease, and one beside it does not.
const holderFile = ".qdrant-writer"

// held is an engine whose process has the file of its name locked.
type held struct {
	*qdrant.Store
	file *os.File // nil when another process has it
}

// Close implements memory.Store.
func (h held) Close() error {
	err := h.Store.Close()
	if h.file != nil {
		err = errors.Join(err, h.file.Close())
	}
	return err
}

// holder returns the name of a process in the collection, and the file that it keeps locked; "" for one beside another.
func (o *dataOptions) holder() (name string, file *os.File, err error) {
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	file, err = os.OpenFile(filepath.Join(o.data, holderFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	defer func() {
		if err != nil || name == "" {
			err, file = errors.Join(err, file.Close()), nil
		}
	}()
	if err := lockFile(file); errors.Is(err, memory.ErrBusy) {
		return "", file, nil
	} else if err != nil {
		return "", file, err
	}
	text, err := io.ReadAll(io.LimitReader(file, 64))
	if err != nil {
		return "", file, err
	}
	if id, err := hex.DecodeString(string(text)); err == nil && len(id) == 16 {
		return string(text), file, nil
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", file, err
	}
	name = hex.EncodeToString(id[:])
	if err := file.Truncate(0); err != nil {
		return "", file, err
	}
	if _, err := file.WriteAt([]byte(name), 0); err != nil {
		return "", file, err
	}
	return name, file, nil
}
