package attacks

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
)

// attacksOf reads the names of the entries of the first table that a test goes through:
// the keys of a map, or the first text of each struct.
func attacksOf(file, test string) (names []string, err error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return nil, err
	}
	tables := make(map[string]ast.Expr) // variables of the file
	for _, d := range parsed.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				if v := s.(*ast.ValueSpec); len(v.Values) == 1 {
					tables[v.Names[0].Name] = v.Values[0]
				}
			}
		}
	}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != test {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			r, ok := n.(*ast.RangeStmt)
			if !ok || names != nil {
				return names == nil
			}
			of := r.X
			if id, ok := of.(*ast.Ident); ok && tables[id.Name] != nil {
				of = tables[id.Name]
			}
			if list, ok := of.(*ast.CompositeLit); ok {
				for _, e := range list.Elts {
					names = append(names, nameOf(e))
				}
			}
			return names == nil
		})
		return names, nil
	}
	return nil, errors.New(file + " has no " + test)
}

// nameOf is the first text of an entry.
func nameOf(e ast.Expr) (name string) {
	ast.Inspect(e, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && name == "" {
			name, _ = strconv.Unquote(text.Value)
		}
		return name == ""
	})
	return name
}
