package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestImports keeps the service apart from the edge: of the edge's packages it may use the verification
// of the Txn-Token only, and only the command does.
func TestImports(t *testing.T) {
	const edge, verification = "github.com/memgate/memgate/filter/", "github.com/memgate/memgate/filter/txntoken"
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, i := range f.Imports {
			name := strings.Trim(i.Path.Value, `"`)
			command := strings.Contains(filepath.ToSlash(path), "/cmd/memory-backend/")
			if strings.HasPrefix(name, edge) && !(name == verification && command) {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files, %v", files, err)
	}
}
