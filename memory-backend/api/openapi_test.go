package api

import (
	"encoding/json"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"testing"
)

// logJSON makes the server log into memory and returns a function that reads it.
func (w *world) logJSON() func() string {
	w.server.Log = slog.New(slog.NewJSONHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return w.logs.String
}

// logText is what was logged so far; requests may still be logging.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type openAPIOperation struct {
	OperationID string `json:"operationId"`
	Parameters  []struct{ Name, In string }
	Responses   map[string]any
	Security    *[]any
}

func TestOpenAPIIsTrueToTheRoutes(t *testing.T) {
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]openAPIOperation
		Components map[string]map[string]any
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("version %q", doc.OpenAPI)
	}
	var described, served []string
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			name := strings.ToUpper(method) + " " + path
			described = append(described, name)
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s: operationId %q", name, op.OperationID)
			}
			ids[op.OperationID] = true
			for _, p := range op.Parameters {
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s: parameter %s is not in the path", name, p.Name)
				}
			}
			if want := strings.Count(path, "{"); want != countPath(op) {
				t.Errorf("%s: %d of %d path parameters are described", name, countPath(op), want)
			}
		}
	}
	for _, r := range routes {
		if r.own {
			continue
		}
		served = append(served, r.method+" "+r.path)
		op := doc.Paths[r.path][strings.ToLower(r.method)]
		status := "200"
		if r.status != 0 {
			status = "201"
		}
		if op.Responses[status] == nil {
			t.Errorf("%s %s: success is not described", r.method, r.path)
		}
		open := op.Security != nil && len(*op.Security) == 0
		if open != (r.open != nil) || open == (op.Responses["401"] != nil) {
			t.Errorf("%s %s: open is %v", r.method, r.path, open)
		}
	}
	sort.Strings(described)
	sort.Strings(served)
	if strings.Join(described, "\n") != strings.Join(served, "\n") {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
	var any any
	if err := json.Unmarshal(OpenAPI(), &any); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	references(any, used)
	for ref := range used {
		part := strings.Split(ref, "/")
		if len(part) != 4 || part[1] != "components" || doc.Components[part[2]][part[3]] == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	}
	for name := range doc.Components["schemas"] {
		if !used["#/components/schemas/"+name] {
			t.Errorf("schema %s is not used", name)
		}
	}
}

func countPath(op openAPIOperation) (n int) {
	for _, p := range op.Parameters {
		if p.In == "path" {
			n++
		}
	}
	return n
}

func references(v any, used map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			used[ref] = true
		}
		for _, m := range v {
			references(m, used)
		}
	case []any:
		for _, m := range v {
			references(m, used)
		}
	}
}
