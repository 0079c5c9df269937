package pii

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// keysOf returns the pseudonyms of a tenant, under master keys of one byte each.
func keysOf(t testing.TB, tenant string, masters ...byte) *Pseudonyms {
	t.Helper()
	var keys [][]byte
	for _, m := range masters {
		key, err := TenantKey(bytes.Repeat([]byte{m}, MinPseudonymKey), tenant)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	p, err := NewPseudonyms(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pseudonym(t testing.TB, p *Pseudonyms, e Entity, value string) string {
	t.Helper()
	out, ok := p.Append(nil, e, []byte(value))
	if !ok {
		t.Fatalf("%q gets no pseudonym", value)
	}
	return string(out)
}

func TestPseudonyms(t *testing.T) {
	acme := keysOf(t, "acme", 'a')
	for _, value := range []string{"j", "jane@example.com", "4111 1111 1111 1111", "größe\n\"", strings.Repeat("x", maxPseudonymValue)} {
		token := pseudonym(t, acme, EmailAddress, value)
		if !strings.HasPrefix(token, "mgpii0emailaddress0") || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz0234567") != "" || len(token) > maxPseudonym {
			t.Errorf("%q is no word of letters and digits", token)
		}
		if token != pseudonym(t, keysOf(t, "acme", 'a', 'b'), EmailAddress, value) {
			t.Errorf("%q has two pseudonyms", value)
		}
		for _, written := range []string{token, strings.ToUpper(token)} {
			if got, ok := acme.Open(nil, []byte(written)); !ok || string(got) != value {
				t.Errorf("%q opens as %q, %v", written, got, ok)
			}
		}
		if got, ok := keysOf(t, "acme", 'b', 'a').Open(nil, []byte(token)); !ok || string(got) != value {
			t.Errorf("behind a newer key %q opens as %q, %v", token, got, ok)
		}
		for name, other := range map[string]*Pseudonyms{"another tenant": keysOf(t, "other", 'a'), "another key": keysOf(t, "acme", 'b')} {
			if got, ok := other.Open(nil, []byte(token)); ok {
				t.Errorf("%s opens it as %q", name, got)
			}
			if token == pseudonym(t, other, EmailAddress, value) {
				t.Errorf("%s has the same pseudonym", name)
			}
		}
		if pseudonym(t, acme, PhoneNumber, value) == token {
			t.Error("two entities have one pseudonym")
		}
		for i := range token {
			forged := []byte(token)
			if forged[i] = 'a'; token[i] == 'a' {
				forged[i] = 'b'
			}
			if got, ok := acme.Open(nil, forged); ok {
				t.Errorf("%q opens as %q", forged, got)
			}
			if got, ok := acme.Open(nil, []byte(token[:i])); ok {
				t.Errorf("%q opens as %q", token[:i], got)
			}
		}
		if _, ok := acme.Open(nil, []byte(token+"a")); ok {
			t.Error("more than a pseudonym opens")
		}
	}
	for _, value := range []string{"", strings.Repeat("x", maxPseudonymValue+1)} {
		if out, ok := acme.Append(nil, EmailAddress, []byte(value)); ok || len(out) > 0 {
			t.Errorf("%d bytes get %q", len(value), out)
		}
	}
}

func TestTenantKey(t *testing.T) {
	if _, err := TenantKey(make([]byte, MinPseudonymKey-1), "acme"); err == nil {
		t.Error("a short master key was taken")
	}
	key, err := TenantKey(make([]byte, MinPseudonymKey), "acme")
	if err != nil || len(key) != TenantKeySize {
		t.Errorf("%d bytes, %v", len(key), err)
	}
	if _, err := NewPseudonyms(); err == nil {
		t.Error("no key was taken")
	}
	if _, err := NewPseudonyms(key, key[1:]); err == nil {
		t.Error("a short key was taken")
	}
}

// pseudonymized is a rewriter with keys.
func pseudonymized(cfg Config, p *Pseudonyms, reveal bool) *Rewriter {
	r := NewRewriter(cfg)
	r.SetPseudonyms(p, reveal)
	return r
}

func TestRewritePseudonyms(t *testing.T) {
	acme, other := keysOf(t, "acme", 'a'), keysOf(t, "other", 'a')
	jane, strange := pseudonym(t, acme, EmailAddress, "jane@example.com"), pseudonym(t, other, EmailAddress, "jane@example.com")
	odd := pseudonym(t, acme, SlackToken, "a\"\\\n\u00e9")
	for _, tt := range []struct {
		name   string
		format Format
		action Action
		reveal bool
		in     string
		want   string
	}{
		{"made", JSON, Pseudonymize, false, `{"a":"to jane\u0040example.com."}`, `{"a":"to ` + jane + `."}`},
		{"made of a name", JSON, Pseudonymize, false, `{"jane@example.com":1}`, `{"` + jane + `":1}`},
		{"made in a form", Form, Pseudonymize, false, `a=jane%40example.com`, `a=` + jane},
		{"a key is redacted", Text, Pseudonymize, false, "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAabcdefghijklmnop\n-----END PRIVATE KEY-----", "[PRIVATE_KEY]"},
		{"sent by a client", JSON, Pseudonymize, false, `["` + jane + `","` + strange + `"]`, `["` + jane + `","` + strange + `"]`},
		{"opened", JSON, Redact, true, `{"a":"to ` + jane + `, ` + jane + `"}`, `{"a":"to jane@example.com, jane@example.com"}`},
		{"opened where all is allowed", JSON, Allow, true, `{"a":"` + jane + `"}`, `{"a":"jane@example.com"}`},
		{"opened in capitals", JSON, Redact, true, `{"a":"` + strings.ToUpper(jane) + `"}`, `{"a":"jane@example.com"}`},
		{"opened as a name", JSON, Redact, true, `{"` + jane + `":1}`, `{"jane@example.com":1}`},
		{"opened within text", Text, Redact, true, "x" + jane + "y", "xjane@example.comy"},
		{"opened far away", Text, Redact, true, strings.Repeat("amg words ", 700) + jane + strings.Repeat(" mgpii0", 300), strings.Repeat("amg words ", 700) + "jane@example.com" + strings.Repeat(" mgpii0", 300)},
		{"others are redacted", JSON, Redact, true, `["` + jane + ` joe@example.org"]`, `["jane@example.com [EMAIL_ADDRESS]"]`},
		{"of another tenant", JSON, Redact, true, `["` + strange + `"]`, `["` + strange + `"]`},
		{"not revealed", JSON, Redact, false, `["` + jane + `"]`, `["` + jane + `"]`},
		{"cut off", JSON, Redact, true, `["` + jane[:len(jane)-1] + `", "mgpii0", "m", "` + jane[:20] + `"]`, `["` + jane[:len(jane)-1] + `", "mgpii0", "m", "` + jane[:20] + `"]`},
		{"escaped in JSON", JSON, Redact, true, `["` + odd + `"]`, `["a\"\\\u000aé"]`},
		{"escaped in JSON in JSON", JSON, Redact, true, `["{\"a\":\"` + odd + `\"}"]`, `["{\"a\":\"a\\\"\\\\\\u000aé\"}"]`},
		{"escaped in a form", Form, Redact, true, `a=` + jane, `a=jane%40example.com`},
		{"lines", NDJSON, Redact, true, "\"" + jane + "\"\n\"" + jane + "\"\n", "\"jane@example.com\"\n\"jane@example.com\"\n"},
		{"events", SSE, Redact, true, "data: {\"a\":\"" + jane + "\"}\n\ndata: " + jane + "\n\n", "data: {\"a\":\"jane@example.com\"}\n\ndata: jane@example.com\n\n"},
		{"pieces of a chat", SSE, Redact, true, chat(openai, "to "+jane[:9], jane[9:30], jane[30:]+" now"), chat(openai, "to jane@example.com", "", " now")},
		{"pieces of a chat, cut off", SSE, Redact, true, chat(openai, "to "+jane[:9], jane[9:30], " now"), chat(openai, "to "+jane[:9], jane[9:30], " now")},
		{"made of pieces of a chat", SSE, Pseudonymize, false, chat(openai, "to jane", "@example.com "), chat(openai, "to "+jane, " ")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := pseudonymized(Config{Format: tt.format, Policy: policyOf(tt.action)}, acme, tt.reveal)
			want, err := rewriteCut(r, tt.in, 0)
			if err != nil || want != tt.want {
				t.Fatalf("%q:\n got %q, %v\nwant %q", tt.in, want, err, tt.want)
			}
			opened := r.Opened()
			if (opened > 0) != (tt.reveal && tt.want != tt.in) {
				t.Errorf("%d were opened", opened)
			}
			for n := 1; n < 70; n += 1 + n/8 {
				if got, err := rewriteCut(r, tt.in, n); err != nil || got != tt.want || r.Opened() != opened {
					t.Fatalf("%q in pieces of %d:\n got %q, %v, %d opened\nwant %q", tt.in, n, got, err, r.Opened(), tt.want)
				}
			}
		})
	}
	// Without keys they are redacted, and none is opened.
	if got, err := rewriteCut(pseudonymized(Config{Policy: policyOf(Pseudonymize)}, nil, true), `["jane@example.com `+jane+`"]`, 0); err != nil || got != `["[EMAIL_ADDRESS] `+jane+`"]` {
		t.Errorf("without keys: %q, %v", got, err)
	}
}

// FuzzPseudonyms: what was replaced by pseudonyms is there again once they are opened,
// however the body is cut both times.
func FuzzPseudonyms(f *testing.F) {
	for i, s := range rewriteSeeds {
		f.Add([]byte(s), uint8(i%3), uint16(i+1), uint16(2*i+3))
	}
	acme := keysOf(f, "acme", 'a')
	f.Fuzz(func(t *testing.T, input []byte, kind uint8, n, m uint16) {
		format := []Format{JSON, Text, NDJSON}[kind%3]
		cfg := Config{Format: format, Policy: policyOf(Pseudonymize)}
		cfg.Policy.Actions[PrivateKey] = Allow
		made, err := rewriteCut(pseudonymized(cfg, acme, false), string(input), int(n))
		if err != nil || bytes.Contains(bytes.ToLower(input), []byte("mgpii0")) {
			return
		}
		back, err := rewriteCut(pseudonymized(Config{Format: format}, acme, true), made, int(m))
		if err != nil {
			t.Fatalf("%q became %q: %v", input, made, err)
		}
		if format == Text {
			if back != string(input) {
				t.Fatalf("%q became %q and then %q", input, made, back)
			}
			return
		}
		before, after := flat(t, input), flat(t, []byte(back))
		if len(before) != len(after) {
			t.Fatalf("%q became %q and then %q", input, made, back)
		}
		for i := range before {
			if number, ok := before[i].(json.Number); ok && before[i] != after[i] {
				if text, _ := after[i].(string); text != "" && strings.ContainsAny(number.String(), text) {
					continue // it is a string now, of its integer part
				}
			}
			if text, ok := before[i].(string); ok && before[i] != after[i] && strings.Contains(text, `\`) {
				continue // escapes of JSON in JSON
			}
			if before[i] != after[i] {
				t.Fatalf("%q became %q and then %q", input, made, back)
			}
		}
	})
}
