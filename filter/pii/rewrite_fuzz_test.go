package pii

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

var rewriteSeeds = []string{
	`{"content":"mail jane@example.com now","n":4111111111111111,"a":[1,-2.5e3,true,null]}`,
	`{"ssn":"219-09-9999","phone":["+1 202 555 0143"],"iban":"DE89 3704 0044 0532 0130 00"}`,
	`"jane\u0040example.com \ud83d\ude00 \"q\" \/ \n"`, `{"a":"{\"b\":\"jane@example.com\"}"}`,
	`{"a":"{\"b\":\"jane\\u0040example.com\\n\",\"c\":4111111111111111}"}`, `["{\"b\":\"{\\\"m\\\":\\\"jane\\\\u0040example.com\\\"}\"}"]`,
	`{"key":"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAabcdefghijklmnop\nMIIEowIBAAKCAQEAabcdefghijklmnop\n-----END RSA PRIVATE KEY-----\n"}`,
	`["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"]`,
	"{\"a\":1}\nnot json jane@example.com\n4111111111111111\n", "data: {\"a\":\"jane\\u0040example.com\"}\n\n",
	"a=jane%40example.com&ssn=219099999&b=+1+202+555+0143&%zz=%", `{"a":"\ud83d"}`, "\"\xff\xe2\x82\"", `tru@example.com`,
	`[4111 1111 1111 1111]`, `{"jane@example.com":{"192.168.10.20":"fe80::1ff:fe23:4567:890a"}}`, `[`, `"\u00`, ``,
}

// configOf makes a configuration of the bits of a number.
func configOf(bits uint16) Config {
	cfg := Config{
		Format: Format(bits & 7 % 5), Policy: policyOf(Action(bits >> 3 & 3)), HashKey: []byte("a key that is for tests only, 32"),
		MaxDepth: 8, Lenient: bits>>8&1 != 0,
	}
	if bits>>9&1 != 0 {
		cfg.Policy.Actions[EmailAddress] = Block
	}
	if bits>>10&1 != 0 {
		cfg.Fields = []FieldLimit{{"a", 12}, {"a[]", 4}, {"content", 20}, {"a.b", 6}, {"", 60}}
	}
	if bits>>12&1 != 0 {
		cfg.Redact = []string{"a", "content.b", "a[].b", "ssn"}
	}
	return cfg
}

// stretch puts long runs in place of some bytes, as the lengths at which a text is
// searched in parts are longer than what fuzzing comes up with.
var stretch = strings.NewReplacer(
	"~", strings.Repeat("some words. ", 130),
	"^", strings.Repeat("a", 1100),
	"#", strings.Repeat(`\u0061`, 1500),
	"$", strings.Repeat("4111 1111-", 700),
	"|", strings.Repeat("MIIEowIBAAKCAQEA", 300),
	";", strings.Repeat("a.", 600),
)

// FuzzRewriteCut: the cut into pieces changes nothing.
func FuzzRewriteCut(f *testing.F) {
	for i, s := range rewriteSeeds {
		for format := range uint16(5) {
			f.Add([]byte(s), format|uint16(Redact)<<3, uint16(i%7), uint16(i))
			f.Add([]byte(s), format|uint16(Hash)<<3|1<<8, uint16(i%7), uint16(i))
			f.Add([]byte(s), format|uint16(Mask)<<3|3<<9, uint16(i%7), uint16(i))
			f.Add([]byte(s), format|uint16(Redact)<<3|17<<8, uint16(i%7), uint16(i))
		}
	}
	for i, s := range []string{
		`["~jane@example.com~","^jane@example.com^","##jane@example.com##"]`, `{"ssn":["~","219099999"],"a":"$"}`, `"^^^^^^@example.com ;;;@~"`,
		"\"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA||||\n-----END RSA PRIVATE KEY-----jane@example.com\"",
		`{"key":"-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEA|\n-----END PRIVATE KEY-----\n"}`,
		`["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0|||.c2lnbmF0dXJlLXNpZ25hdHVyZQ"]`, `{"^~":[1,"jane\u0040example.com~"],"a.b":~}`, "a=~jane%40example.com^&ssn=219099999",
	} {
		for format := range uint16(5) {
			f.Add([]byte(s), format|uint16(Hash)<<3|1<<11, uint16(i*37), uint16(i*977))
			f.Add([]byte(s), format|uint16(Redact)<<3|9<<8, uint16(i*37), uint16(i*977))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, bits, n, m uint16) {
		cfg := configOf(bits)
		if bits>>11&1 != 0 {
			if len(input) > 200 {
				return
			}
			input = []byte(stretch.Replace(string(input)))
		}
		r := NewRewriter(cfg)
		want, wantErr := rewriteCut(r, string(input), 0)
		counts := *r.Counts()
		if wantErr == nil && counts == ([NumEntities]uint32{}) && want != string(input) {
			t.Fatalf("%+v: %q became %q without a finding", cfg, input, want)
		}
		// The same rewriter again: nothing of the last body is left.
		for _, size := range []int{int(n%64) + 1, int(m) + 1} {
			got, err := rewriteCut(r, string(input), size)
			if !sameError(err, wantErr) || err == nil && (got != want || *r.Counts() != counts) {
				t.Fatalf("%+v, %q in pieces of %d:\n got %q, %v\nwant %q, %v", cfg, input, size, got, err, want, wantErr)
			}
		}
	})
}

