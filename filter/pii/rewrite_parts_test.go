package pii

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// partFormat reads JSON and text, as a host's would.
func partFormat(contentType string) (Format, bool) {
	switch contentType {
	case "application/json":
		return JSON, true
	case "text/plain":
		return Text, true
	case "multipart/form-data; boundary=x":
		return Multipart, true
	}
	return 0, false
}

const partBoundary = "aB--3'x"

// rewriteParts rewrites a body in all pieces of a size, and wants the same of all.
func rewriteParts(t testing.TB, cfg Config, body string) (string, error) {
	t.Helper()
	cfg.Format, cfg.Part = Multipart, partFormat
	r := NewRewriter(cfg)
	run := func(n int) (string, error) {
		r.Reset()
		r.SetBoundary(partBoundary)
		r.Expect(0, "acme")
		var out []byte
		var err error
		for at := 0; at < len(body) && err == nil; at += n {
			out, err = r.Write(out, []byte(body[at:min(at+n, len(body))]))
		}
		if err == nil {
			out, err = r.Close(out)
		}
		return string(out), err
	}
	want, wantErr := run(max(1, len(body)))
	counts := *r.Counts()
	for n := 1; n < 90; n += 1 + n/9 {
		if got, err := run(n); !sameError(err, wantErr) || err == nil && (got != want || *r.Counts() != counts) {
			t.Fatalf("%q in pieces of %d:\n got %q, %v\nwant %q, %v", body, n, got, err, want, wantErr)
		}
	}
	var differs *MismatchError
	if errors.As(wantErr, &differs) {
		cfg.Noted = [MaxNamed]bool{true, true}
		r = NewRewriter(cfg)
		for _, n := range []int{1, 7, len(body)} {
			if _, err := run(n); errors.As(err, new(*MismatchError)) || !r.Differs(differs.Group) {
				t.Fatalf("%q in pieces of %d, where it is noted alone: %v", body, n, err)
			}
		}
	}
	return want, wantErr
}

// multi joins parts, "" for none, into a body.
func multi(parts ...string) string {
	return "--" + partBoundary + "\r\n" + strings.Join(parts, "\r\n--"+partBoundary+"\r\n") + "\r\n--" + partBoundary + "--\r\n"
}

func part(name, more, body string) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"" + more + "\r\n\r\n" + body
}

