//go:build unix && !linux

package dev

import "syscall"

// attributes puts a child in a group of its own, so that Ctrl-C in a terminal
// reaches it in the order that this process chooses.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
