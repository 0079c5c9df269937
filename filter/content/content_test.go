package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// example has something in each part. It names few entities and its own headers,
// so that its encoding stays the same when detectors are added or presets change.
func example(t testing.TB) *Policy {
	t.Helper()
	p := &Policy{
		Request: Body{
			MaxBytes:    64 << 10,
			Types:       []string{"application/json", "application/*+json"},
			MaxDepth:    32,
			Fields:      []pii.FieldLimit{{Path: "content", Max: 10 << 10}, {Path: "memories[].content", Max: 10 << 10}, {Path: "metadata", Max: 5 << 10}},
			Identifiers: []string{"agent_id", "user_id"},
			Redact:      []string{"card.number"},
			Tenants:     []string{"metadata.tenant", "tenant_id"},
			Agents:      []string{"agent_id"},
			OtherTypes:  true,
			Poison:      poison.Policy{Action: poison.Quarantine, Quarantine: 4, Refuse: 9, Pass: true, Disabled: []string{"delayed", "turn"}, Phrases: []string{"blue heron"}},
		},
		Response: Body{MaxBytes: NoLimit, Deltas: []string{".", "token.text"}},
		CORS: cors.Policy{
			AllowOrigins: []string{"https://app.example.com", "https://*.dev.example.com"},
			AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"authorization", "content-type"},
			ExposeHeaders: []string{"ratelimit"}, AllowCredentials: true, MaxAge: 10 * time.Minute, AllowPrivateNetwork: true,
		},
		Headers: headers.Policy{
			Set:    []headers.Header{{Name: "cache-control", Value: "no-store"}, {Name: "x-content-type-options", Value: "nosniff"}},
			Remove: []string{"server", "x-powered-by"},
		},
	}
	custom, err := pii.NewCustom(pii.CustomConfig{
		Rules: []pii.CustomRule{{Name: "STAFF", Patterns: []string{`EMP-\d{4}`}, Prefixes: []string{"staff_"}}, {Name: "PROJECT", Words: []string{"blue heron"}}},
		Allow: []string{"support@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Custom = custom
	p.Request.PII.Actions[pii.EmailAddress] = pii.Redact
	p.Request.PII.Actions[pii.CreditCard] = pii.Block
	p.Response.PII.Actions[pii.PhoneNumber] = pii.Hash
	return p
}

func TestRoundTrip(t *testing.T) {
	every := &Policy{}
	for e := range every.Request.PII.Actions {
		every.Request.PII.Actions[e] = pii.Redact
		every.Response.PII.Actions[e] = pii.Mask
	}
	api, err := headers.New("api", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Policy{"zero": {}, "example": example(t), "every entity": every, "preset": {Headers: api}} {
		t.Run(name, func(t *testing.T) {
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			b := p.AppendBinary([]byte("kept"))[len("kept"):]
			got, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, p) {
				t.Errorf("got  %+v\nwant %+v", got, p)
			}
			clear(b)
			if !reflect.DeepEqual(got, p) {
				t.Error("the policy refers to the bytes that it was parsed from")
			}
		})
	}
}

// TestGolden keeps the wire form: filters and services of different builds must
// understand each other, or refuse each other by the version.
func TestGolden(t *testing.T) {
	got := example(t).AppendBinary(nil)
	file := filepath.Join("testdata", "policy.v6.golden")
	if *update {
		if err := os.WriteFile(file, []byte(strconv.Quote(string(got))+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strconv.Quote(string(got))+"\n" != string(want) {
		t.Errorf("the encoding has changed: raise the version, then go test -update\ngot  %q\nwant %s", got, want)
	}
}

func TestEncodingIsCanonical(t *testing.T) {
	a, b := example(t), example(t)
	f := b.Request.Fields
	f[0], f[2] = f[2], f[0]
	slices.Reverse(b.Request.Tenants)
	slices.Reverse(b.Request.Poison.Disabled)
	if !bytes.Equal(a.AppendBinary(nil), b.AppendBinary(nil)) {
		t.Error("the order of fields changes the digest")
	}
	if b.Request.Fields[0].Path != "metadata" {
		t.Error("encoding reordered the caller's slice")
	}
	b.Request.PII.Actions[pii.EmailAddress] = pii.Mask
	if bytes.Equal(a.AppendBinary(nil), b.AppendBinary(nil)) {
		t.Error("different policies have the same encoding")
	}
}

// wire builds encodings by hand, so that faults can be put in anywhere.
func wire(parts ...any) []byte {
	b := append([]byte(magic), Version, 0) // all modes enforce
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			b = appendNumber(b, uint64(v))
		case string:
			b = appendString(b, v)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

func TestParseRefuses(t *testing.T) {
	emptyBody := []any{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	tail := []any{0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cors, headers and custom rules with nothing in them
	request := func(parts ...any) []byte { return wire(append(append(parts, emptyBody...), tail...)...) }
	after := func(parts ...any) []byte { return wire(slices.Concat(emptyBody, emptyBody, parts, []any{0, 0})...) }
	own := func(parts ...any) []byte { return wire(slices.Concat(emptyBody, emptyBody, tail[:8], parts)...) }
	if _, err := Parse(request(emptyBody...)); err != nil {
		t.Fatalf("the smallest policy is refused: %v", err)
	}
	good := example(t).AppendBinary(nil)
	next := bytes.Clone(good)
	next[len(magic)]++
	modes := func(n uint64) []byte {
		b := appendNumber(append([]byte(magic), Version), n)
		return append(b, good[len(magic)+2:]...)
	}
	tests := []struct {
		name string
		b    []byte
		want Reason
	}{
		{"empty", nil, UnknownVersion},
		{"magic only", []byte(magic), UnknownVersion},
		{"other magic", append([]byte("MGCP"), good[4:]...), UnknownVersion},
		{"next version", next, UnknownVersion},
		{"too large", append(bytes.Clone(good), make([]byte, MaxWire)...), TooLarge},
		{"a mode that is none", modes(0b11), Invalid},
		{"more than the modes", modes(0x4000), Malformed},
		{"entities of bodies that are not checked", modes(0b0001), Invalid},
		{"a byte left over", append(bytes.Clone(good), 0), Malformed},
		{"number not shortest", request([]byte{0x80, 0}, 0, 0, 0, 0), Malformed},
		{"number too long", request(bytes.Repeat([]byte{0x80}, 11), 0, 0, 0, 0), Malformed},
		{"number over 64 bits", request([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 0, 0, 0, 0), Malformed},
		{"number that wraps around", request(append(append([]byte{0x81}, bytes.Repeat([]byte{0x80}, 8)...), 2), 0, 0, 0, 0), Malformed},
		{"body limit too great", request(MaxBody+2, 0, 0, 0, 0), Malformed},
		{"depth too great", request(0, MaxDepth+1, 0, 0, 0), Malformed},
		{"count beyond the input", request(0, 0, 30), Malformed},
		{"string beyond the input", wire(0, 0, 1, 100, []byte("a/b")), Malformed},
		{"too many types", request(0, 0, MaxTypes+1, 0, 0), Malformed},
		{"type not lower case", request(0, 0, 1, "text/HTML", 0, 0, 0, 0, 0, 0, 0, 0, 0), Invalid},
		{"type without subtype", request(0, 0, 1, "text", 0, 0, 0, 0, 0, 0, 0, 0, 0), Invalid},
		{"fields out of order", request(0, 0, 0, 2, "b", 1, "a", 1, 0), Malformed},
		{"field twice", request(0, 0, 0, 2, "a", 1, "a", 1, 0), Malformed},
		{"empty path", request(0, 0, 0, 1, "", 1, 0), Malformed},
		{"path with a control character", request(0, 0, 0, 1, "a\nb", 1, 0, 0, 0, 0, 0, 0, 0, 0), Invalid},
		{"path not UTF-8", request(0, 0, 0, 1, "\xff", 1, 0, 0, 0, 0, 0, 0, 0, 0), Invalid},
		{"field limit too great", request(0, 0, 0, 1, "a", MaxField+1, 0), Malformed},
		{"identifiers out of order", request(0, 0, 0, 0, 2, "b", "a", 0), Malformed},
		{"identifier twice", request(0, 0, 0, 0, 2, "a", "a", 0), Malformed},
		{"empty identifier", request(0, 0, 0, 0, 1, "", 0, 0, 0, 0, 0, 0, 0), Invalid},
		{"redacted out of order", request(0, 0, 0, 0, 0, 2, "b", "a", 0, 0, 0), Malformed},
		{"tenants out of order", request(0, 0, 0, 0, 0, 0, 2, "b", "a", 0, 0), Malformed},
		{"agent twice", request(0, 0, 0, 0, 0, 0, 0, 2, "a", "a", 0), Malformed},
		{"a tenant that is an agent", request(0, 0, 0, 0, 0, 0, 1, "a", 1, "a", 0, 0, 0, 0), Invalid},
		{"empty tenant", request(0, 0, 0, 0, 0, 0, 1, "", 0, 0, 0, 0, 0), Invalid},
		{"deltas out of order", request(0, 0, 0, 0, 0, 0, 0, 0, 2, "b", "a", 0, 0), Malformed},
		{"delta twice", request(0, 0, 0, 0, 0, 0, 0, 0, 2, "a", "a", 0, 0), Malformed},
		{"other types neither refused nor passed", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0), Malformed},
		{"unknown entity", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, "FAVOURITE_COLOUR", "redact"), UnknownEntity},
		{"entity by another case", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, "email_address", "redact"), UnknownEntity},
		{"unknown action", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, "EMAIL_ADDRESS", "shred"), UnknownAction},
		{"allow spelt out", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, "EMAIL_ADDRESS", "allow"), Malformed},
		{"entities out of order", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, "EMAIL_ADDRESS", "redact", "CREDIT_CARD", "redact"), Malformed},
		{"entity twice", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, "EMAIL_ADDRESS", "redact", "EMAIL_ADDRESS", "mask"), Malformed},
		{"poison: unknown action", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3), Malformed},
		{"poison: no threshold", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0), Invalid},
		{"poison: threshold too great", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 101, 0, 0, 0), Malformed},
		{"poison: unknown rule", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 9, 0, 1, "x", 0), Invalid},
		{"poison: rules out of order", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 9, 0, 2, "turn", "role", 0), Malformed},
		{"poison: a phrase twice", request(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 9, 0, 0, 2, "a", "a"), Malformed},
		{"poison: of a response", wire(slices.Concat(emptyBody, emptyBody[:11], []any{1, 4, 9, 0, 0, 0}, tail)...), Invalid},
		{"too many rules", own(pii.MaxRules+1, 0), Malformed},
		{"a rule with nothing", own(1, "A", 0, 0, 0, 0), Invalid},
		{"a rule's name", own(1, "a", 1, "ab", 0, 0, 0), Invalid},
		{"a pattern without a bound", own(1, "A", 0, 0, 1, "a*", 0), Invalid},
		{"a word too long", own(1, "A", 1, strings.Repeat("a", pii.MaxWord+1), 0, 0, 0), Malformed},
		{"an empty allowed value", own(0, 1, ""), Invalid},
		{"unknown flag", after(0, 0, 0, 0, 4, 0, 0, 0), Malformed},
		{"age too great", after(0, 0, 0, 0, 0, 86401, 0, 0), Malformed},
		{"star with credentials", after(1, "*", 0, 0, 0, 1, 0, 0, 0), Invalid},
		{"bad origin", after(1, "app.example.com", 0, 0, 0, 0, 0, 0, 0), Invalid},
		{"reserved header", after(0, 0, 0, 0, 0, 0, 1, "content-length", "0", 0), Invalid},
		{"header splitting", after(0, 0, 0, 0, 0, 0, 1, "x-a", "b\r\nc: d", 0), Invalid},
		{"headers out of order", after(0, 0, 0, 0, 0, 0, 0, 2, "y", "x"), Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse(tt.b)
			var e *Error
			if !errors.As(err, &e) || e.Reason != tt.want {
				t.Fatalf("error %v, want reason %q", err, tt.want)
			}
			if p != nil {
				t.Error("a policy comes with the error")
			}
			if strings.ContainsAny(e.Error(), "\r\n") {
				t.Errorf("the error's text has line ends: %q", e.Error())
			}
		})
	}
	for n := range good {
		if _, err := Parse(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a policy", n, len(good))
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Policy)
	}{
		{"length", func(p *Policy) { p.Request.MaxBytes = -2 }},
		{"great length", func(p *Policy) { p.Request.MaxBytes = MaxBody + 1 }},
		{"depth", func(p *Policy) { p.Response.MaxDepth = -1 }},
		{"types", func(p *Policy) { p.Request.Types = make([]string, MaxTypes+1) }},
		{"type", func(p *Policy) { p.Request.Types = []string{"json"} }},
		{"fields", func(p *Policy) { p.Request.Fields = make([]pii.FieldLimit, MaxFields+1) }},
		{"field twice", func(p *Policy) { p.Request.Fields = append(p.Request.Fields, pii.FieldLimit{Path: "content", Max: 1}) }},
		{"identifiers", func(p *Policy) { p.Request.Identifiers = make([]string, MaxFields+1) }},
		{"identifier twice", func(p *Policy) { p.Request.Identifiers = []string{"user_id", "user_id"} }},
		{"redacted twice", func(p *Policy) { p.Request.Redact = []string{"ssn", "ssn"} }},
		{"no identifier", func(p *Policy) { p.Request.Identifiers = []string{""} }},
		{"tenants", func(p *Policy) { p.Request.Tenants = make([]string, MaxFields+1) }},
		{"tenant and agent", func(p *Policy) { p.Request.Agents = p.Request.Tenants }},
		{"no agent", func(p *Policy) { p.Request.Agents = []string{""} }},
		{"negative field", func(p *Policy) { p.Request.Fields = []pii.FieldLimit{{Path: "a", Max: -1}} }},
		{"long path", func(p *Policy) { p.Request.Fields = []pii.FieldLimit{{Path: strings.Repeat("a", MaxPath+1), Max: 1}} }},
		{"cors", func(p *Policy) { p.CORS.AllowOrigins = []string{"*"} }},
		{"headers", func(p *Policy) { p.Headers.Remove = []string{"Server"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := example(t)
			tt.change(p)
			if err := p.Validate(); err == nil {
				t.Fatal("it is valid")
			}
			if _, err := Parse(p.AppendBinary(nil)); err == nil {
				t.Error("Parse takes what Validate refuses")
			}
		})
	}

	large := example(t)
	for i := range headers.MaxHeaders {
		large.Headers.Set = append(large.Headers.Set[:i:i], headers.Header{Name: "x-" + strconv.Itoa(1000+i), Value: strings.Repeat("v", 1000)})
	}
	var e *Error
	if err := large.Validate(); !errors.As(err, &e) || e.Reason != TooLarge {
		t.Errorf("a policy of %d bytes: %v", len(large.AppendBinary(nil)), err)
	}
}

