package policy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/tenant"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with the file at path, or rewrites that.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run go test -update and look at the change.\ngot:\n%s", path, got)
	}
}

// What the operator reads about each file of testdata/check, word by word.
func TestFindingsGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, warnings, err := Parse(data, "memgate.yaml", "")
			var b strings.Builder
			for _, f := range append(Findings(err), warnings...) {
				fmt.Fprintf(&b, "%s [%s]\n", f, f.Rule)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(b.String()))
		})
	}
}

// The three ways to say of which tenant a token is, and the short form.
func TestTenantForms(t *testing.T) {
	for text, want := range map[string]Tenant{
		"org_id":                  {Claim: "org_id"},
		"{ claim: /org/id }":      {Claim: "/org/id"},
		`{ template: "{a}-{b}" }`: {Template: "{a}-{b}"},
		"{ value: acme }":         {Value: "acme"},
		`{ claim: a, map: { "org-123": acme, a.b: acme } }`: {Claim: "a", Map: map[string]string{"org-123": "acme", "a.b": "acme"}},
	} {
		p, _, err := Parse([]byte(write(issuer(`issuer: "https://a.example", audiences: [a], tenant: `+text))), "f", "")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := p.Identity.Issuers[0].Tenant
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", text, got)
		}
		if _, err := tenant.NewMapping(tenant.Rule(got)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	p, _, err := Parse([]byte(`version: 1
upstream: { address: "127.0.0.1:8081" }
identity:
  issuers: [{ issuer: "https://idp.example.com", audiences: [a], tenant: /org/id }]
  sessions: {}
limits: { classes: { write: 5/m, bulk: 1/h } }
pii: { response: { CREDIT_CARD: block } }
routes:
  - { match: { path: /a }, require: { scopes: [s] } }
`), "f", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ got, want any }{
		{p.Environment, "development"},
		{p.Server.GRPC, "127.0.0.1:9001"},
		{p.Envoy.Admin, "127.0.0.1:9901"},
		{p.Upstream.Timeout, Duration(time.Minute)},
		{p.Transaction.TTL, Duration(30 * time.Second)},
		{p.Transaction.Key, Secret("file:txn-key.json")},
		{p.CORS.AllowOrigins, []string(nil)},
		{p.CORS.AllowMethods, []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}},
		{p.CORS.AllowCredentials, false},
		{p.Headers.Preset, "api"},
		{p.Identity.Issuers[0].Algorithms, []string{"RS256", "ES256", "EdDSA"}},
		{p.Identity.Issuers[0].Leeway, Duration(30 * time.Second)},
		{p.Identity.Issuers[0].Tenant.Claim, "/org/id"},
		{p.Identity.Issuers[0].Subject.Claim, "sub"},
		{p.Identity.APIKeys, (*APIKeys)(nil)},
		{p.Identity.Sessions.TTL, Duration(6 * time.Hour)},
		{p.Limits.Classes, map[string]Rate{"write": {5, time.Minute, 0}, "read": {120, time.Minute, 0}, "bulk": {1, time.Hour, 0}}},
		{p.PII.Request, Actions{"default": "redact"}},
		{p.PII.Response, Actions{"default": "redact", "CREDIT_CARD": "block"}},
		{p.Routes[0].Content.MaxBody, Size(64 << 10)},
		{p.Routes[0].Content.MaxDepth, 32},
		{p.Routes[0].Content.Types, []string{"application/json"}},
		{p.Routes[0].Content.Request, Actions(nil)},
		{p.Routes[0].Anonymous, false},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("got %#v, want %#v", test.got, test.want)
		}
	}
}

// Each default is a value that the decoder takes, within its bounds, and each
// field is documented.
func TestTags(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for _, f := range fieldsOf(typ) {
			if f.doc == "" || f.name == "" {
				t.Errorf("%s.%s has no doc", typ.Name(), f.name)
			}
			if f.def != "" && f.required {
				t.Errorf("%s.%s is required and has a default", typ.Name(), f.name)
			}
			v := reflect.New(f.typ).Elem()
			if f.def != "" {
				if err := setText(v, f.def); err != nil {
					t.Errorf("%s.%s: default: %v", typ.Name(), f.name, err)
				}
				if message := f.outOfRange(v); message != "" {
					t.Errorf("%s.%s: default %s", typ.Name(), f.name, message)
				}
			}
			for _, bound := range []string{f.min, f.max} {
				if bound != "" && setText(v, bound) != nil {
					t.Errorf("%s.%s: bound %q cannot be read", typ.Name(), f.name, bound)
				}
			}
			walk(f.typ)
		}
	}
	walk(reflect.TypeFor[Policy]())
	if len(seen) < 15 {
		t.Errorf("only %d structs", len(seen))
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, row := range rows {
		if text := write(row.change); row.text == "" && len(text) < 4<<10 {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? [a]\n: {b: c}"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Add([]byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, warnings, err := Parse(data, "f", "")
		if (p == nil) != (err != nil) {
			t.Fatalf("policy %v, error %v", p, err)
		}
		found := append(Findings(err), warnings...)
		if len(found) > 2*maxFindings {
			t.Errorf("%d findings", len(found))
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
		known := make(map[string]bool)
		for _, r := range Rules() {
			known[string(r.Severity)+r.Name] = true
		}
		for _, f := range found {
			if f.Line < 1 || f.Line > lines && strings.ContainsAny(string(data), "\u0085\u2028\u2029\x00") == false || strings.ContainsAny(f.Message, "\n\x00") || f.Message == "" || len(f.String()) > 4<<10 {
				t.Errorf("finding %+v", f)
			}
			if !known[string(f.Severity)+f.Rule] {
				t.Errorf("unlisted rule in %+v", f)
			}
		}
		if p == nil {
			return
		}
		if again, _, err := Parse(data, "f", ""); err != nil || again.Digest() != p.Digest() {
			t.Errorf("the second time: %v", err)
		}
		for _, r := range p.Routes {
			if r.Name == "" {
				t.Error("a route without a name")
			}
		}
	})
}
