//go:build !unix

package sqlite

import (
	"errors"
	"os"
)

// share needs no lock where exclude fails.
func share(*os.File) error { return nil }

// exclude fails: without a file lock another process could have the directory open.
func exclude(*os.File) error { return errors.ErrUnsupported }