func TestDigest(t *testing.T) {
	b := example(t).AppendBinary(nil)
	sum := sha256.Sum256(b)
	if got, want := Digest(b), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("Digest = %s, want %s", got, want)
	}
}

func TestBodyQuestions(t *testing.T) {
	p := example(t)
	var zero Body
	if !p.Request.Inspects() || !p.Response.Inspects() || zero.Inspects() {
		t.Error("Inspects is wrong")
	}
	if p.Request.Hashes() || !p.Response.Hashes() {
		t.Error("Pseudonyms is wrong")
	}
	for n, want := range map[int64]bool{0: true, 64 << 10: true, 64<<10 + 1: false} {
		if got := p.Request.Fits(n); got != want {
			t.Errorf("%d bytes fit: %v", n, got)
		}
	}
	if !p.Response.Fits(1<<62) || zero.Fits(1) || !zero.Fits(0) {
		t.Error("Fits is wrong about no limit or no body")
	}
}

// FuzzParse checks that whatever is taken is valid and canonical: encoding it
// again gives the same bytes.
func FuzzParse(f *testing.F) {
	good := example(f).AppendBinary(nil)
	f.Add(good)
	f.Add((&Policy{}).AppendBinary(nil))
	f.Add(good[:len(good)/2])
	f.Add(wire(0, 0, 0, 0, 1, "EMAIL_ADDRESS", "redact", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			var e *Error
			if p != nil || !errors.As(err, &e) || e.Reason == "" {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Errorf("an invalid policy was taken: %v", err)
		}
		if again := p.AppendBinary(nil); !bytes.Equal(again, b) {
			t.Errorf("not canonical: %q became %q", b, again)
		}
	})
}

