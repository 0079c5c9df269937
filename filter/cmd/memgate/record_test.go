package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where the audit log is standard output, which is that of the process that serves, a command
// writes what it did to its own standard error, and its result alone to standard output.
func TestActionsWithoutAFile(t *testing.T) {
	for mode, want := range map[string]int{"enforce": 1, "off": 0} {
		t.Run(mode, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "memgate.yaml")
			text := "version: 1\nupstream: { address: \"127.0.0.1:8081\" }\nidentity: { api_keys: { file: file:keys.yaml } }\n" +
				"routes: [{ match: { path: /a }, require: { scopes: [s] } }]\naudit: { file: \"-\", mode: " + mode + " }\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) (out string, lines []map[string]any) {
				t.Helper()
				var stdout, stderr bytes.Buffer
				root := newRoot()
				root.SetArgs(append(args, "--config", config))
				root.SetOut(&stdout)
				root.SetErr(&stderr)
				if err := root.ExecuteContext(context.Background()); err != nil {
					t.Fatal(err)
				}
				key := strings.TrimSpace(stdout.String())
				for line := range strings.Lines(stderr.String()) {
					var event struct {
						Class    int            `json:"class_uid"`
						Unmapped map[string]any `json:"unmapped"`
					}
					if json.Unmarshal([]byte(line), &event) == nil && event.Class == 3004 {
						lines = append(lines, event.Unmapped)
					}
					if strings.HasPrefix(key, "mg_") && strings.Contains(line, key) {
						t.Errorf("the key is in %s", line)
					}
				}
				return key, lines
			}
			key, made := run("key", "create", "--tenant", "acme", "--scope", "s")
			id := strings.Split(key, "_")[2]
			_, ended := run("key", "revoke", id)
			if len(made) != want || len(ended) != want {
				t.Fatalf("%d and %d lines, want %d", len(made), len(ended), want)
			}
			if want == 0 {
				return
			}
			if made[0]["action"] != "create" || made[0]["object_id"] != id || made[0]["tenant"] != "acme" || made[0]["operator"] == "" {
				t.Errorf("made: %v", made[0])
			}
			if ended[0]["action"] != "revoke" || ended[0]["object"] != "key" || ended[0]["object_id"] != id {
				t.Errorf("ended: %v", ended[0])
			}
		})
	}
}
