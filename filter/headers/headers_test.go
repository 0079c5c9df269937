package headers

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func value(p Policy, name string) (string, bool) {
	for _, h := range p.Set {
		if h.Name == name {
			return h.Value, true
		}
	}
	return "", false
}

func TestPresets(t *testing.T) {
	tests := []struct {
		preset string
		want   map[string]string // "" means absent
	}{
		{"api", map[string]string{
			"cache-control":                     "no-store",
			"content-security-policy":           "default-src 'none'; frame-ancestors 'none'",
			"cross-origin-opener-policy":        "same-origin",
			"cross-origin-resource-policy":      "same-origin",
			"cross-origin-embedder-policy":      "",
			"referrer-policy":                   "no-referrer",
			"x-content-type-options":            "nosniff",
			"x-frame-options":                   "DENY",
			"x-permitted-cross-domain-policies": "none",
			"strict-transport-security":         "",
			"x-xss-protection":                  "",
		}},
		{"web", map[string]string{
			"cache-control":                "",
			"content-security-policy":      "default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'none'",
			"cross-origin-embedder-policy": "require-corp",
			"x-content-type-options":       "nosniff",
			"x-frame-options":              "DENY",
			"strict-transport-security":    "",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.preset, func(t *testing.T) {
			p, err := New(tt.preset, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range tt.want {
				if got, _ := value(p, name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if v, _ := value(p, "permissions-policy"); !strings.Contains(v, "camera=()") {
				t.Errorf("permissions-policy = %q", v)
			}
			for _, name := range []string{"server", "x-powered-by", "x-aspnet-version", "x-envoy-upstream-service-time"} {
				if !p.Removes(name) {
					t.Errorf("%s is not removed", name)
				}
			}
			for _, name := range []string{"content-type", "x-request-id", "", "Server", "zzz"} {
				if p.Removes(name) {
					t.Errorf("%s is removed", name)
				}
			}
			if err := p.Validate(); err != nil {
				t.Errorf("the preset is not valid: %v", err)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	p, err := New("api", map[string]string{
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		"X-Frame-Options":           "SAMEORIGIN",
		"Permissions-Policy":        "",
		"Server":                    "edge",
		"X-Powered-By":              "",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"strict-transport-security": "max-age=31536000; includeSubDomains",
		"x-frame-options":           "SAMEORIGIN",
		"server":                    "edge",
		"permissions-policy":        "",
		"x-content-type-options":    "nosniff",
	} {
		if got, _ := value(p, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if p.Removes("server") || p.Removes("x-powered-by") {
		t.Error("an overridden header is still removed")
	}
	if !slices.IsSortedFunc(p.Set, func(a, b Header) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("Set is not sorted")
	}

	// A policy must not share memory with the preset or with another policy.
	p.Set[0].Value = "changed"
	p.Remove[0] = "changed"
	again, err := New("api", nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Set[0].Value == "changed" || again.Remove[0] == "changed" {
		t.Error("a policy shares memory with the preset")
	}
}

func TestNewRefuses(t *testing.T) {
	many := map[string]string{}
	for i := range MaxHeaders + 1 {
		many["x-"+strings.Repeat("a", i%60)+string(rune('a'+i/60))] = "v"
	}
	tests := []struct {
		name, preset string
		overrides    map[string]string
		want         Reason
	}{
		{"unknown preset", "strict", nil, UnknownPreset},
		{"empty preset", "", nil, UnknownPreset},
		{"space in the name", "api", map[string]string{"x frame": "a"}, BadName},
		{"colon in the name", "api", map[string]string{":status": "200"}, BadName},
		{"empty name", "api", map[string]string{"": "a"}, BadName},
		{"line feed in the name", "api", map[string]string{"x-a\nx-b": "a"}, BadName},
		{"long name", "api", map[string]string{strings.Repeat("a", MaxName+1): "a"}, BadName},
		{"not ASCII", "api", map[string]string{"x-ä": "a"}, BadName},
		{"line feed in the value", "api", map[string]string{"x-a": "a\r\nset-cookie: b"}, BadValue},
		{"NUL in the value", "api", map[string]string{"x-a": "a\x00b"}, BadValue},
		{"leading space", "api", map[string]string{"x-a": " a"}, BadValue},
		{"trailing tab", "api", map[string]string{"x-a": "a\t"}, BadValue},
		{"obs-text", "api", map[string]string{"x-a": "\xff"}, BadValue},
		{"long value", "api", map[string]string{"x-a": strings.Repeat("a", MaxValue+1)}, BadValue},
		{"content-length", "api", map[string]string{"Content-Length": "0"}, Reserved},
		{"transfer-encoding", "api", map[string]string{"Transfer-Encoding": "chunked"}, Reserved},
		{"connection", "api", map[string]string{"connection": ""}, Reserved},
		{"set-cookie", "api", map[string]string{"Set-Cookie": "a=b"}, Reserved},
		{"content-type", "web", map[string]string{"content-type": "text/html"}, Reserved},
		{"CORS", "web", map[string]string{"Access-Control-Allow-Origin": "*"}, Reserved},
		{"vary", "web", map[string]string{"vary": "*"}, Reserved},
		{"trusted", "web", map[string]string{"X-Memgate-Tenant": "a"}, Reserved},
		{"twice", "api", map[string]string{"X-Frame-Options": "DENY", "x-frame-options": ""}, Duplicate},
		{"too many", "api", many, TooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.preset, tt.overrides)
			var e *Error
			if !errors.As(err, &e) || e.Reason != tt.want {
				t.Fatalf("error %v, want reason %q", err, tt.want)
			}
			if strings.ContainsAny(e.Error(), "\r\n\x00") {
				t.Errorf("the error's text has control characters: %q", e.Error())
			}
		})
	}
}

func TestValidateWire(t *testing.T) {
	tests := []struct {
		name string
		p    Policy
		want Reason // "" when valid
	}{
		{"empty", Policy{}, ""},
		{"sorted", Policy{Set: []Header{{"a", "1"}, {"b", "2"}}, Remove: []string{"x", "y"}}, ""},
		{"unsorted", Policy{Set: []Header{{"b", "1"}, {"a", "2"}}}, NotSorted},
		{"twice", Policy{Remove: []string{"x", "x"}}, Duplicate},
		{"upper case", Policy{Remove: []string{"X"}}, BadName},
		{"removes framing", Policy{Remove: []string{"content-length"}}, Reserved},
		{"empty value", Policy{Set: []Header{{"a", ""}}}, BadValue},
		{"splitting", Policy{Set: []Header{{"a", "b\r\nc: d"}}}, BadValue},
		{"too many", Policy{Set: make([]Header, MaxHeaders+1)}, TooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.p.Validate()
			var e *Error
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else if !errors.As(err, &e) || e.Reason != tt.want {
				t.Fatalf("error %v, want reason %q", err, tt.want)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "a": true, "X-Api-Key": true, "!#$%&'*+-.^_`|~09": true, "a b": false, "a,b": false,
		"a\x00": false, "a\x7f": false, "é": false, "a(": false, "\"a\"": false,
	} {
		if got := IsToken(s); got != want {
			t.Errorf("IsToken(%q) = %v, want %v", s, got, want)
		}
	}
}
