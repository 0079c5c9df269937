package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withRoutes is a policy with routes given as "METHOD,METHOD path"; no method
// before the path stands for none in the file. A leading ! makes it anonymous.
func withRoutes(t testing.TB, list ...string) *Policy {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nupstream: { address: \"a:1\" }\nidentity: { api_keys: { file: file:k } }\nroutes:\n")
	for _, r := range list {
		r, anonymous := strings.CutPrefix(r, "!")
		methods, path, ok := strings.Cut(r, " ")
		if !ok {
			methods, path = "", r
		}
		fmt.Fprintf(&b, "  - { match: { methods: [%s], path: %q }, anonymous: %v }\n", methods, path, anonymous)
	}
	p, _, err := Parse([]byte(b.String()), "routes", "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	p := withRoutes(t,
		"POST /api/v2/agents",                     // 0
		"GET /api/v2/agents/{agent_id}",           // 1
		"POST /api/v2/agents/{agent_id}/remember", // 2
		"/v1/memories/",                           // 3
		"GET /v1/memories/{memory_id}/",           // 4
		"GET /v1/memories/{memory_id}",            // 5
		"GET /files/{rest...}",                    // 6
		"GET /files/{name}/meta",                  // 7
		"GET /files/special/meta",                 // 8
		"POST /files/special",                     // 9
		"!/healthz",                               // 10
		"OPTIONS,GET /options",                    // 11
		"HEAD /both", "GET /both",                 // 12, 13
		"DELETE /mixed", "/mixed", // 14, 15
		"GET /",       // 16
		"GET /x:verb", // 17
		"/a/{a}/b/{b}/c/{c}/d/{d}/e/{e}/f/{f}/g/{g}/{h...}", // 18
	)
	tests := []struct {
		method, path string
		want         int // route, or -1
		params       string
	}{
		{"POST", "/api/v2/agents", 0, ""},
		{"POST", "/api/v2/agents?x=/y", 0, ""},
		{"POST", "/api/v2/agents/", -1, ""},
		{"post", "/api/v2/agents", -1, ""},
		{"GET", "/api/v2/agents", -1, ""},
		{"GET", "/api/v2/agents/a1", 1, "agent_id=a1"},
		{"HEAD", "/api/v2/agents/a1", 1, "agent_id=a1"},
		{"GET", "/api/v2/agents/a%20b%C3%A9?x", 1, "agent_id=a bé"},
		{"GET", "/api/v2/agents/%61%67", 1, "agent_id=ag"},
		{"GET", "/api/v2/%61gents/x", 1, "agent_id=x"},
		{"GET", "/api/v2/agents/%2561", -1, ""}, // an escape of an escape
		{"GET", "/api/v2/agents/%252e%252e", -1, ""},
		{"GET", "/api/v2/agents/100%25", 1, "agent_id=100%"},
		{"GET", "/api/v2/agents/5%25x1", 1, "agent_id=5%x1"},
		{"GET", "/api/v2/agents/a%2Fb", -1, ""},
		{"GET", "/api/v2/agents/a%2fb", -1, ""},
		{"GET", "/api/v2/agents/a%5cb", -1, ""},
		{"GET", "/api/v2/agents/a%00b", -1, ""},
		{"GET", "/api/v2/agents/a%0ab", -1, ""},
		{"GET", "/api/v2/agents/a%7fb", -1, ""},
		{"GET", "/api/v2/agents/%2e%2e", -1, ""},
		{"GET", "/api/v2/agents/.", -1, ""},
		{"GET", "/api/v2/agents/..", -1, ""},
		{"GET", "/api/v2/agents/...", 1, "agent_id=..."},
		{"GET", "/api/v2/agents/%", -1, ""},
		{"GET", "/api/v2/agents/%4", -1, ""},
		{"GET", "/api/v2/agents/%zz", -1, ""},
		{"GET", "/api/v2/agents/%ff", -1, ""},
		{"GET", "/api/v2/agents/%c0%af", -1, ""},
		{"GET", "/api/v2/agents/\xc3\xa9", -1, ""},
		{"GET", "/api/v2/agents/a;b", -1, ""},
		{"GET", "/api/v2/agents/a%3Bb", 1, "agent_id=a;b"},
		{"GET", "/api/v2/agents/a#b", -1, ""},
		{"GET", "/api/v2/agents/a b", -1, ""},
		{"GET", `/api/v2/agents/a\b`, -1, ""},
		{"GET", "//api/v2/agents/a", -1, ""},
		{"GET", "/api//v2/agents/a", -1, ""},
		{"GET", "/API/v2/agents/a", -1, ""},
		{"GET", "", -1, ""},
		{"OPTIONS", "*", -1, ""},
		{"GET", "api", -1, ""},
		{"GET", "http://x/api/v2/agents/a", -1, ""},
		{"GET", "/" + strings.Repeat("a", MaxPath), -1, ""},
		{"POST", "/api/v2/agents/a/remember", 2, "agent_id=a"},
		{"POST", "/api/v2/agents//remember", -1, ""},
		{"DELETE", "/v1/memories/", 3, ""},
		{"OPTIONS", "/v1/memories/", -1, ""},
		{"TRACE", "/v1/memories/", -1, ""},
		{"PURGE", "/v1/memories/", -1, ""},
		{"DELETE", "/v1/memories", -1, ""},
		{"GET", "/v1/memories/m1/", 4, "memory_id=m1"},
		{"GET", "/v1/memories/m1", 5, "memory_id=m1"},
		{"GET", "/files/", 6, "rest="},
		{"GET", "/files", -1, ""},
		{"GET", "/files/a", 6, "rest=a"},
		{"GET", "/files/a/b/", 6, "rest=a/b/"},
		{"GET", "/files/a%20b/c", 6, "rest=a b/c"},
		{"GET", "/files/a/../b", -1, ""},
		{"GET", "/files/a//b", -1, ""},
		{"GET", "/files/a/meta", 7, "name=a"},
		{"GET", "/files/special/meta", 8, ""},
		{"GET", "/files/special/other", 6, "rest=special/other"},
		{"GET", "/files/special", 6, "rest=special"}, // the exact one takes no GET
		{"POST", "/files/special", 9, ""},
		{"GET", "/healthz", 10, ""},
		{"HEAD", "/healthz", 10, ""},
		{"POST", "/healthz", -1, ""}, // anonymous routes without methods only read
		{"OPTIONS", "/options", 11, ""},
		{"HEAD", "/both", 12, ""},
		{"GET", "/both", 13, ""},
		{"DELETE", "/mixed", 14, ""},
		{"PUT", "/mixed", 15, ""},
		{"GET", "/", 16, ""},
		{"GET", "/?a=b", 16, ""},
		{"GET", "/x:verb", 17, ""},
		{"GET", "/a/1/b/2/c/3/d/4/e/5/f/6/g/7/8/9", 18, "a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8/9"},
	}
	for _, test := range tests {
		m, ok := p.Match(test.method, test.path)
		got, params := -1, ""
		if ok {
			got = slices.IndexFunc(p.Routes, func(r Route) bool { return r.Name == m.Route.Name })
			for i, name := range m.names {
				v, found := m.Param(name)
				if !found || v != m.values[i] {
					t.Errorf("%s: Param(%s) = %q, %v", test.path, name, v, found)
				}
				params += " " + name + "=" + v
			}
		}
		if got != test.want || strings.TrimPrefix(params, " ") != test.params {
			t.Errorf("%s %.60q: route %d with %q, want %d with %q", test.method, test.path, got, params, test.want, test.params)
		}
		if _, found := m.Param("none"); found {
			t.Errorf("%s has a parameter that its template has not", test.path)
		}
	}
}

func TestMethods(t *testing.T) {
	p := withRoutes(t, "POST /a", "GET /{x}", "OPTIONS /b")
	for path, want := range map[string]string{"/a": "GET HEAD POST", "/b": "GET HEAD OPTIONS", "/c/d": "", "/%": ""} {
		if got := strings.Join(p.Methods(path), " "); got != want {
			t.Errorf("Methods(%s) = %q, want %q", path, got, want)
		}
	}
}

func TestMatchWithoutRoutes(t *testing.T) {
	if m, ok := new(Policy).Match("GET", "/"); ok || m.Route != nil {
		t.Errorf("a policy that was not parsed matches %+v", m)
	}
}

func TestParseTemplate(t *testing.T) {
	tests := map[string]string{ // template to a part of the error
		"/":                                    "",
		"/a/":                                  "",
		"/{a}/{b...}":                          "",
		"/a.b-c_d~e!f$g&h'i(j)k+l,m=n@":        "",
		"":                                     "empty",
		"a":                                    "start with /",
		"/a//b":                                "empty segment",
		"//":                                   "empty segment",
		"/a/./b":                               "dots",
		"/..":                                  "dots",
		"/*":                                   "{name...}",
		"/a/**":                                "{name...}",
		"/:id":                                 "{id}",
		"/a{b}":                                "brace inside",
		"/a}":                                  "brace inside",
		"/{a":                                  "without }",
		"/{a}b":                                "without }",
		"/{}":                                  "name",
		"/{a-b}":                               "name",
		"/{1}":                                 "name",
		"/{...}":                               "name",
		"/{a...}/b":                            "last segment",
		"/{a}/{a}":                             "two parameters",
		"/a%20b":                               "not allowed",
		"/a?b":                                 "not allowed",
		"/a;b":                                 "not allowed",
		"/é":                                   "not allowed",
		"/a b":                                 "not allowed",
		"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}":     "",
		"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}": "more than 8",
		"/" + strings.Repeat("a", 2048):        "longer",
		strings.Repeat("/a", 65):               "segments",
	}
	for template, want := range tests {
		_, err := parseTemplate(template)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", template, err, want)
		}
	}
}

func TestSpecificity(t *testing.T) {
	tests := []struct {
		a, b                      string
		aCoversB, bCoversA, meets bool
	}{
		{"/a", "/a", true, true, true},
		{"/a", "/b", false, false, false},
		{"/a", "/a/", false, false, false},
		{"/{x}", "/a", true, false, true},
		{"/{x}", "/{y}", true, true, true},
		{"/{x}", "/", false, false, false},
		{"/{x...}", "/", true, false, true},
		{"/{x...}", "/a", true, false, true},
		{"/{x...}", "/{x}", true, false, true},
		{"/{x...}", "/a/{x...}", true, false, true},
		{"/a/{x...}", "/a", false, false, false},
		{"/a/{x...}", "/a/", true, false, true},
		{"/{x}/b", "/a/{y}", false, false, true},
		{"/{x}/b", "/a/{y...}", false, false, true},
		{"/{x}/{y}", "/a/{y...}", false, false, true},
		{"/{x}/b", "/a/c", false, false, false},
		{"/{x}", "/{x}/b", false, false, false},
	}
	for _, test := range tests {
		a, errA := parseTemplate(test.a)
		b, errB := parseTemplate(test.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if covers(a, b) != test.aCoversB || covers(b, a) != test.bCoversA || intersect(a, b) != test.meets || intersect(b, a) != test.meets {
			t.Errorf("%s, %s: covers %v %v, intersect %v %v", test.a, test.b, covers(a, b), covers(b, a), intersect(a, b), intersect(b, a))
		}
	}
}

func TestOwnRoutes(t *testing.T) {
	const head = "version: 1\nupstream: { address: \"a:1\" }\nidentity: { api_keys: { file: file:k }, sessions: {} }\n"
	p, warnings, err := Parse([]byte(head), "own", "")
	if err != nil || len(warnings) != 1 { // no routes of the file
		t.Fatal(err, warnings)
	}
	for _, request := range []string{"POST /api/v2/agents/a/activate", "POST /api/v2/agents/a/deactivate", "GET /api/v2/status", "HEAD /api/v2/status"} {
		method, path, _ := strings.Cut(request, " ")
		m, ok := p.Match(method, path)
		if !ok || !m.Route.Own || m.Route.Anonymous || m.Route.Content.MaxBody != 64<<10 || m.Route.Content.MaxDepth == 0 {
			t.Errorf("%s: %v %+v", request, ok, m.Route)
		}
	}
	if _, ok := p.Match("GET", "/api/v2/agents/a/activate"); ok {
		t.Error("GET activates")
	}

	p, _, err = Parse([]byte(head+`routes:
  - { name: login, match: { methods: [POST], path: "/api/v2/agents/{agent_id}/activate" }, require: { scopes: [agent:use] }, class: read }
  - { name: session-status, match: { path: "/api/{rest...}" }, require: { scopes: [x] } }
`), "own", "")
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"POST /api/v2/agents/a/activate":   "login true [agent:use] read",
		"POST /api/v2/agents/a/deactivate": "session-deactivate true [] ",
		"GET /api/v2/status":               "/api/v2/status true [] ",
		"POST /api/v2/status":              "session-status false [x] ",
	} {
		method, path, _ := strings.Cut(request, " ")
		m, ok := p.Match(method, path)
		if !ok {
			t.Errorf("%s: no match", request)
			continue
		}
		if got := fmt.Sprint(m.Route.Name, " ", m.Route.Own, m.Route.Require.Scopes, " ", m.Route.Class); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}

	p, _, err = Parse([]byte(strings.Replace(head, ", sessions: {}", "", 1)+"routes: [{ match: { path: /a } }]\n"), "own", "")
	if err != nil || len(p.Routes) != 1 {
		t.Errorf("routes of sessions without sessions: %v %v", p, err)
	}
}

func TestRouteNames(t *testing.T) {
	p := withRoutes(t, "GET /a", "POST /a", "/a/", "GET /b", "POST,PUT /b", "DELETE /b")
	var names []string
	for _, r := range p.Routes {
		names = append(names, r.Name)
	}
	want := []string{"/a", "POST /a", "/a/", "/b", "POST,PUT /b", "DELETE /b"}
	if !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
}

// matchSlowly is Match by its description: all routes that take the request,
// and of them the one whose template each other one covers.
func matchSlowly(p *Policy, method, path string) *Route {
	clean, ok := cleanPath(path)
	if !ok {
		return nil
	}
	parts := strings.Split(clean[1:], "/")
	var best *Route
	var bestSegments []segment
	bestRank := -1
	for i := range p.Routes {
		r := &p.Routes[i]
		rank, ok := r.claims()[method]
		segments, err := parseTemplate(r.Match.Path)
		if !ok || err != nil || !fits(segments, parts) {
			continue
		}
		if best == nil || !covers(segments, bestSegments) || covers(bestSegments, segments) && rank > bestRank {
			best, bestSegments, bestRank = r, segments, rank
		}
	}
	return best
}

func fits(segments []segment, parts []string) bool {
	for i, s := range segments {
		switch {
		case s.kind == rest:
			return len(parts) > i
		case i >= len(parts), s.kind == exact && parts[i] != s.text, s.kind == param && parts[i] == "":
			return false
		}
	}
	return len(segments) == len(parts)
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][3]string{
		{"GET /a/{x}\nPOST /a/b\n/a/{x...}\n!/{y}", "GET", "/a/b?c"},
		{"GET /a/{x}/c\nGET /a/b/{y}/\n/{r...}", "HEAD", "/a/b/c"},
		{"/\nGET /{x}/\n/{x}/{y...}", "PUT", "/%61/%2e"},
		{"OPTIONS,GET /a\n/a\nHEAD /a", "HEAD", "/a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, list, method, path string) {
		var b strings.Builder
		for i, r := range strings.SplitN(list, "\n", 12) {
			r, anonymous := strings.CutPrefix(r, "!")
			methods, template, ok := strings.Cut(r, " ")
			if !ok {
				methods, template = "", r
			}
			// JSON is YAML, and quoting keeps the input from breaking out.
			fmt.Fprintf(&b, "  - { name: r%d, anonymous: %v, match: { path: %s, methods: [", i, anonymous, quoteYAML(template))
			for j, m := range strings.Split(methods, ",") {
				if j > 0 {
					b.WriteString(", ")
				}
				if methods != "" {
					b.WriteString(quoteYAML(m))
				}
			}
			b.WriteString("] } }\n")
		}
		p, _, err := Parse([]byte("version: 1\nupstream: { address: \"a:1\" }\nidentity: { api_keys: { file: file:k } }\nroutes:\n"+b.String()), "f", "")
		if err != nil {
			t.Skip()
		}
		want := matchSlowly(p, method, path)
		m, ok := p.Match(method, path)
		if ok != (want != nil) || m.Route != want {
			t.Errorf("%s %q: %+v, want %+v", method, path, m.Route, want)
		}
		if !ok {
			return
		}
		// The parameters put back into the template give the path.
		clean, _ := cleanPath(path)
		segments, _ := parseTemplate(m.Route.Match.Path)
		var built strings.Builder
		for _, s := range segments {
			text := s.text
			if s.kind != exact {
				text, _ = m.Param(s.text)
			}
			built.WriteString("/" + text)
		}
		if built.String() != clean {
			t.Errorf("%q: parameters give %q", clean, built.String())
		}
	})
}

// quoteYAML is s as a double-quoted YAML scalar.
func quoteYAML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' || r >= 0x7f {
			fmt.Fprintf(&b, `\U%08X`, r)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

func TestMatchAllocatesNothing(t *testing.T) {
	p := benchmarkPolicy(t)
	for _, path := range []string{"/api/v2/agents/a1/remember", "/files/a/b/c", "/nothing/here"} {
		if n := testing.AllocsPerRun(100, func() { p.Match("POST", path) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func benchmarkPolicy(t testing.TB) *Policy {
	list := []string{"!/healthz", "POST /api/v2/agents", "/files/{rest...}"}
	for _, verb := range []string{"remember", "recall", "batch-remember", "forget", "export", "import", "review", "merge"} {
		list = append(list, "POST /api/v2/agents/{agent_id}/"+verb)
	}
	for i := range 40 {
		list = append(list, fmt.Sprintf("/service-%d/{id}/items/{item}", i))
	}
	return withRoutes(t, list...)
}

func BenchmarkMatch(b *testing.B) {
	p := benchmarkPolicy(b)
	for name, path := range map[string]string{
		"exact":   "/api/v2/agents",
		"param":   "/api/v2/agents/agent-42/remember?limit=10",
		"rest":    "/files/a/b/c/d",
		"miss":    "/api/v2/agents/agent-42/unknown",
		"escaped": "/api/v2/agents/agent%2042/remember",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, _ := p.Match("POST", path)
				if _, ok := m.Param("agent_id"); ok && m.Route == nil {
					b.Fatal("no route")
				}
			}
		})
	}
}
