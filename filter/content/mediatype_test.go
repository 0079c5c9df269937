package content

import (
	"mime"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/pii"
)

func TestMediaType(t *testing.T) {
	tests := []struct {
		in, want string // want "" when refused
	}{
		{"application/json", "application/json"},
		{"Application/JSON", "application/json"},
		{" application/json\t", "application/json"},
		{"application/json;charset=utf-8", "application/json"},
		{`application/json ; Charset="UTF-8"`, "application/json"},
		{"text/plain; charset=us-ascii; format=flowed", "text/plain"},
		{`text/plain; a="x;y\"z,"; charset=utf8`, "text/plain"},
		{"text/plain;", "text/plain"},
		{"text/plain; ;charset=utf-8;", "text/plain"},
		{"application/vnd.api+json", "application/vnd.api+json"},
		{"", ""},
		{"json", ""},
		{"application/", ""},
		{"/json", ""},
		{"application/json/x", ""},
		{"application /json", ""},
		{"application/json, text/plain", ""},
		{"application/json charset=utf-8", ""},
		{"application/json; charset", ""},
		{"application/json; charset=", ""},
		{"application/json; =utf-8", ""},
		{"application/json; charset = utf-8", ""},
		{`application/json; charset="utf-8`, ""},
		{`application/json; a="\`, ""},
		{`application/json; charset="utf-8" x`, ""},
		{"application/json; charset=utf-16", ""},
		{"application/json; charset=utf-7", ""},
		{"text/plain; charset=iso-8859-1", ""},
		{"text/plain; charset=utf-8; charset=utf-16", ""},
		{"text/plain; charset=utf-8; charset=utf-8", ""},
		{"text/plain; charset=\"utf\\-8\"", ""},
		{"text/plain; charset=\"us-a\u017fcii\"", ""},
		{"text/plain\r\nx: y", ""},
		{"text/pl\x00ain", ""},
		{"text/" + strings.Repeat("a", maxMediaType), ""},
		{"text/plain; a=" + strings.Repeat("a", maxContentType), ""},
	}
	for _, tt := range tests {
		got, ok := MediaType(tt.in)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("MediaType(%q) = %q, %v, want %q", tt.in, got, ok, tt.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { MediaType("application/json; charset=utf-8") }); n != 0 {
		t.Errorf("MediaType allocates %v times", n)
	}
}

// FuzzMediaType holds the parser against package mime: what we take, it takes,
// and it reads the same out of it.
func FuzzMediaType(f *testing.F) {
	f.Add("application/json; charset=utf-8")
	f.Add(`text/plain; a="x;y\"z,"; charset="utf8"`)
	f.Add("text/plain;;")
	f.Add("a/b; c=d; e")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := MediaType(s)
		if !ok {
			if got != "" {
				t.Errorf("%q comes with false", got)
			}
			return
		}
		if strings.ToLower(got) != got || len(got) > maxMediaType || !validMediaType(got) {
			t.Errorf("MediaType(%q) = %q", s, got)
		}
		want, params, err := mime.ParseMediaType(s)
		// The package refuses repeated parameters, which RFC 9110 does not, and
		// empty ones, which it allows.
		if err == nil && (want != got || params["charset"] != "" && !readCharset(params["charset"])) {
			t.Errorf("MediaType(%q) = %q, package mime says %q %q", s, got, want, params)
		}
		if again, ok := MediaType(got); !ok || again != got {
			t.Errorf("%q is not stable: %q", got, again)
		}
	})
}

func TestInspectable(t *testing.T) {
	type answer struct {
		format pii.Format
		ok     bool
	}
	no := answer{0, false}
	for in, want := range map[string]answer{
		"application/json":                  {pii.JSON, true},
		"application/problem+json":          {pii.JSON, true},
		"text/json":                         {pii.JSON, true},
		"application/x-ndjson":              {pii.NDJSON, true},
		"application/x-www-form-urlencoded": {pii.Form, true},
		"text/event-stream":                 {pii.SSE, true},
		"text/plain":                        {pii.Text, true},
		"text/html":                         {pii.Text, true},
		"application/octet-stream":          no,
		"application/pdf":                   no,
		"application/xml":                   no,
		"image/svg+xml":                     no,
		"multipart/form-data":               {pii.Multipart, true},
		"multipart/mixed":                   no,
		"application/json-seq":              no,
		"":                                  no,
	} {
		format, ok := Inspectable(in)
		if got := (answer{format, ok}); got != want {
			t.Errorf("Inspectable(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		types []string
		in    string
		want  bool
	}{
		{nil, "application/json", true},
		{nil, "text/plain", true},
		{nil, "application/pdf", false},
		{[]string{"application/json"}, "application/json", true},
		{[]string{"application/json"}, "application/jsonx", false},
		{[]string{"application/json"}, "text/plain", false},
		{[]string{"text/plain", "application/json"}, "application/json", true},
		{[]string{"text/*"}, "text/html", true},
		{[]string{"text/*"}, "text/", false},
		{[]string{"text/*"}, "application/text", false},
		{[]string{"application/*+json"}, "application/problem+json", true},
		{[]string{"application/*+json"}, "application/+json", false},
		{[]string{"application/*+json"}, "application/json", false},
		{[]string{"*/*"}, "image/png", true},
	}
	for _, tt := range tests {
		b := Body{Types: tt.types}
		if got := b.Accepts(tt.in); got != tt.want {
			t.Errorf("%v accepts %q = %v", tt.types, tt.in, got)
		}
	}
}

func TestValidPattern(t *testing.T) {
	for s, want := range map[string]bool{
		"*/*": true, "text/*": true, "application/*+json": true, "application/json": true,
		"": false, "*": false, "*/json": false, "te*t/plain": false, "text/p*": false, "text/*p": false,
		"text/*+": false, "text/**": false, "Text/plain": false, "text/plain; charset=utf-8": false, "text": false,
		"application/*+*": false,
	} {
		if got := validPattern(s); got != want {
			t.Errorf("validPattern(%q) = %v", s, got)
		}
	}
}

func TestDecide(t *testing.T) {
	var asks, indifferent, typed Body
	asks.PII.Actions[pii.EmailAddress] = pii.Redact
	typed.Types = []string{"application/json", "image/png"}
	other := asks
	other.OtherTypes = true
	typedAsks := typed
	typedAsks.Fields = []pii.FieldLimit{{Path: "a", Max: 1}}
	tests := []struct {
		name    string
		b       Body
		in      string
		format  pii.Format
		verdict Verdict
	}{
		{"JSON", asks, "application/json", pii.JSON, Inspect},
		{"JSON though nothing is asked", indifferent, "application/json", pii.JSON, Inspect},
		{"image", asks, "image/png", 0, Refuse},
		{"image though nothing is asked", indifferent, "image/png", 0, Pass},
		{"none", asks, "", 0, Refuse},
		{"none though nothing is asked", indifferent, "", 0, Pass},
		{"other charset", asks, "text/plain; charset=utf-16", 0, Refuse},
		{"type in the list", typed, "application/json", pii.JSON, Inspect},
		{"type not in the list", typed, "text/plain", 0, Refuse},
		{"malformed with a list", typed, "application/json, image/png", 0, Refuse},
		{"listed and not inspectable", typed, "image/png", 0, Pass},
		{"listed, not inspectable, and asked", typedAsks, "image/png", 0, Refuse},
		{"image that may pass", other, "image/png", 0, Pass},
		{"none that may pass", other, "", 0, Pass},
		{"JSON where others pass", other, "application/json", pii.JSON, Inspect},
		{"parts", asks, "multipart/form-data; boundary=x", pii.Multipart, Inspect},
		{"parts without a boundary", asks, "multipart/form-data", 0, Refuse},
		{"parts without a boundary where others pass", other, "multipart/form-data", 0, Refuse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if format, verdict := tt.b.Decide(tt.in); format != tt.format || verdict != tt.verdict {
				t.Errorf("got %v %v, want %v %v", format, verdict, tt.format, tt.verdict)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "identity": true, " Identity ": true, "identity, identity": true, ",": true,
		"gzip": false, "identity, gzip": false, "gzip, identity": false, "br": false, "identity gzip": false, "x": false,
	} {
		if got := Plain(s); got != want {
			t.Errorf("Plain(%q) = %v", s, got)
		}
	}
}

func TestBoundary(t *testing.T) {
	for in, want := range map[string]string{
		"multipart/form-data; boundary=x":                           "x",
		`multipart/form-data; charset=utf-8; Boundary="a'b (c)?"`:   "a'b (c)?",
		"multipart/form-data;boundary=----WebKitFormBoundary7MA4YW": "----WebKitFormBoundary7MA4YW",
		"multipart/form-data":                                       "",
		"multipart/form-data; boundary=":                            "",
		`multipart/form-data; boundary=""`:                          "",
		`multipart/form-data; boundary="a\"b"`:                      "",
		`multipart/form-data; boundary="a "`:                        "",
		"multipart/form-data; boundary=a; boundary=b":               "",
		"multipart/form-data; boundary=\"\u00e9\"":                  "",
		"multipart/form-data; boundary=" + strings.Repeat("x", 71):  "",
		"multipart/form-data; boundary=" + strings.Repeat("x", 70):  strings.Repeat("x", 70),
	} {
		if got, ok := Boundary(in); got != want || ok != (want != "") {
			t.Errorf("Boundary(%q) = %q, %v", in, got, ok)
		}
	}
}
