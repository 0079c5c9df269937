//go:build unix

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/memgate/memgate/memory-backend/memory"
)

// lockFile locks a file as long as it is open; memory.ErrBusy if another process has it.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return memory.ErrBusy
	}
	return err
}
