package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRevokeWrongUsage: what cannot be understood ends with the code for that and says
// what is wanted, and what cannot be done ends with the other.
func TestRevokeWrongUsage(t *testing.T) {
	dir := t.TempDir()
	absent := filepath.Join(dir, "none.yaml")
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"revoke session", exitUsage, "accepts 1 arg"},
		{"revoke session no-id", exitUsage, "memgate session list"},
		{"revoke key", exitUsage, "accepts 1 arg"},
		{"revoke key a b", exitUsage, "accepts 1 arg"},
		{"revoke token", exitUsage, "accepts 1 arg"},
		{"revoke token j1 --expires tomorrow", exitUsage, "--expires wants a time"},
		{"revoke token -", exitFailure, "token"},
		{"revoke subject", exitUsage, "accepts 1 arg"},
		{"revoke subject jane --before yesterday", exitUsage, "--before wants a time"},
		{"revoke subject jane --isuer x", exitUsage, "unknown flag"},
		{"revoke subject jane --until tomorrow", exitUsage, "--until wants a time"},
		{"revoke subject jane --tenant acme --until 2026-05-01T12:00:00Z", exitUsage, "--until is for a peer"},
		{"revoke subject spiffe://a/b --before 2026-05-01T12:00:00Z", exitUsage, "a peer has no --before"},
		{"revoke subject spiffe://A/b", exitUsage, "not a SPIFFE ID"},
		{"revoke list all", exitUsage, "all"},
		{"session list all", exitUsage, "all"},
		{"session list --config " + absent, exitFailure, "none.yaml"},
		{"revoke key k1 --config " + absent, exitFailure, "none.yaml"},
	} {
		if code, out := command("not a token", strings.Fields(tt.args)...); code != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("memgate %s: %d, want %d and %q:\n%s", tt.args, code, tt.code, tt.says, out)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("wrong usage left %v, %v", left, err)
	}
}
