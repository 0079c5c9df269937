package pii

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Values are found however their characters are written, and what stands in their
// place takes the place of all of it. Everything else stays byte for byte.
func TestFolded(t *testing.T) {
	for in, want := range map[string]string{
		"card ４１１１ １１１１ １１１１ １１１１, ok":                                                "card [CREDIT_CARD], ok",
		"mail ｊoe＠example．com。":                                                       "mail [EMAIL_ADDRESS]。",
		"a jo\u200be@exam\u00adple.com, b":                                            "a [EMAIL_ADDRESS], b",
		"ssn ١٢٣-٤٥-٦٧٨٩ ٠":                                                           "ssn [US_SSN] ٠",
		"ssn १२३-४५-६७८९":                                                             "ssn [US_SSN]",
		"phone 415\u200d-555-\u20600132":                                              "phone [PHONE_NUMBER]",
		"\U0001d7d2\U0001d7cf11111111111111 x":                                        "[CREDIT_CARD] x",
		"日本語、テキスト。４つの１０％\u3000と\u200b終わり\u00ad":                                       "日本語、テキスト。４つの１０％\u3000と\u200b終わり\u00ad",
		"👩\u200d💻 and ❤\ufe0f stay":                                                   "👩\u200d💻 and ❤\ufe0f stay",
		"\xef\xbc 4111111111111111 \xe2\x80":                                          "\xef\xbc [CREDIT_CARD] \xe2\x80",
		strings.Repeat("あ　", 900) + "ｊoe@example.com " + strings.Repeat("word ", 900): strings.Repeat("あ　", 900) + "[EMAIL_ADDRESS] " + strings.Repeat("word ", 900),
	} {
		for _, format := range []Format{Text, JSON} {
			body, expected := in, want
			if format == JSON {
				if !utf8.ValidString(in) {
					continue
				}
				body, expected = `{"a":"`+in+`"}`, `{"a":"`+want+`"}`
			}
			step := max(1, len(body)/97)
			for cut := 0; cut <= len(body); cut += step {
				r := NewRewriter(Config{Format: format, Policy: everything(Redact)})
				out, err := r.Write(nil, []byte(body[:cut]))
				if err == nil {
					out, err = r.Write(out, []byte(body[cut:]))
				}
				if err == nil {
					out, err = r.Close(out)
				}
				if err != nil || string(out) != expected {
					t.Fatalf("%.80q cut at %d:\n got %.200q, %v\nwant %.200q", body, cut, out, err, expected)
				}
			}
		}
	}
	// An escape of JSON that stands for such a character.
	r := NewRewriter(Config{Format: JSON, Policy: everything(Redact)})
	out, err := r.Write(nil, []byte(`["joe\uff20ex\u200bample.com","\uff14\u0661"]`))
	if err == nil {
		out, err = r.Close(out)
	}
	if want := `["[EMAIL_ADDRESS]","\uff14\u0661"]`; err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}
