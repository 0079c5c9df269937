//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreSizeLimit makes a file that may not grow any more (ulimit -f) a write that fails, as on a disk that is full,
// instead of the end of the process.
func ignoreSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }
