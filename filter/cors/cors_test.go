package cors

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/headers"
)

func matcher(t testing.TB, p Policy) *Matcher {
	t.Helper()
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func list(hs []headers.Header) string {
	var lines []string
	for _, h := range hs {
		lines = append(lines, h.Name+": "+h.Value)
	}
	return strings.Join(lines, "\n")
}

func TestAllows(t *testing.T) {
	app := []string{"https://app.example.com"}
	sub := []string{"https://*.example.com"}
	tests := []struct {
		allow  []string
		origin string
		want   bool
	}{
		{nil, "https://app.example.com", false},
		{app, "https://app.example.com", true},
		{app, "HTTPS://App.Example.Com", true},
		{app, "http://app.example.com", false},
		{app, "https://app.example.com:443", false},
		{app, "https://app.example.com:8443", false},
		{app, "https://app.example.com/", false},
		{app, "https://app.example.com.", false},
		{app, "https://app.example.com.evil.org", false},
		{app, "https://user@app.example.com", false},
		{app, "https://evilapp.example.com", false},
		{app, "https://example.com", false},
		{app, "https://app.example.com, https://app.example.com", false},
		{app, "https://app.example.com ", false},
		{app, " https://app.example.com", false},
		{app, "https://app.example.com\n", false},
		{app, "app.example.com", false},
		{app, "//app.example.com", false},
		{app, "null", false},
		{app, "", false},
		{[]string{"HTTPS://APP.example.com"}, "https://app.example.com", true},
		{[]string{"http://localhost:3000"}, "http://localhost:3000", true},
		{[]string{"http://localhost:3000"}, "http://localhost:3001", false},
		{[]string{"http://localhost:3000"}, "http://localhost", false},
		{[]string{"http://[::1]:3000"}, "http://[::1]:3000", true},
		{[]string{"http://[::1]"}, "http://[::1]", true},
		{[]string{"chrome-extension://abcdefghijklmnop"}, "chrome-extension://abcdefghijklmnop", true},
		{sub, "https://app.example.com", true},
		{sub, "https://a.b.example.com", true},
		{sub, "HTTPS://A.EXAMPLE.COM", true},
		{sub, "https://example.com", false},
		{sub, "https://.example.com", false},
		{sub, "https://a..example.com", false},
		{sub, "https://notexample.com", false},
		{sub, "https://a.notexample.com", false},
		{sub, "https://example.com.evil.org", false},
		{sub, "https://a.example.com.evil.org", false},
		{sub, "https://evil.org/.example.com", false},
		{sub, "https://evil.org#.example.com", false},
		{sub, "https://evil.org?.example.com", false},
		{sub, "https://evil.org\\.example.com", false},
		{sub, "https://evil.org%2f.example.com", false},
		{sub, "https://evil.org:80.example.com", false},
		{sub, "https://user@a.example.com", false},
		{sub, "http://a.example.com", false},
		{sub, "https://a.example.com:8443", false},
		{sub, "https://a.example.com:", false},
		{sub, "https://a.example.com:0443", false},
		{sub, "https://*.example.com", false},
		{sub, "https://" + strings.Repeat("a", 64) + ".example.com", false},
		{sub, "https://" + strings.Repeat("a.", 130) + "example.com", false},
		{sub, "https://a.example.com" + strings.Repeat(" ", 400), false},
		{[]string{"https://*.example.com:8443"}, "https://a.example.com:8443", true},
		{[]string{"https://*.example.com:8443"}, "https://a.example.com", false},
		{[]string{"http://*.localhost:3000"}, "http://a.localhost:3000", true},
		{[]string{"*"}, "https://anything.example", true},
		{[]string{"*"}, "null", false},
		{[]string{"*"}, "", false},
		{[]string{"*"}, "https://a b", false},
		{[]string{"*"}, "https://a:99999", false},
		{[]string{"*"}, "https://[::1", false},
		{[]string{"*"}, "https://[g::1]", false},
	}
	for _, tt := range tests {
		m := matcher(t, Policy{AllowOrigins: tt.allow})
		if got := m.Allows(tt.origin); got != tt.want {
			t.Errorf("%v allows %q = %v, want %v", tt.allow, tt.origin, got, tt.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		p    Policy
		want Reason
	}{
		{"star with credentials", Policy{AllowOrigins: []string{"*"}, AllowCredentials: true}, WildcardCredentials},
		{"star beside others", Policy{AllowOrigins: []string{"https://a.example", "*"}}, WildcardNotAlone},
		{"star with private network", Policy{AllowOrigins: []string{"*"}, AllowPrivateNetwork: true}, WildcardPrivateNetwork},
		{"null", Policy{AllowOrigins: []string{"null"}}, NullOrigin},
		{"NULL", Policy{AllowOrigins: []string{"NULL"}}, NullOrigin},
		{"no scheme", Policy{AllowOrigins: []string{"app.example.com"}}, BadOrigin},
		{"trailing slash", Policy{AllowOrigins: []string{"https://app.example.com/"}}, BadOrigin},
		{"user", Policy{AllowOrigins: []string{"https://u@app.example.com"}}, BadOrigin},
		{"default port", Policy{AllowOrigins: []string{"https://app.example.com:443"}}, BadOrigin},
		{"default port of http", Policy{AllowOrigins: []string{"http://app.example.com:80"}}, BadOrigin},
		{"port 0", Policy{AllowOrigins: []string{"https://app.example.com:0"}}, BadOrigin},
		{"port 65536", Policy{AllowOrigins: []string{"https://app.example.com:65536"}}, BadOrigin},
		{"not ASCII", Policy{AllowOrigins: []string{"https://bücher.example"}}, BadOrigin},
		{"Kelvin sign in a wildcard", Policy{AllowOrigins: []string{"https://*.\u212aelvin.example"}}, BadOrigin},
		{"empty", Policy{AllowOrigins: []string{""}}, BadOrigin},
		{"wildcard within a label", Policy{AllowOrigins: []string{"https://a*.example.com"}}, BadWildcard},
		{"wildcard in the middle", Policy{AllowOrigins: []string{"https://a.*.example.com"}}, BadWildcard},
		{"two wildcards", Policy{AllowOrigins: []string{"https://*.*.example.com"}}, BadWildcard},
		{"wildcard top-level domain", Policy{AllowOrigins: []string{"https://*.com"}}, BadWildcard},
		{"wildcard host", Policy{AllowOrigins: []string{"https://*"}}, BadWildcard},
		{"wildcard scheme", Policy{AllowOrigins: []string{"*://a.example.com"}}, BadWildcard},
		{"wildcard port", Policy{AllowOrigins: []string{"https://a.example.com:*"}}, BadWildcard},
		{"wildcard address", Policy{AllowOrigins: []string{"https://*.0.0.1"}}, BadWildcard},
		{"wildcard with default port", Policy{AllowOrigins: []string{"https://*.example.com:443"}}, BadOrigin},
		{"lower-case method", Policy{AllowMethods: []string{"patch"}}, BadMethod},
		{"forbidden method", Policy{AllowMethods: []string{"TRACE"}}, BadMethod},
		{"method with a space", Policy{AllowMethods: []string{"GET POST"}}, BadMethod},
		{"method star beside others", Policy{AllowMethods: []string{"*", "GET"}}, WildcardNotAlone},
		{"method star with credentials", Policy{AllowMethods: []string{"*"}, AllowCredentials: true}, WildcardCredentials},
		{"header", Policy{AllowHeaders: []string{"x y"}}, BadHeader},
		{"header star with credentials", Policy{AllowHeaders: []string{"*"}, AllowCredentials: true}, WildcardCredentials},
		{"expose splitting", Policy{ExposeHeaders: []string{"x\r\nset-cookie: a=b"}}, BadHeader},
		{"expose star with credentials", Policy{ExposeHeaders: []string{"*"}, AllowCredentials: true}, WildcardCredentials},
		{"negative age", Policy{MaxAge: -time.Second}, BadMaxAge},
		{"long age", Policy{MaxAge: 25 * time.Hour}, BadMaxAge},
		{"too many origins", Policy{AllowOrigins: slices.Repeat([]string{"https://a.example"}, MaxList+1)}, TooMany},
		{"too many methods", Policy{AllowMethods: slices.Repeat([]string{"GET"}, MaxList+1)}, TooMany},
		{"too many headers", Policy{AllowHeaders: slices.Repeat([]string{"a"}, MaxList+1)}, TooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.p)
			var e *Error
			if !errors.As(err, &e) || e.Reason != tt.want {
				t.Fatalf("error %v, want reason %q", err, tt.want)
			}
			if strings.ContainsAny(e.Error(), "\r\n") {
				t.Errorf("the error's text has line ends: %q", e.Error())
			}
		})
	}
}

func TestIsPreflight(t *testing.T) {
	m := matcher(t, Policy{})
	tests := []struct {
		method, origin, request string
		want                    bool
	}{
		{"OPTIONS", "https://a.example", "POST", true},
		{"OPTIONS", "null", "POST", true}, // one, and refused
		{"OPTIONS", "https://a.example", "", false},
		{"OPTIONS", "", "POST", false},
		{"POST", "https://a.example", "POST", false},
		{"options", "https://a.example", "POST", false},
	}
	for _, tt := range tests {
		if got := m.IsPreflight(tt.method, tt.origin, tt.request); got != tt.want {
			t.Errorf("IsPreflight(%q, %q, %q) = %v", tt.method, tt.origin, tt.request, got)
		}
	}
}

func TestPreflight(t *testing.T) {
	strict := Policy{
		AllowOrigins:     []string{"https://app.example.com", "https://*.dev.example.com"},
		AllowMethods:     []string{"GET", "POST", "PATCH"},
		AllowHeaders:     []string{"Authorization", "Content-Type", "X-API-Key"},
		ExposeHeaders:    []string{"X-Request-Id"},
		AllowCredentials: true,
		MaxAge:           600*time.Second + 999*time.Millisecond,
	}
	open := Policy{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, ExposeHeaders: []string{"*"}}
	private := strict
	private.AllowPrivateNetwork = true
	const v = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
	app := "https://app.example.com"
	tests := []struct {
		name                             string
		p                                Policy
		origin, method, headers, network string
		want                             string // "" when refused
	}{
		{"all asked for", strict, app, "PATCH", "authorization,content-type", "",
			v + "\naccess-control-allow-origin: https://app.example.com\naccess-control-allow-credentials: true\n" +
				"access-control-allow-methods: GET, POST, PATCH\naccess-control-allow-headers: authorization,content-type\n" +
				"access-control-max-age: 600"},
		{"no headers asked for", strict, "https://a.b.dev.example.com", "GET", "", "",
			v + "\naccess-control-allow-origin: https://a.b.dev.example.com\naccess-control-allow-credentials: true\n" +
				"access-control-allow-methods: GET, POST, PATCH\naccess-control-max-age: 600"},
		{"case and space of headers", strict, app, "GET", " AUTHORIZATION , ,x-api-KEY\t", "",
			v + "\naccess-control-allow-origin: https://app.example.com\naccess-control-allow-credentials: true\n" +
				"access-control-allow-methods: GET, POST, PATCH\naccess-control-allow-headers: AUTHORIZATION , ,x-api-KEY\n" +
				"access-control-max-age: 600"},
		{"other origin", strict, "https://evil.example", "GET", "", "", ""},
		{"null origin", strict, "null", "GET", "", "", ""},
		{"two origins", strict, app + ", " + app, "GET", "", "", ""},
		{"long origin", strict, "https://" + strings.Repeat("a", 5000), "GET", "", "", ""},
		{"other method", strict, app, "DELETE", "", "", ""},
		{"method in lower case", strict, app, "patch", "", "", ""},
		{"HEAD not listed", strict, app, "HEAD", "", "", ""},
		{"two methods", strict, app, "GET,POST", "", "", ""},
		{"other header", strict, app, "GET", "authorization,x-evil", "", ""},
		{"header with a space", strict, app, "GET", "authori zation", "", ""},
		{"Kelvin sign is not k", strict, app, "GET", "x-api-\u212aey", "", ""},
		{"header splitting", strict, app, "GET", "authorization\r\nx: y", "", ""},
		{"long header list", strict, app, "GET", strings.Repeat(",", MaxRequestHeaders+1), "", ""},
		{"many headers", strict, app, "GET", strings.Repeat("authorization,", MaxList+1), "", ""},
		{"private network not allowed", strict, app, "GET", "", "true", ""},
		{"private network allowed", private, app, "GET", "", "true",
			v + ", Access-Control-Request-Private-Network\naccess-control-allow-origin: https://app.example.com\n" +
				"access-control-allow-credentials: true\naccess-control-allow-methods: GET, POST, PATCH\n" +
				"access-control-allow-private-network: true\naccess-control-max-age: 600"},
		{"private network not asked for", private, app, "GET", "", "",
			v + ", Access-Control-Request-Private-Network\naccess-control-allow-origin: https://app.example.com\n" +
				"access-control-allow-credentials: true\naccess-control-allow-methods: GET, POST, PATCH\n" +
				"access-control-max-age: 600"},
		{"open", open, "https://x.example", "PURGE", "x-anything", "",
			v + "\naccess-control-allow-origin: *\naccess-control-allow-methods: *\naccess-control-allow-headers: x-anything"},
		{"star does not cover authorization", open, "https://x.example", "GET", "Authorization", "", ""},
		{"star does not cover null", open, "null", "GET", "", "", ""},
		{"star does not cover forbidden methods", open, "https://x.example", "TRACE", "", "", ""},
		{"star does not cover malformed headers", open, "https://x.example", "GET", "a b", "", ""},
		{"default methods", Policy{AllowOrigins: []string{app}}, app, "POST", "", "",
			v + "\naccess-control-allow-origin: https://app.example.com\naccess-control-allow-methods: GET, HEAD, POST"},
		{"nothing allowed", Policy{}, app, "GET", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := matcher(t, tt.p)
			got, ok := m.Preflight(nil, tt.origin, tt.method, tt.headers, tt.network)
			if ok != (tt.want != "") {
				t.Fatalf("allowed = %v\n%s", ok, list(got))
			}
			want := tt.want
			if want == "" {
				want = "vary: " + m.varyPreflight
			}
			if list(got) != want {
				t.Errorf("got\n%s\nwant\n%s", list(got), want)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	p := Policy{
		AllowOrigins:     []string{"https://app.example.com", "https://*.dev.example.com"},
		ExposeHeaders:    []string{"X-Request-Id", "RateLimit", "x-request-id"},
		AllowCredentials: true,
	}
	full := func(origin string) string {
		return "vary: Origin\naccess-control-allow-origin: " + origin +
			"\naccess-control-allow-credentials: true\naccess-control-expose-headers: ratelimit, x-request-id"
	}
	tests := []struct {
		name   string
		p      Policy
		origin string
		want   string
	}{
		{"no origin", p, "", "vary: Origin"},
		{"exact", p, "https://app.example.com", full("https://app.example.com")},
		{"wildcard", p, "https://x.dev.example.com", full("https://x.dev.example.com")},
		{"other", p, "https://evil.example", "vary: Origin"},
		{"null", p, "null", "vary: Origin"},
		{"splitting", p, "https://x.dev.example.com\r\nset-cookie: a=b", "vary: Origin"},
		{"star", Policy{AllowOrigins: []string{"*"}, ExposeHeaders: []string{"*", "authorization"}}, "https://a.example",
			"vary: Origin\naccess-control-allow-origin: *\naccess-control-expose-headers: *, authorization"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := matcher(t, tt.p)
			if got := list(m.Response(nil, tt.origin)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			kept := []headers.Header{{Name: "a", Value: "b"}}
			if got := list(m.Response(kept, tt.origin)); got != "a: b\n"+tt.want {
				t.Errorf("what was in dst is lost:\n%s", got)
			}
		})
	}
}

func TestResponseHeader(t *testing.T) {
	for name, want := range map[string]bool{
		"access-control-allow-origin": true, "access-control-expose-headers": true,
		"vary": false, "content-type": false, "x-access-control-allow-origin": false,
	} {
		if got := ResponseHeader(name); got != want {
			t.Errorf("ResponseHeader(%q) = %v", name, got)
		}
	}
}

func TestAnswersDoNotAllocate(t *testing.T) {
	m := matcher(t, benchPolicy)
	dst := make([]headers.Header, 0, 16)
	for _, origin := range []string{"", "https://app.example.com", "https://x.dev.example.com", "https://evil.example"} {
		if n := testing.AllocsPerRun(100, func() { m.Response(dst, origin) }); n != 0 {
			t.Errorf("Response for %q allocates %v times", origin, n)
		}
		if n := testing.AllocsPerRun(100, func() { m.Preflight(dst, origin, "POST", "authorization,content-type", "") }); n != 0 {
			t.Errorf("Preflight for %q allocates %v times", origin, n)
		}
	}
}

var benchPolicy = Policy{
	AllowOrigins:     []string{"https://app.example.com", "https://admin.example.com", "https://*.dev.example.com"},
	AllowMethods:     []string{"GET", "POST", "DELETE"},
	AllowHeaders:     []string{"authorization", "content-type"},
	ExposeHeaders:    []string{"x-request-id", "ratelimit"},
	AllowCredentials: true,
	MaxAge:           600 * time.Second,
}

// go test -bench=. -count=10 ./filter/cors | benchstat -
func BenchmarkResponse(b *testing.B) {
	m := matcher(b, benchPolicy)
	dst := make([]headers.Header, 0, 16)
	for name, origin := range map[string]string{
		"none": "", "exact": "https://app.example.com", "wildcard": "https://x.dev.example.com", "refused": "https://evil.example",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Response(dst, origin)
			}
		})
	}
}

func BenchmarkPreflight(b *testing.B) {
	m := matcher(b, benchPolicy)
	dst := make([]headers.Header, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		m.Preflight(dst, "https://app.example.com", "POST", "authorization,content-type", "")
	}
}
