package pii

import (
	"fmt"
	"strings"
	"testing"
)

// What a path names goes, whatever it is and however the body is cut; what stands
// elsewhere is searched as always.
func TestAlwaysRedacted(t *testing.T) {
	const x = `"[REDACTED]"`
	paths := []string{"ssn", "card", "results[].phone", "user_id"}
	for in, want := range map[string]string{
		`{"ssn":"none of your business"}`:                             `{"ssn":X}`,
		`{"SSN":"a","Ssn":"b"}`:                                       `{"SSN":X,"Ssn":X}`,
		`{"s\u0073n":"a\u0041\n"}`:                                    `{"s\u0073n":X}`,
		`{"ssn":""}`:                                                  `{"ssn":""}`,
		`{"ssn":null,"b":null}`:                                       `{"ssn":null,"b":null}`,
		`{"ssn":17,"n":17}`:                                           `{"ssn":X,"n":17}`,
		`{"ssn":-1.5e9 , "n":-1.5e9}`:                                 `{"ssn":X , "n":-1.5e9}`,
		`{"ssn":true,"b":true,"c":false}`:                             `{"ssn":X,"b":true,"c":false}`,
		`{"card":{"number":"4","months":[1,2,"3"],"x":{},"y":[]}}`:    `{"card":{"number":X,"months":[X,X,X],"x":{},"y":[]}}`,
		`{"card":{"a@example.com":"4"},"m":"a@example.com"}`:          `{"card":{"[EMAIL_ADDRESS]":X},"m":"[EMAIL_ADDRESS]"}`,
		`{"results":[{"phone":"no","b":"no"},{"phone":["no",null]}]}`: `{"results":[{"phone":X,"b":"no"},{"phone":[X,null]}]}`,
		`{"results":{"phone":"no"},"deep":{"ssn":"no"}}`:              `{"results":{"phone":"no"},"deep":{"ssn":"no"}}`,
		`{"user_id":"a@example.com","ids":"a@example.com"}`:           `{"user_id":X,"ids":"a@example.com"}`, // an identifier, too
		`{"ssn":"` + strings.Repeat("long ", 5000) + `"}`:             `{"ssn":X}`,
		`{"ssn":"[REDACTED]"}`:                                        `{"ssn":X}`,
	} {
		want := strings.ReplaceAll(want, ":X", ":"+x)
		want = strings.NewReplacer("[X", "["+x, ",X", ","+x).Replace(want)
		for _, format := range []Format{JSON, NDJSON} {
			text, expected := in, want
			if format == NDJSON {
				text, expected = in+"\n"+in, want+"\n"+want
			}
			cuts := len(text)
			if cuts > 1000 {
				cuts = 40
			}
			for cut := 0; cut <= cuts; cut++ {
				r := NewRewriter(Config{Format: format, Policy: everything(Redact), Redact: paths, Identifiers: []string{"user_id", "ids"}})
				if out, err := inTwo(r, text, cut); err != nil || out != expected {
					t.Fatalf("%.200s cut at %d: got %.200s, %v\nwant %.200s", text, cut, out, err, expected)
				}
				if got, want := int(r.Counts()[Custom]), strings.Count(expected, "[REDACTED]"); got != want {
					t.Fatalf("%.200s: counted %d, want %d", text, got, want)
				}
			}
		}
	}
}

func TestAlwaysRedactedForm(t *testing.T) {
	for in, want := range map[string]string{
		"ssn=123&a=b":                     "ssn=X&a=b",
		"a=b&SSN=%31+2%3":                 "a=b&SSN=X",
		"s%73n=1=2&ssn=":                  "s%73n=X&ssn=",
		"card[0]=1&card[x][y]=2&cards=3":  "card[0]=X&card[x][y]=X&cards=3",
		"ssn&ssn=1&mail=a%40example.com":  "ssn&ssn=X&mail=%5BEMAIL_ADDRESS%5D",
		"mail=a%40example.com&ssn=1&q=ok": "mail=%5BEMAIL_ADDRESS%5D&ssn=X&q=ok",
	} {
		want := strings.ReplaceAll(want, "X", "%5BREDACTED%5D")
		for cut := 0; cut <= len(in); cut++ {
			r := NewRewriter(Config{Format: Form, Policy: everything(Redact), Redact: []string{"ssn", "card"}})
			if out, err := inTwo(r, in, cut); err != nil || out != want {
				t.Fatalf("%s cut at %d: got %s, %v\nwant %s", in, cut, out, err, want)
			}
		}
	}
}

// In events too, even where a fragment of a text is named.
func TestAlwaysRedactedEvents(t *testing.T) {
	in := `data: {"ssn":"no","choices":[{"delta":{"content":"secret "}}]}` + "\n\ndata: [DONE]\n\n"
	want := `data: {"ssn":"[REDACTED]","choices":[{"delta":{"content":"[REDACTED]"}}]}` + "\n\ndata: [DONE]\n\n"
	for cut := 0; cut <= len(in); cut++ {
		r := NewRewriter(Config{Format: SSE, Policy: everything(Redact), Redact: []string{"ssn", "choices[].delta.content"}})
		if out, err := inTwo(r, in, cut); err != nil || out != want {
			t.Fatalf("cut at %d: got %q, %v\nwant %q", cut, out, err, want)
		}
	}
}

// With no entity to look for, too.
func TestAlwaysRedactedAlone(t *testing.T) {
	r := NewRewriter(Config{Format: JSON, Redact: []string{"ssn"}})
	if out, err := inTwo(r, `{"ssn":"1","m":"a@example.com"}`, 9); err != nil || out != `{"ssn":"[REDACTED]","m":"a@example.com"}` {
		t.Errorf("%s, %v", out, err)
	}
}

// inTwo rewrites a text that is cut in two.
func inTwo(r *Rewriter, text string, cut int) (string, error) {
	out, err := r.Write(nil, []byte(text[:cut]))
	if err == nil {
		out, err = r.Write(out, []byte(text[cut:]))
	}
	if err == nil {
		out, err = r.Close(out)
	}
	if err != nil {
		return "", fmt.Errorf("after %q: %w", out, err)
	}
	return string(out), nil
}
