package jsontext_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/memgate/memgate/filter/jsontext"
)

func TestAppend(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain ä 日本 🙂": "plain ä 日本 🙂", `"\`: `\"\\`, "\x00\n\x7f": `\u0000\u000a\u007f`, "a\xffb\xc3": `a\ufffdb\ufffd`,
		"\u0085\u2028\u202e\u2066\u200f\u061c\ufeff": `\u0085\u2028\u202e\u2066\u200f\u061c\ufeff`, "\ufffd": "\ufffd",
	} {
		if got := string(jsontext.Append([]byte("x"), in)); got != "x"+want {
			t.Errorf("%q: %s", in, got)
		}
		if got := string(jsontext.AppendHTML(nil, in)); got != want {
			t.Errorf("%q for a page: %s", in, got)
		}
	}
	if got := string(jsontext.Append(nil, "<&>")); got != "<&>" {
		t.Error(got)
	}
	if got := string(jsontext.AppendHTML(nil, "</script>&")); got != `\u003c/script\u003e\u0026` {
		t.Error(got)
	}
}

// What is written is what was meant, as encoding/json reads it, and nothing in it controls
// how it is shown.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\x00\x1f\x7f", "\xff\xc3(", "\u2028\u202e\ufeff", "<script>&", "🙂"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, b := range [][]byte{jsontext.Append([]byte{'"'}, s), jsontext.AppendHTML([]byte{'"'}, s)} {
			b = append(b, '"')
			var got string
			if err := json.Unmarshal(b, &got); err != nil || got != each(s) {
				t.Fatalf("%q: %s, %v", s, b, err)
			}
			if !utf8.Valid(b) {
				t.Fatalf("%q: not UTF-8: %q", s, b)
			}
			for _, r := range string(b) {
				if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
					t.Fatalf("%q: %U is as it was", s, r)
				}
			}
		}
	})
}

// each is s with U+FFFD for each byte that is not UTF-8.
func each(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}