// FuzzRoundTrip goes the other way: any policy that is valid survives the wire.
func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(1<<16), 32, "application/json", "content", 10240, "x-a", "b", uint64(0x1234), "https://a.example.com", int64(600), uint8(1))
	f.Add(int64(-1), 0, "text/*", "a.b[].c", 0, "x-frame-options", "DENY", ^uint64(0), "https://*.example.com", int64(0), uint8(3))
	f.Fuzz(func(t *testing.T, maxBytes int64, depth int, mediaType, path string, limit int, name, value string, actions uint64, origin string, age int64, flags uint8) {
		p := &Policy{
			Request:  Body{MaxBytes: maxBytes, MaxDepth: depth, Types: []string{mediaType}, Fields: []pii.FieldLimit{{Path: path, Max: limit}}},
			Response: Body{MaxBytes: NoLimit},
			CORS: cors.Policy{AllowOrigins: []string{origin}, AllowHeaders: []string{name}, AllowCredentials: flags&1 != 0,
				AllowPrivateNetwork: flags&2 != 0, MaxAge: time.Duration(age%90000) * time.Second},
			Headers: headers.Policy{Set: []headers.Header{{Name: name, Value: value}}},
		}
		for e := range p.Request.PII.Actions {
			p.Request.PII.Actions[e] = pii.Action(actions % 5)
			actions /= 5
		}
		if p.Validate() != nil {
			return
		}
		got, err := Parse(p.AppendBinary(nil))
		if err != nil {
			t.Fatalf("%v for %+v", err, p)
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("got  %+v\nwant %+v", got, p)
		}
	})
}

// go test -bench=. -count=10 ./filter/content | benchstat -
func BenchmarkParse(b *testing.B) {
	wire := example(b).AppendBinary(nil)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(wire); err != nil {
			b.Fatal(err)
		}
	}
}
