//go:build !unix

package main

import (
	"os"

	"github.com/memgate/memgate/memory-backend/memory"
)

// lockFile cannot tell whether another process has the file, so it says that one has.
func lockFile(*os.File) error { return memory.ErrBusy }
