//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeBytes returns how much the disk of a directory still takes from this user.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
