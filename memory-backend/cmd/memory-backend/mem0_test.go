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

// TestSchemathesis lets schemathesis compare the service with its OpenAPI document. It needs that program:
// SCHEMATHESIS=/path/to/st go test ./memory-backend/cmd/memory-backend -run Schemathesis
func TestSchemathesis(t *testing.T) {
	st := os.Getenv("SCHEMATHESIS")
	if st == "" {
		t.Skip("SCHEMATHESIS names no program")
	}
	service := start(t)
	edge := service.edge(t)
	cmd := exec.Command(st, "run", edge+"/openapi.json", "--header", "Authorization: Token a", "--max-examples", "15", "--seed", "1", "--phases", "examples,coverage,fuzzing", "--continue-on-failure",
		"--exclude-path", "/api/v2/import", // it can make no lines of JSON: TestImportKeepsItsContract, of the API, does
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, service.logs)
	}
}
