package problem

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		name, id, want string
	}{
		{"with id", "0f8e", `{"type":"urn:memgate:problem:no-route","title":"Request not allowed","status":403,` +
			`"detail":"No rule allows this method and path. Check both.","request_id":"0f8e"}`},
		{"without id", "", `{"type":"urn:memgate:problem:no-route","title":"Request not allowed","status":403,` +
			`"detail":"No rule allows this method and path. Check both."}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(NoRoute.AppendJSON([]byte("x"), tt.id)); got != "x"+tt.want {
				t.Errorf("got  %s\nwant x%s", got, tt.want)
			}
		})
	}
}

func TestEveryByteIsSafe(t *testing.T) {
	for c := range 256 {
		b := NoRoute.AppendJSON(nil, string([]byte{'a', byte(c), 'b'}))
		var d decoded
		if err := json.Unmarshal(b, &d); err != nil {
			t.Errorf("byte %#x: %v", c, err)
			continue
		}
		want := "a" + string(rune(c)) + "b"
		if c >= 0x80 {
			want = "a\ufffdb"
		}
		if *d.RequestID != want {
			t.Errorf("byte %#x: %q, want %q", c, *d.RequestID, want)
		}
	}
}

type decoded struct {
	Type, Title, Detail string
	Status              int
	RequestID           *string `json:"request_id"`
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("f0e1d2", "plain")
	f.Add("\"\\\x00\n\x7f</script>", "\u2028\u2029&")
	f.Add("\xff\xc3", "ä€😀")
	f.Add(strings.Repeat("ä", 200), "")
	f.Fuzz(func(t *testing.T, id, detail string) {
		p := Forbidden
		p.Detail = detail
		b := p.AppendJSON(nil, id)
		if !utf8.Valid(b) || strings.ContainsAny(string(b), "\u2028\u2029<>&") {
			t.Fatalf("unsafe output %q", b)
		}
		var d decoded
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%v in %q", err, b)
		}
		if want := strings.ToValidUTF8(detail, "\ufffd"); utf8.ValidString(detail) && d.Detail != want {
			t.Errorf("detail %q became %q", detail, d.Detail)
		}
		if d.Type != "urn:memgate:problem:forbidden" || d.Status != 403 || d.Title != p.Title {
			t.Errorf("members were changed: %+v", d)
		}
		if (d.RequestID == nil) != (id == "") {
			t.Errorf("request_id is %v for %q", d.RequestID, id)
		}
		if d.RequestID != nil && utf8.ValidString(id) && len(id) <= MaxRequestID && *d.RequestID != id {
			t.Errorf("request_id %q became %q", id, *d.RequestID)
		}
	})
}

func TestCatalogue(t *testing.T) {
	all := All()
	slug := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for _, p := range all {
		if !slug.MatchString(p.Slug) || seen[p.Slug] {
			t.Errorf("slug %q is malformed or stands twice", p.Slug)
		}
		seen[p.Slug] = true
		if http.StatusText(p.Status) == "" || p.Status < 400 {
			t.Errorf("%s has status %d", p.Slug, p.Status)
		}
		if p.Title == "" || strings.HasSuffix(p.Title, ".") || !strings.HasSuffix(p.Detail, ".") {
			t.Errorf("%s: title %q, detail %q", p.Slug, p.Title, p.Detail)
		}
		// Callers learn nothing about what stands behind the edge.
		for _, inside := range []string{"envoy", "wasm", "ext_authz", "jwks", "redis", "sqlite", "issuer", "memgate", "upstream"} {
			if strings.Contains(strings.ToLower(p.Title+" "+p.Detail), inside) {
				t.Errorf("%s tells about %s", p.Slug, inside)
			}
		}
		if got, ok := BySlug(p.Slug); !ok || got != p {
			t.Errorf("BySlug(%q) = %v, %v", p.Slug, got, ok)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Problem) int {
		if a.Status != b.Status {
			return a.Status - b.Status
		}
		return strings.Compare(a.Slug, b.Slug)
	}) {
		t.Error("All is not in the order of status and slug")
	}
	if _, ok := BySlug("nonsense"); ok {
		t.Error("BySlug finds what is not there")
	}
}

// TestAllIsComplete reads the catalogue's source: a problem that is declared
// and forgotten in All would be missing from documentation and tests.
func TestAllIsComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			declared += len(g.Specs)
		}
	}
	if declared != len(All()) {
		t.Errorf("%d problems are declared and All returns %d", declared, len(All()))
	}
}

func TestReference(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(string(Reference()), "\n"), "\n")
	if len(lines) != len(All())+2 {
		t.Fatalf("%d lines for %d problems", len(lines), len(All()))
	}
	unescaped := regexp.MustCompile(`(^|[^\\])[|]`)
	for i, line := range lines[2:] {
		p := All()[i]
		if !strings.HasPrefix(line, "| `"+p.Type()+"` | ") || len(unescaped.FindAllString(line, -1)) != 5 {
			t.Errorf("line for %s: %s", p.Slug, line)
		}
	}
}

func TestAppendDPoPChallenge(t *testing.T) {
	for want, got := range map[string][]byte{
		`DPoP realm="memgate", algs="ES256 EdDSA"`:                                                           AppendDPoPChallenge(nil, "memgate", NoCredential, "", "", "ES256 EdDSA"),
		`Bearer, DPoP realm="a", error="invalid_dpop_proof", scope="s", resource_metadata="m", algs="ES256"`: AppendDPoPChallenge([]byte("Bearer, "), "a", InvalidProof, "s", "m", `"ES256\`),
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAppendChallenge(t *testing.T) {
	tests := []struct {
		realm, code, scope, metadata, want string
	}{
		{"memgate", NoCredential, "", "", `Bearer realm="memgate"`},
		{"memgate", InvalidToken, "", "", `Bearer realm="memgate", error="invalid_token"`},
		{"memgate", InsufficientScope, "memory:read memory:write", "",
			`Bearer realm="memgate", error="insufficient_scope", scope="memory:read memory:write"`},
		{"a\"b\\c\r\nd\x00é", InvalidRequest, "x\"y", "", `Bearer realm="abcd", error="invalid_request", scope="xy"`},
		{"memgate", InvalidToken, "", "https://a.example/.well-known/oauth-protected-resource",
			`Bearer realm="memgate", error="invalid_token", resource_metadata="https://a.example/.well-known/oauth-protected-resource"`},
		{"memgate", NoCredential, "", "x\", error=\"y", `Bearer realm="memgate", resource_metadata="x, error=y"`},
	}
	for _, tt := range tests {
		if got := string(AppendChallenge([]byte("> "), tt.realm, tt.code, tt.scope, tt.metadata)); got != "> "+tt.want {
			t.Errorf("got %s, want > %s", got, tt.want)
		}
	}
}

// go test -bench=. -count=10 ./filter/problem | benchstat -
func BenchmarkAppendJSON(b *testing.B) {
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		BlockedPII.AppendJSON(dst, "0e2f7a52-6f0d-4a57-9d0b-3f5b0f0e9a11")
	}
}
