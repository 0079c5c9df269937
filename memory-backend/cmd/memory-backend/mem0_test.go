package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestMem0Client drives the unmodified PyPI client against the service. It needs an interpreter that has
// mem0ai: MEM0_PYTHON=/path/to/python go test ./memory-backend/cmd/memory-backend -run Mem0
func TestMem0Client(t *testing.T) {
	python := os.Getenv("MEM0_PYTHON")
	if python == "" {
		t.Skip("MEM0_PYTHON names no interpreter with mem0ai")
	}
	service := start(t)
	cmd := exec.Command(python, "testdata/mem0_client.py", service.edge(t))
	cmd.Env = append(os.Environ(), "MEM0_TELEMETRY=False", "MEM0_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, service.logs)
	}
}