func TestRewriteParts(t *testing.T) {
	const text, asJSON, image = "\r\nContent-Type: text/plain", "\r\nContent-Type: application/json", "; filename=\"a.png\"\r\nContent-Type: image/png"
	cfg := Config{Policy: policyOf(Redact)}
	other := cfg
	other.OtherParts = true
	limited := cfg
	limited.Fields = []FieldLimit{{"a", 10}}
	named := cfg
	named.Named = [][]string{{"tenant_id"}}
	block := cfg
	block.Policy = policyOf(Block)
	for _, tt := range []struct {
		name     string
		cfg      Config
		in, want string
		err      error
	}{
		{"nothing", cfg, multi(part("a", "", "b"), part("c", text, "d\r\n--aB--3'"), part("e", asJSON, "{\"a\": 1}")), "", nil},
		{"empty parts", cfg, multi(part("a", "", ""), part("b", asJSON, "")), "", nil},
		{"space behind a boundary", cfg, "--" + partBoundary + " \t\r\n" + part("a", "", "b") + "\r\n--" + partBoundary + "--", "", nil},
		{"text", cfg, multi(part("a", "", "to jane@example.com"), part("b", text, "4111111111111111")), multi(part("a", "", "to [EMAIL_ADDRESS]"), part("b", text, "[CREDIT_CARD]")), nil},
		{"JSON", cfg, multi(part("a", asJSON, `{"m":"jane\u0040example.com","c":4111111111111111}`)), multi(part("a", asJSON, `{"m":"[EMAIL_ADDRESS]","c":"[CREDIT_CARD]"}`)), nil},
		{"name as context", cfg, multi(part("ssn", "", "219099999"), part("n", "", "219099999")), multi(part("ssn", "", "[US_SSN]"), part("n", "", "219099999")), nil},
		{"file name", cfg, multi(part("a", "; filename=\"jane@example.com.txt\"", "b")), multi(part("a", "; filename=\"[EMAIL_ADDRESS].txt\"", "b")), nil},
		{"never over two parts", cfg, multi(part("a", "", "jane@"), part("b", "", "example.com")), "", nil},
		{"image", cfg, multi(part("a", image, "\x89PNG")), "", ErrUninspectable},
		{"image that may pass", other, multi(part("a", image, "\x89PNG jane@example.com"), part("b", "", "jane@example.com")), multi(part("a", image, "\x89PNG jane@example.com"), part("b", "", "[EMAIL_ADDRESS]")), nil},
		{"encoded", cfg, multi(part("a", "\r\nContent-Transfer-Encoding: base64", "amFuZQ==")), "", ErrUninspectable},
		{"not encoded", cfg, multi(part("a", "\r\nContent-Transfer-Encoding: 8BIT", "b")), "", nil},
		{"parts in a part", cfg, multi(part("a", "\r\nContent-Type: multipart/form-data; boundary=x", "b")), "", ErrUninspectable},
		{"malformed JSON", cfg, multi(part("a", asJSON, `{`)), "", ErrMalformed},
		{"blocked", block, multi(part("a", "", "jane@example.com")), "", &BlockedError{EmailAddress}},
		{"field fits", limited, multi(part("a", "", "0123456789"), part("b", "", "0123456789a")), "", nil},
		{"field too large", limited, multi(part("a", "", "0123456789a")), "", &FieldError{"a"}},
		{"named", named, multi(part("tenant_id", "", "acme")), "", nil},
		{"named in JSON", named, multi(part("a", asJSON, `{"tenant_id":"acme"}`)), "", nil},
		{"another named", named, multi(part("tenant_id", "", "acme2")), "", &MismatchError{0}},
		{"another named in JSON", named, multi(part("a", asJSON, `{"tenant_id":"other"}`)), "", &MismatchError{0}},
		{"nobody named", named, multi(part("tenant_id", "", "")), "", &MismatchError{0}},
		{"no parts", cfg, "--" + partBoundary + "--\r\n", "", nil},
		{"empty", cfg, "", "", ErrMalformed},
		{"preamble", cfg, "jane@example.com\r\n" + multi(part("a", "", "b")), "", ErrMalformed},
		{"epilogue", cfg, multi(part("a", "", "b")) + "jane@example.com", "", ErrMalformed},
		{"cut off", cfg, strings.TrimSuffix(multi(part("a", "", "b")), "--\r\n"), "", ErrMalformed},
		{"another boundary", cfg, "--x\r\n" + part("a", "", "b") + "\r\n--x--\r\n", "", ErrMalformed},
		{"longer boundary", cfg, "--" + partBoundary + "x\r\n" + part("a", "", "b") + "\r\n--" + partBoundary + "--\r\n", "", ErrMalformed},
		{"line feeds alone", cfg, strings.ReplaceAll(multi(part("a", "", "b")), "\r\n", "\n"), "", ErrMalformed},
		{"no header", cfg, multi("\r\nb"), "", ErrMalformed},
		{"no disposition", cfg, multi("Content-Type: text/plain\r\n\r\nb"), "", ErrMalformed},
		{"no name", cfg, multi("Content-Disposition: form-data\r\n\r\nb"), "", ErrMalformed},
		{"two names", cfg, multi("Content-Disposition: form-data; name=a; name=b\r\n\r\nb"), "", ErrMalformed},
		{"two types", cfg, multi(part("a", text+image[len("; filename=\"a.png\""):], "b")), "", ErrMalformed},
		{"an attachment", cfg, multi("Content-Disposition: attachment; name=a\r\n\r\nb"), "", ErrMalformed},
		{"extended name", cfg, multi("Content-Disposition: form-data; name=a; name*=UTF-8''b\r\n\r\nb"), "", ErrMalformed},
		{"folded header", cfg, multi("Content-Disposition: form-data;\r\n name=a\r\n\r\nb"), "", ErrMalformed},
		{"a part without a body", cfg, multi("Content-Disposition: form-data; name=\"a\"\r\n", part("b", "", "c")), "", ErrMalformed},
		{"a part that hides another", other, multi(part("a", image, "--"+partBoundary+"\r\n"+part("b", "", "jane@example.com"))), "", ErrMalformed},
		{"a boundary with more behind it", cfg, multi(part("a", "", "--"+partBoundary+" 0")), "", ErrMalformed},
		{"almost a boundary", cfg, multi(part("a", "", "--"+partBoundary[:4])), "", nil},
		{"long header", cfg, multi(part("a", "\r\nX: "+strings.Repeat("x", maxPartHeader), "b")), "", ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.in
			}
			if got, err := rewriteParts(t, tt.cfg, tt.in); !sameError(err, tt.err) || err == nil && got != tt.want {
				t.Errorf("%q:\n got %q, %v\nwant %q, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
	r := NewRewriter(Config{Format: Multipart, Part: partFormat})
	for _, boundary := range []string{"", strings.Repeat("x", MaxBoundary+1)} {
		r.Reset()
		r.SetBoundary(boundary)
		if _, err := r.Write(nil, []byte("--"+boundary+"\r\n")); err != ErrMalformed {
			t.Errorf("boundary %q: %v", boundary, err)
		}
	}
}

// FuzzParts: what passes has, for another reader, the same parts under the same names,
// each of them rewritten by its own type.
func FuzzParts(f *testing.F) {
	f.Add("a", "jane@example.com", "\r\nContent-Type: text/plain", "\r\n--aB--3'x\r\n", uint8(3))
	f.Add("ssn", "219099999", "", "x", uint8(1))
	f.Add("a", `{"m":"jane@example.com"}`, "\r\nContent-Type: application/json", "--", uint8(7))
	f.Fuzz(func(t *testing.T, name, text, more, tail string, n uint8) {
		if len(text)+len(tail) > 300 || strings.Count(text+tail, "[") > 3 {
			return // redacted tries all ways
		}
		body := multi(part(name, more, text), part("b", "", tail+"jane@example.com"))
		cfg := Config{Policy: policyOf(Redact), Format: Multipart, Part: partFormat}
		r := NewRewriter(cfg)
		r.SetBoundary(partBoundary)
		var out []byte
		var err error
		for at, size := 0, int(n)+1; at < len(body) && err == nil; at += size {
			out, err = r.Write(out, []byte(body[at:min(at+size, len(body))]))
		}
		if err == nil {
			out, err = r.Close(out)
		}
		if err != nil {
			return
		}
		before, after := multipart.NewReader(strings.NewReader(body), partBoundary), multipart.NewReader(bytes.NewReader(out), partBoundary)
		for i := 0; ; i++ {
			b, err := before.NextRawPart()
			a, err2 := after.NextRawPart()
			if err != nil || err2 != nil {
				if err != err2 {
					t.Fatalf("%q became %q: %v, %v", body, out, err, err2)
				}
				return
			}
			text, _ := io.ReadAll(b)
			now, _ := io.ReadAll(a)
			if !bytes.Equal(text, now) && !redacted(string(text), string(now)) && !redacted(`"`+string(text)+`"`, string(now)) && b.Header.Get("Content-Type") == "" {
				t.Fatalf("part %d: %q became %q", i, text, now)
			}
			if i > 0 && b.FormName() == "b" && bytes.Contains(now, []byte(" jane@example.com")) {
				t.Fatalf("%q became %q", body, out)
			}
		}
	})
}