// flat is a JSON value as the sequence of its tokens.
func flat(t *testing.T, text []byte) []json.Token {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tokens []json.Token
	for {
		token, err := d.Token()
		if err != nil {
			return tokens
		}
		tokens = append(tokens, token)
		if len(tokens) > 1<<20 {
			t.Fatal("too many tokens")
		}
	}
}

// FuzzRewriteJSON: JSON goes in and comes out, with the same structure, and each
// string and integer is what it was but for the values that Scan finds in it.
func FuzzRewriteJSON(f *testing.F) {
	for _, s := range rewriteSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		cfg := Config{Policy: policyOf(Redact), MaxDepth: 100}
		r := NewRewriter(cfg)
		got, err := rewriteCut(r, string(input), 0)
		if err != nil {
			if err == ErrMalformed && len(input) > 0 && json.Valid(input) && bytes.IndexByte(input, '\\') < 0 && !bytes.ContainsRune(input, '\ufffd') && len(bytes.ToValidUTF8(input, nil)) == len(input) {
				t.Fatalf("%q: %v", input, err)
			}
			return
		}
		if !json.Valid([]byte(got)) {
			t.Fatalf("%q became %q, which is not JSON", input, got)
		}
		before, after := flat(t, input), flat(t, []byte(got))
		if len(before) != len(after) {
			t.Fatalf("%q became %q", input, got)
		}
		for i := range before {
			var text string
			switch b := before[i].(type) {
			case string:
				text = b
			case json.Number:
				text = b.String()
			default:
				if before[i] != after[i] {
					t.Fatalf("%q became %q", input, got)
				}
				continue
			}
			var now string
			switch a := after[i].(type) {
			case string:
				now = a
			case json.Number:
				now = a.String()
			}
			if now != text && !redacted(text, now) {
				t.Fatalf("%q became %q: %q is now %q", input, got, text, now)
			}
		}
		// What came out has nothing more to be found, with the same words around.
		if again, err := rewriteCut(r, got, 0); err == nil && again != got && strings.Count(again, "[") < strings.Count(got, "[") {
			t.Fatalf("%q became %q and then %q", input, got, again)
		}
	})
}

// redacted reports whether now is text with some values replaced by names in
// brackets.
func redacted(text, now string) bool {
	for e := range 2 * NumEntities {
		name := "[" + (e / 2).String() + "]"
		if e&1 == 1 {
			name = `"` + name + `"` // a number of JSON in a string
		}
		for from := 0; ; {
			i := strings.Index(now[from:], name)
			if i < 0 {
				break
			}
			i += from
			from = i + 1
			rest := now[i+len(name):]
			if !strings.HasPrefix(text, now[:i]) {
				continue
			}
			// The value has at least a byte; where it ends is not known.
			for j := i + 1; j <= len(text); j++ {
				if text[j:] == rest || strings.Contains(rest, "[") && redacted(text[j:], rest) {
					return true
				}
			}
		}
	}
	return false
}

// FuzzFields compares field limits with what encoding/json decodes.
func FuzzFields(f *testing.F) {
	for _, s := range rewriteSeeds {
		f.Add([]byte(s), uint8(5))
	}
	f.Add([]byte(`{"a":"12345","b":{"c":[1,2,3]},"d":[{"e":"x"},{"e":"\u20ac\n"}]}`), uint8(4))
	f.Add([]byte(`{"b":{"c":"é"},"b":{"c":[ 1 ]}}`), uint8(3))
	f.Fuzz(func(t *testing.T, input []byte, limit uint8) {
		paths := []string{"a", "b.c", "d[].e", "d[]", "[]"}
		for _, path := range paths {
			cfg := Config{Fields: []FieldLimit{{path, int(limit)}}}
			_, err := rewriteCut(NewRewriter(cfg), string(input), int(limit%9))
			_, plain := rewriteCut(NewRewriter(Config{}), string(input), 0)
			if plain != nil {
				continue
			}
			_, over := err.(*FieldError)
			if want := measure(t, input, path, int(limit)); over != want {
				t.Fatalf("%q: %v, %s over %d is %v", input, err, path, limit, want)
			}
		}
	})
}

// measure reports whether a value at the path is larger than the limit, by way of
// encoding/json.
func measure(t *testing.T, text []byte, path string, limit int) bool {
	text = bytes.Trim(text, " \t\r\n")
	if path == "" {
		var s string
		if json.Unmarshal(text, &s) == nil && text[0] == '"' {
			return len(s) > limit
		}
		return len(text) > limit
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	start, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	name, rest, _ := strings.Cut(path, ".")
	if name == "[]" || strings.HasPrefix(path, "[].") {
		if start != json.Delim('[') {
			return false
		}
		for d.More() {
			var v json.RawMessage
			if err := d.Decode(&v); err != nil {
				t.Fatal(err)
			}
			if measure(t, v, rest, limit) {
				return true
			}
		}
		return false
	}
	if start != json.Delim('{') {
		return false
	}
	if array, ok := strings.CutSuffix(name, "[]"); ok {
		name = array
		if rest == "" {
			rest = "[]"
		} else {
			rest = "[]." + rest
		}
	}
	for d.More() {
		key, err := d.Token()
		var v json.RawMessage
		if err == nil {
			err = d.Decode(&v)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.EqualFold(key.(string), name) && measure(t, v, rest, limit) {
			return true
		}
	}
	return false
}
