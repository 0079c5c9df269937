package policy

import (
	"fmt"
	"strings"
	"testing"
)

// letters is text as random as a key, so that it need not stand here as one.
func letters(n int, alphabet string) string {
	var b strings.Builder
	for state := uint32(1); b.Len() < n; {
		state = state*1664525 + 1013904223
		b.WriteByte(alphabet[int(state>>16)%len(alphabet)])
	}
	return b.String()
}

const (
	upperAlnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alnum      = upperAlnum + "abcdefghijklmnopqrstuvwxyz"
	hexDigits  = "0123456789abcdef"
)

func TestFindSecret(t *testing.T) {
	found := []string{"https://bob:" + "hunter2@db.example.com/x", "-----BEGIN RSA " + "PRIVATE KEY-----", "-----BEGIN " + "PRIVATE KEY-----"}
	for _, kind := range knownTokens {
		found = append(found, kind.prefix+letters(max(kind.length, 40), upperAlnum))
	}
	for _, token := range found {
		for _, line := range []string{token, "key: " + token, `{"k":"` + token + `"}`, "é # " + token + " "} {
			what, at := findSecret(line)
			if want := strings.Index(line, token); what == "" || at != want && !strings.HasPrefix(what, "a password") {
				t.Errorf("%q: %q at %d, want %d", line, what, at, want)
			}
			if !looksSecret(line) {
				t.Errorf("%q does not look like a secret", line)
			}
		}
		// What is found is nowhere repeated.
		for _, text := range []string{
			"version: 1\nupstream: { address: \"a:1\" }\nenvironment: " + quoteYAML(token) + "\n",
			"version: 1\nupstream: { address: \"a:1\" }\n" + quoteYAML(token) + ": 1\n",
			"version: 1\nupstream: { address: \"a:1\", " + quoteYAML("failure"+token) + ": 1 }\n",
			"version: 1\nupstream: { address: " + quoteYAML(token) + " }\nroutes: [{ match: { path: " + quoteYAML(token) + ", methods: [" + quoteYAML(token) + "] }, class: " + quoteYAML(token) + " }]\n",
			"version: 1\nupstream: { address: \"a:1\" }\npii: { key: " + quoteYAML(token) + ", request: { " + quoteYAML(token) + ": x, JWT: " + quoteYAML(token) + " } }\n",
			"version: 1\nupstream: { address: \"a:1\" }\nidentity: { issuers: [{ issuer: " + quoteYAML(token) + ", algorithms: [" + quoteYAML(token) + "] }] }\n",
			"version: 1\nupstream: { address: \"a:1\" }\ncors: { allow_origins: [" + quoteYAML(token) + "], allow_headers: [" + quoteYAML(token) + "], max_age: " + quoteYAML(token) + " }\nheaders: { override: { " + quoteYAML(token) + ": \"é\" } }\n",
			"version: 1\n" + token + "\n[\n",
		} {
			_, warnings, err := Parse([]byte(text), "f", "")
			printed := fmt.Sprint(err, warnings)
			if strings.Contains(printed, token) || strings.Contains(printed, "hunter2") {
				t.Errorf("the credential is printed: %s", printed)
			}
		}
	}
	for _, line := range []string{
		"", "sk-short", "AKIA", "AKIAshort", "risk-of-" + strings.Repeat("x", 40), "task_live_" + letters(20, alnum),
		"https://example.com:8080/a@b", "https://example.com/a:b@c", "https://user@example.com", "http://[::1]:80/",
		"upstream: https://127.0.0.1:8081 # a@b", "-----BEGIN CERTIFICATE-----", "mg_", "eyJ", "image: ghcr.io/a/b@sha256:" + letters(64, hexDigits),
	} {
		if what, at := findSecret(line); what != "" {
			t.Errorf("%q: %q at %d", line, what, at)
		}
	}
}

func TestLooksRandom(t *testing.T) {
	for _, text := range []string{
		letters(32, alnum), letters(24, alnum), letters(43, alnum+"-_"), letters(64, hexDigits), letters(32, hexDigits),
		"Bearer " + letters(40, alnum), letters(44, alnum+"+") + "=",
	} {
		if !looksRandom(text) {
			t.Errorf("%q is taken for words", text)
		}
	}
	for _, text := range []string{
		"", "short1", letters(23, alnum), "memory:write", "urn:ietf:params:oauth:grant-type:exchange",
		letters(8, hexDigits) + "-9d1c-4f6e-8a57-" + letters(12, hexDigits),
		"batch-remember-memories-2024-01", "https://idp.example.com/realms/production-eu-1",
		"http-equiv-content-security-policy", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1", "aaaaaaaabbbbbbbb1111111122222222",
		"this-is-a-long-route-name-of-version-2", "x-memgate-some-very-long-header-name-1",
		"eu-central-1-production-cluster-02", "ReadWriteManyPersistentVolumeClaim2", "2024-05-17T10-22-33-batch-import-run",
		"/api/v2/agents/{agent_id}/memories/{memory_id}", "configuration_management_service_v2",
	} {
		if looksRandom(text) {
			t.Errorf("%q is taken for a key", text)
		}
	}
}

func TestSuggestions(t *testing.T) {
	for _, test := range []struct{ word, want string }{
		{"alow_origins", "allow_origins"}, {"allowOrigins", "allow_origins"}, {"ALLOW-ORIGINS", "allow_origins"},
		{"max_gae", "max_age"}, {"maxage", "max_age"}, {"x", ""}, {"", ""}, {"something", ""}, {strings.Repeat("a", 100), ""},
	} {
		hint := didYouMean(test.word, []string{"allow_origins", "allow_methods", "max_age"})
		if want := `; did you mean "` + test.want + `"?`; test.want == "" && hint != "" || test.want != "" && hint != want {
			t.Errorf("%q: %q, want %q", test.word, hint, test.want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"kitten", "sitting", 3}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
