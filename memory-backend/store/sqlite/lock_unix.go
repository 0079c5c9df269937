//go:build unix

package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/memgate/memgate/memory-backend/memory"
)

// share takes the lock on a directory together with others.
func share(f *os.File) error { return flock(f, unix.LOCK_SH|unix.LOCK_NB) }

// exclude takes the lock alone; memory.ErrBusy if another process has the directory open. It must be
// given back by share.
func exclude(f *os.File) error { return flock(f, unix.LOCK_EX|unix.LOCK_NB) }

func flock(f *os.File, how int) error {
	for {
		switch err := unix.Flock(int(f.Fd()), how); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return memory.ErrBusy
		default:
			return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
