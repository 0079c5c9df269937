//go:build !unix

package crypt

import "errors"

// lock fails: without a file lock two writers could lose each other's keys.
func lock(string) (func(), error) { return nil, errors.ErrUnsupported }
