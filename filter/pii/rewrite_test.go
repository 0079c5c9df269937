package pii

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// policyOf returns the policy that does the same with every entity.
func policyOf(a Action) Policy {
	var p Policy
	for e := range p.Actions {
		p.Actions[e] = a
	}
	return p
}

// rewriteCut rewrites the input in pieces of n bytes, or at once for 0.
func rewriteCut(r *Rewriter, input string, n int) (string, error) {
	r.Reset()
	if n == 0 {
		n = max(1, len(input))
	}
	var out, chunk []byte
	var err error
	for len(input) > 0 {
		m := min(n, len(input))
		// The piece before is overwritten: nothing may refer to it.
		for i := range chunk {
			chunk[i] = '#'
		}
		chunk = append(chunk[:0], input[:m]...)
		input = input[m:]
		if out, err = r.Write(out, chunk); err != nil {
			return string(out), err
		}
	}
	out, err = r.Close(out)
	return string(out), err
}

func sameError(a, b error) bool {
	return a == b || a != nil && b != nil && a.Error() == b.Error()
}

// rewrite rewrites the input at once, in even pieces and with one cut, at every
// byte unless the input is long, and wants the same of all. After an error the output does not matter.
func rewrite(t testing.TB, cfg Config, input string) (string, error) {
	t.Helper()
	r := NewRewriter(cfg)
	want, wantErr := rewriteCut(r, input, 0)
	counts := *r.Counts()
	check := func(how string, n int, got string, err error) {
		t.Helper()
		if !sameError(err, wantErr) || err == nil && (got != want || *r.Counts() != counts) {
			t.Fatalf("%q %s %d:\n got %q, %v, %v\nwant %q, %v, %v", input, how, n, got, err, *r.Counts(), want, wantErr, counts)
		}
	}
	for _, n := range []int{1, 2, 3, 5, 8, 13, 64, 1000} {
		got, err := rewriteCut(r, input, n)
		check("in pieces of", n, got, err)
	}
	for i := 0; i <= len(input); i += 1 + len(input)/1500 {
		r.Reset()
		out, err := r.Write(nil, []byte(input[:i]))
		if err == nil {
			out, err = r.Write(out, []byte(input[i:]))
		}
		if err == nil {
			out, err = r.Close(out)
		}
		check("cut at", i, string(out), err)
	}
	return want, wantErr
}

type rewriteTest struct{ name, in, want string }

func runRewrite(t *testing.T, cfg Config, tests []rewriteTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := rewrite(t, cfg, tt.in); err != nil || got != tt.want {
				t.Errorf("%q:\n got %q, %v\nwant %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestRewriteJSON(t *testing.T) {
	runRewrite(t, Config{Policy: policyOf(Redact)}, []rewriteTest{
		{"nothing", `{"a": [1, "b", {"c":null}],` + "\n" + `"é":"\u20ac"}`, `{"a": [1, "b", {"c":null}],` + "\n" + `"é":"\u20ac"}`},
		{"value", `{"content":"mail jane@example.com now"}`, `{"content":"mail [EMAIL_ADDRESS] now"}`},
		{"whole value", `"jane@example.com"`, `"[EMAIL_ADDRESS]"`},
		{"two in one", `["jane@example.com, joe@example.org"]`, `["[EMAIL_ADDRESS], [EMAIL_ADDRESS]"]`},
		{"name", `{"jane@example.com":1}`, `{"[EMAIL_ADDRESS]":1}`},
		{"escaped sign", `"jane\u0040example.com"`, `"[EMAIL_ADDRESS]"`},
		{"escaped letters", `"\u006aane@exampl\u0065.com"`, `"[EMAIL_ADDRESS]"`},
		{"escapes around", `"a\njane@example.com\tb\u20ac"`, `"a\n[EMAIL_ADDRESS]\tb\u20ac"`},
		{"escapes far away", `"\u00e9\ud83d\ude00 \\ \"jane@example.com\" \/\u00e9"`, `"\u00e9\ud83d\ude00 \\ \"[EMAIL_ADDRESS]\" \/\u00e9"`},
		{"JSON in a string", `{"arguments":"{\"mail\":\"jane@example.com\"}"}`, `{"arguments":"{\"mail\":\"[EMAIL_ADDRESS]\"}"}`},
		{"escape of JSON in a string", `{"a":"{\"mail\":\"jane\\u0040example.com\",\"n\":\"a\\njoe@example.org\\\\\"}"}`, `{"a":"{\"mail\":\"[EMAIL_ADDRESS]\",\"n\":\"a\\n[EMAIL_ADDRESS]\\\\\"}"}`},
		{"number of JSON in a string", `{"a":"{\"card\": 4111111111111111,\"l\":[4111111111111111],\"s\":\"4111111111111111\"}"}`, `{"a":"{\"card\": \"[CREDIT_CARD]\",\"l\":[\"[CREDIT_CARD]\"],\"s\":\"[CREDIT_CARD]\"}"}`},
		{"name of JSON in a string", `{"a":"{\"jane@example.com\":1,\"ssn\":219099999}"}`, `{"a":"{\"[EMAIL_ADDRESS]\":1,\"ssn\":\"[US_SSN]\"}"}`},
		{"JSON in a string in a string", `["{\"b\":\"{\\\"mail\\\":\\\"jane\\\\u0040example.com\\\"}\"}"]`, `["{\"b\":\"{\\\"mail\\\":\\\"[EMAIL_ADDRESS]\\\"}\"}"]`},
		{"not quite JSON in a string", `["{\"b\\u00 jane@example.com \\u004 \\x \\"]`, `["{\"b\\u00 [EMAIL_ADDRESS] \\u004 \\x \\"]`},
		{"text with backslashes", `["C:\\u0041 jane@example.com"]`, `["C:\\u0041 [EMAIL_ADDRESS]"]`},
		{"UTF-8 around", `"é jane@example.com €"`, `"é [EMAIL_ADDRESS] €"`},
		{"never over two strings", `["jane@","example.com"]`, `["jane@","example.com"]`},
		{"never over name and value", `{"jane@":"example.com"}`, `{"jane@":"example.com"}`},
		{"card", `"card 4111111111111111"`, `"card [CREDIT_CARD]"`},
		{"number", `{"card":4111111111111111}`, `{"card":"[CREDIT_CARD]"}`},
		{"numbers", `[1, 4111111111111111 ,2]`, `[1, "[CREDIT_CARD]" ,2]`},
		{"top-level number", `4111111111111111`, `"[CREDIT_CARD]"`},
		{"other numbers", `[-4111111111111112,4111111111111111e1,1.5,4111111111111112]`, `[-4111111111111112,4111111111111111e1,1.5,4111111111111112]`},
		{"long number", `[` + strings.Repeat("4111111111111111", 20) + `]`, `[` + strings.Repeat("4111111111111111", 20) + `]`},
		{"name as context", `{"ssn":"219099999"}`, `{"ssn":"[US_SSN]"}`},
		{"name as context of a number", `{"ssn":219099999}`, `{"ssn":"[US_SSN]"}`},
		{"name as context of elements", `{"ssn":["219099999",219099999]}`, `{"ssn":["[US_SSN]","[US_SSN]"]}`},
		{"name as context behind long elements", `{"ssn":["` + strings.Repeat("a word ", 3000) + `","219099999"]}`, `{"ssn":["` + strings.Repeat("a word ", 3000) + `","[US_SSN]"]}`},
		{"long name as context", `{"` + strings.Repeat("a word ", 3000) + `ssn":"219099999"}`, `{"` + strings.Repeat("a word ", 3000) + `ssn":"[US_SSN]"}`},
		{"escaped name as context", `{"\u0073sn":"219099999"}`, `{"\u0073sn":"[US_SSN]"}`},
		{"name is not context of the next", `{"ssn":"","n":"219099999"}`, `{"ssn":"","n":"219099999"}`},
		{"name is not context outside", `[{"ssn":""},"219099999",219099999]`, `[{"ssn":""},"219099999",219099999]`},
		{"long text", `["` + strings.Repeat("word ", 5000) + `jane@example.com ` + strings.Repeat(`é\n`, 3000) + `jane@example.com"]`,
			`["` + strings.Repeat("word ", 5000) + `[EMAIL_ADDRESS] ` + strings.Repeat(`é\n`, 3000) + `[EMAIL_ADDRESS]"]`},
		{"long text without a break", `"` + strings.Repeat("a", 30_000) + ` jane@example.com"`, `"` + strings.Repeat("a", 30_000) + ` [EMAIL_ADDRESS]"`},
	})
}

func TestRewriteEdgesOfDirectSearch(t *testing.T) {
	// Around the lengths at which text is searched where it lies.
	for _, n := range []int{direct/2 - 20, direct/2 - 1, direct - 40, direct - 17, direct, direct + direct/2, 2 * direct, piece - 10, piece + direct/2 - 8, piece + direct, batch} {
		for _, format := range []Format{JSON, Text, SSE} {
			fill := strings.Repeat("some words ", n/11+1)[:n]
			in := `"` + fill + " jane@example.com " + fill + `"`
			want := strings.ReplaceAll(in, "jane@example.com", "[EMAIL_ADDRESS]")
			r := NewRewriter(Config{Format: format, Policy: policyOf(Redact)})
			for _, cut := range []int{0, 1, 7, 300, direct, direct + 1, 5000} {
				if got, err := rewriteCut(r, in, cut); err != nil || got != want {
					t.Errorf("%v, %d bytes in pieces of %d: %v, %d bytes, %q", format, n, cut, err, len(got), got[max(0, min(len(got), n-10)):])
				}
			}
		}
	}
}

func TestRewriteText(t *testing.T) {
	runRewrite(t, Config{Format: Text, Policy: policyOf(Redact)}, []rewriteTest{
		{"nothing", "plain \\u0040 text \xff\x00", "plain \\u0040 text \xff\x00"},
		{"empty", "", ""},
		{"found", "a jane@example.com b", "a [EMAIL_ADDRESS] b"},
		{"at the end", "4111111111111111", "[CREDIT_CARD]"},
		{"backslashes are text", `jane\u0040example.com`, `jane\u0040example.com`},
	})
	runRewrite(t, Config{Policy: policyOf(Redact), Lenient: true}, []rewriteTest{
		{"no escapes", `\ \x \u00 \uzzzz \`, `\ \x \u00 \uzzzz \`},
		{"found among no escapes", `\x jane@example.com \u00`, `\x [EMAIL_ADDRESS] \u00`},
		{"escape of another", `\\u0040 jane\u0040example.com`, `\\u0040 [EMAIL_ADDRESS]`},
		{"surrogates", `\ud83d\ude00 \ud83d \ud83djane@example.com`, `\ud83d\ude00 \ud83d \ud83d[EMAIL_ADDRESS]`},
		{"end of an escape", `jane@example.com\u00`, `[EMAIL_ADDRESS]\u00`},
	})
}

func TestRewriteLines(t *testing.T) {
	runRewrite(t, Config{Format: NDJSON, Policy: policyOf(Redact)}, []rewriteTest{
		{"lines", "{\"a\":\"jane@example.com\"}\n\n4111111111111111\r\n", "{\"a\":\"[EMAIL_ADDRESS]\"}\n\n\"[CREDIT_CARD]\"\r\n"},
		{"nothing", "", ""},
		{"name is not context of the next line", "{\"ssn\":\"\"}\n219099999\n", "{\"ssn\":\"\"}\n219099999\n"},
	})
	runRewrite(t, Config{Format: NDJSON, Policy: policyOf(Redact), Lenient: true}, []rewriteTest{
		{"text between", "{\"a\":1}\nmail jane@example.com\n{\"card\":4111111111111111}\n", "{\"a\":1}\nmail [EMAIL_ADDRESS]\n{\"card\":\"[CREDIT_CARD]\"}\n"},
		{"many lines of text", strings.Repeat("x\n", 500) + "4111111111111111", strings.Repeat("x\n", 500) + "\"[CREDIT_CARD]\""},
		{"text at the end", "1\nx jane@example.com", "1\nx [EMAIL_ADDRESS]"},
	})
}

func TestRewriteLenient(t *testing.T) {
	runRewrite(t, Config{Policy: policyOf(Redact), Lenient: true, MaxDepth: 4}, []rewriteTest{
		{"valid", `{"card":4111111111111111}`, `{"card":"[CREDIT_CARD]"}`},
		{"empty", ``, ``},
		{"not JSON at all", `jane@example.com`, `[EMAIL_ADDRESS]`},
		{"HTML", `<p>jane@example.com</p>`, `<p>[EMAIL_ADDRESS]</p>`},
		{"byte order mark", "\ufeff{\"a\":\"jane\\u0040example.com\"}", "\ufeff{\"a\":\"[EMAIL_ADDRESS]\"}"},
		{"cut off in a string", `{"a":"jane@example.com`, `{"a":"[EMAIL_ADDRESS]`},
		{"cut off in an escape", `{"a":"jane@example.com\u00`, `{"a":"[EMAIL_ADDRESS]\u00`},
		{"bad escape in a string", `{"a":"x \q jane\u0040example.com"}`, `{"a":"x \q [EMAIL_ADDRESS]"}`},
		{"bad escape in an address", `"jane@\u00zz.com jane@example.com`, `"jane@\u00zz.com [EMAIL_ADDRESS]`},
		{"control character", "\"\x01 jane@example.com\"", "\"\x01 [EMAIL_ADDRESS]\""},
		{"bad UTF-8", "\"\xff jane@example.com\"", "\"\xff [EMAIL_ADDRESS]\""},
		{"lone surrogate", `["\ud83d",4111111111111111]`, `["\ud83d","[CREDIT_CARD]"]`},
		{"two values", `{"a":1} jane@example.com`, `{"a":1} [EMAIL_ADDRESS]`},
		{"too deep", `[[[[["jane@example.com","joe\u0040example.com"]]]]]`, `[[[[["[EMAIL_ADDRESS]","[EMAIL_ADDRESS]"]]]]]`},
		{"begins like a literal", `true@example.com`, `[EMAIL_ADDRESS]`},
		{"begins like a part of a literal", `[fal@example.com`, `[[EMAIL_ADDRESS]`},
		{"cut off number", `[4111111111111111`, `["[CREDIT_CARD]"`},
		{"number and text", `[12 jane@example.com]`, `[12 [EMAIL_ADDRESS]]`},
		{"begins like a number", `{"a":12jane@example.com}`, `{"a":[EMAIL_ADDRESS]}`},
		{"space behind a number", `1` + strings.Repeat(" ", 500) + `x jane@example.com`, `1` + strings.Repeat(" ", 500) + `x [EMAIL_ADDRESS]`},
	})
}

func TestRewriteForm(t *testing.T) {
	runRewrite(t, Config{Format: Form, Policy: policyOf(Redact)}, []rewriteTest{
		{"nothing", "a=b+c&d=%20%zz%&&=&e", "a=b+c&d=%20%zz%&&=&e"},
		{"empty", "", ""},
		{"found", "mail=jane@example.com&x=1", "mail=%5BEMAIL_ADDRESS%5D&x=1"},
		{"escaped", "mail=to+jane%40example.com+or+joe%40example%2ecom", "mail=to+%5BEMAIL_ADDRESS%5D+or+%5BEMAIL_ADDRESS%5D"},
		{"name", "jane%40example.com=1", "%5BEMAIL_ADDRESS%5D=1"},
		{"never over two values", "a=jane@&example.com=", "a=jane@&example.com="},
		{"name as context", "ssn=219099999&n=219099999", "ssn=%5BUS_SSN%5D&n=219099999"},
		{"equals signs in a value", "a=b=jane@example.com", "a=b=%5BEMAIL_ADDRESS%5D"},
		{"cut off escape", "a=jane@example.com%4", "a=%5BEMAIL_ADDRESS%5D%4"},
		{"broken escape and the next name", "a=%4&ssn=219099999", "a=%4&ssn=%5BUS_SSN%5D"},
	})
}

func TestRewriteErrors(t *testing.T) {
	block := policyOf(Redact)
	block.Actions[EmailAddress] = Block
	fields := []FieldLimit{{"content", 10}, {"meta", 8}, {"m[].c", 3}, {"content", 12}}
	deep := strings.Repeat("[", DefaultMaxDepth+1)
	tests := []struct {
		name string
		cfg  Config
		in   string
		want error
	}{
		{"malformed", Config{Policy: policyOf(Redact)}, `{"a":}`, ErrMalformed},
		{"malformed without a search", Config{}, `{"a":}`, ErrMalformed},
		{"empty", Config{}, ``, ErrMalformed},
		{"cut off", Config{Policy: policyOf(Redact)}, `{"a":"b`, ErrMalformed},
		{"two values", Config{}, `1 2`, ErrMalformed},
		{"lone surrogate", Config{}, `"\ud83d"`, ErrMalformed},
		{"bad UTF-8", Config{}, "\"\xff\"", ErrMalformed},
		{"value over two lines", Config{Format: NDJSON}, "[\n]\n", ErrMalformed},
		{"too deep", Config{Policy: policyOf(Redact), MaxDepth: 2}, `[[[]]]`, ErrTooDeep},
		{"deep enough", Config{MaxDepth: 3}, `[[[]]]`, nil},
		{"too deep for the default", Config{}, deep, ErrTooDeep},
		{"blocked", Config{Policy: block}, `{"a":["jane@example.com"]}`, &BlockedError{EmailAddress}},
		{"blocked name", Config{Policy: block}, `{"jane@example.com":1}`, &BlockedError{EmailAddress}},
		{"blocked in front of a fault", Config{Policy: block}, `["jane@example.com `, &BlockedError{EmailAddress}},
		{"blocked behind a fault", Config{Policy: block}, `["\q jane@example.com"]`, ErrMalformed},
		{"blocked in text", Config{Policy: block, Format: Text}, `a jane@example.com b`, &BlockedError{EmailAddress}},
		{"blocked in a form", Config{Policy: block, Format: Form}, `a=jane%40example.com`, &BlockedError{EmailAddress}},
		{"blocked in a lenient text", Config{Policy: block, Lenient: true}, `x jane@example.com `, &BlockedError{EmailAddress}},
		{"others are not blocked", Config{Policy: block}, `4111111111111111`, nil},
		{"field fits", Config{Fields: fields}, `{"content":"0123456789"}`, nil},
		{"field too large", Config{Fields: fields}, `{"content":"0123456789a"}`, &FieldError{"content"}},
		{"decoded size", Config{Fields: fields}, `{"content":"\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061"}`, nil},
		{"decoded size over", Config{Fields: fields}, `{"content":"\u20ac\u20ac\u20ac\u20ac"}`, &FieldError{"content"}},
		{"raw size of an object", Config{Fields: fields}, `{"meta":{"a":12}}`, nil},
		{"raw size over", Config{Fields: fields}, `{"meta":{"a":123}}`, &FieldError{"meta"}},
		{"space counts", Config{Fields: fields}, `{"meta":{ "a":12}}`, &FieldError{"meta"}},
		{"raw size of a number", Config{Fields: fields}, `{"meta":12345678}`, nil},
		{"number over", Config{Fields: fields}, `{"meta":123456789}`, &FieldError{"meta"}},
		{"literal over", Config{Fields: fields}, `{"m":[{"c":null}]}`, &FieldError{"m[].c"}},
		{"element", Config{Fields: fields}, `{"m":[{"c":"abc"},{"c":"abcd"}]}`, &FieldError{"m[].c"}},
		{"string in an object", Config{Fields: []FieldLimit{{"meta", 100}, {"meta.a", 2}}}, `{"meta":{"a":"abc"}}`, &FieldError{"meta.a"}},
		{"object around a string", Config{Fields: []FieldLimit{{"meta", 7}, {"meta.a", 2}}}, `{"meta":{"a":"abcdef"}}`, &FieldError{"meta"}},
		{"string first", Config{Fields: []FieldLimit{{"meta", 9}, {"meta.a", 2}}}, `{"meta":{"a":"abcdef"}}`, &FieldError{"meta.a"}},
		{"field too large and cut off", Config{Fields: fields}, `{"meta":[          `, &FieldError{"meta"}},
		{"field too large behind a fault", Config{Fields: fields}, `{"meta":[x         ]`, ErrMalformed},
		{"blocked in front of a large field", Config{Policy: block, Fields: fields[1:2]}, `{"meta":["jane@example.com"]}`, &FieldError{"meta"}},
		{"blocked within a large field", Config{Policy: block, Fields: []FieldLimit{{"c", 20}}}, `{"c":"jane@example.com and more"}`, &BlockedError{EmailAddress}},
		{"each line", Config{Format: NDJSON, Fields: fields}, "{\"meta\":[1]}\n{\"meta\":\"123456789\"}", &FieldError{"meta"}},
		{"field of a form", Config{Format: Form, Fields: fields}, "a=12345678901234&content=123456789%40", nil},
		{"field of a form over", Config{Format: Form, Fields: fields}, "a=1&content=%40%40%40%40%40%40%40%40%40%40%40", &FieldError{"content"}},
		{"escaped name in a form", Config{Format: Form, Fields: fields}, "cont%65nt=0123456789+", &FieldError{"content"}},
		{"none in text", Config{Format: Text, Fields: fields}, `{"content":"0123456789abcdef"}`, nil},
		{"zero", Config{Fields: []FieldLimit{{"a", 0}}}, `{"a":""}`, nil},
		{"more than zero", Config{Fields: []FieldLimit{{"a", 0}}}, `{"a":"b"}`, &FieldError{"a"}},
		{"root", Config{Fields: []FieldLimit{{"", 4}}}, `[1,2]`, &FieldError{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := rewrite(t, tt.cfg, tt.in); !sameError(err, tt.want) {
				t.Errorf("%q: got %v, want %v", tt.in, err, tt.want)
			}
		})
	}
}

func TestErrorStays(t *testing.T) {
	r := NewRewriter(Config{})
	if _, err := r.Write(nil, []byte(`[}`)); err != ErrMalformed {
		t.Fatal(err)
	}
	if out, err := r.Write(nil, []byte(`1`)); err != ErrMalformed || len(out) > 0 {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := r.Close(nil); err != ErrMalformed || len(out) > 0 {
		t.Errorf("%q, %v", out, err)
	}
	r.Reset()
	if out, err := rewriteCut(r, `[1]`, 0); err != nil || out != `[1]` {
		t.Errorf("%q, %v", out, err)
	}
	var field *FieldError
	var blocked *BlockedError
	if errors.As(ErrMalformed, &field) || errors.As(ErrTooDeep, &blocked) {
		t.Error("errors are not distinct")
	}
}

func TestPolicyOfRewriter(t *testing.T) {
	in := `{"a":"jane@example.com","b":4111111111111111}`
	var p Policy
	p.Actions[CreditCard] = Redact
	r := NewRewriter(Config{Policy: p})
	got, err := rewriteCut(r, in, 0)
	if want := `{"a":"jane@example.com","b":"[CREDIT_CARD]"}`; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if c := r.Counts(); c[CreditCard] != 1 || c[EmailAddress] != 0 {
		t.Errorf("counts %v", *c)
	}
	p = Policy{}
	p.Actions[EmailAddress] = Redact
	if got, err = rewrite(t, Config{Policy: p}, in); err != nil || got != `{"a":"[EMAIL_ADDRESS]","b":4111111111111111}` {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err = rewrite(t, Config{}, in); err != nil || got != in {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestHashFollowsTheKey(t *testing.T) {
	in := []byte(`["jane@example.com","jane\u0040example.com","joe@example.com"]`)
	r := NewRewriter(Config{Policy: policyOf(Hash), HashKey: []byte("one key of a tenant")})
	one, err := rewriteCut(r, string(in), 0)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.Trim(one, "[]"), `","`)
	if len(parts) != 3 || strings.Trim(parts[0], `"[`) != strings.Trim(parts[1], `"[`) || parts[1] == strings.Trim(parts[2], `"`) {
		t.Errorf("hashes %q", parts)
	}
	r.SetHashKey([]byte("the key of another"))
	if other, err := rewriteCut(r, string(in), 0); err != nil || other == one {
		t.Errorf("hashes under another key are the same: %q, %v", other, err)
	}
}

// TestHarmlessHasNothing: a string that is not searched has nothing to be found,
// whatever its name is.
func TestHarmlessHasNothing(t *testing.T) {
	for _, name := range []string{"", "ssn: ", "phone number: ", "card: ", "ip address: ", "iban: "} {
		for _, value := range []string{
			"jane@example.com", "4111111111111111", "+12025550143", "(202) 555-0143", "219-09-9999", "219099999",
			"DE89370400440532013000", "192.168.10.20", "fe80::1", "::1", "AKIAIOSFODNN7EXAMPLE",
			"ghp_" + strings.Repeat("aB3d", 9), "xoxb-" + strings.Repeat("1234567890-", 2) + "abcdefABCDEF123456789012",
			"sk_live_" + strings.Repeat("aB3d", 6), "sk-ant-api03-" + strings.Repeat("aB3d", 24), "sk-proj-" + strings.Repeat("aB3d", 12),
			"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
			"-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAabcdefghijklmnop\n-----END PRIVATE KEY-----",
		} {
			found := Scan(nil, []byte(name+value))
			if len(found) > 0 && harmless([]byte(value)) {
				t.Errorf("%q is not searched and has %v behind %q", value, found[0].Entity, name)
			}
			if strings.HasPrefix(name, "card") && len(found) == 0 && !strings.HasPrefix(value, "219") {
				t.Errorf("nothing found in %q: it tests nothing", value)
			}
		}
	}
	if !harmless([]byte("some words, as most are")) {
		t.Error("plain words are searched")
	}
}

// TestReleasesEarly: what cannot become a finding goes on at once.
func TestReleasesEarly(t *testing.T) {
	for _, tt := range []struct {
		format Format
		in     string
	}{
		{JSON, `{"a":"some words. `}, {JSON, `{"a":["b` + `",`}, {JSON, `{"a":[true,{"b":"c"},`}, {JSON, `{"a\n":"b\n c `},
		{Text, "some words. "}, {SSE, "data: some words\n\n"}, {Form, "a=b&"}, {NDJSON, "{}\n"},
	} {
		r := NewRewriter(Config{Format: tt.format, Policy: policyOf(Redact)})
		out, err := r.Write(nil, []byte(tt.in))
		if err != nil || string(out) != tt.in {
			t.Errorf("%v: %q went on of %q, %v", tt.format, out, tt.in, err)
		}
	}
}

// TestConstantMemory: neither long bodies nor hostile ones make it keep more.
func TestConstantMemory(t *testing.T) {
	for name, unit := range map[string]string{
		"text":          "some words and jane@example.com ",
		"no breaks":     "aaaaaaaaaaaaaaaa",
		"digits":        "4111111111111111",
		"escapes":       `\u0061`,
		"quick escapes": `\n`,
		"at signs":      "a@",
		"key":           "-----BEGIN RSA PRIVATE KEY-----\\n",
	} {
		body := []byte(strings.Repeat(unit, 8<<10))
		for _, cut := range []int{17, 1000, len(body)} {
			r := NewRewriter(Config{Policy: policyOf(Redact)})
			out, err := r.Write(nil, []byte(`["`))
			for range 4 {
				for at := 0; at < len(body) && err == nil; at += cut {
					out, err = r.Write(out[:0], body[at:min(at+cut, len(body))])
				}
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n := cap(r.held); n > 256<<10 {
				t.Errorf("%s in pieces of %d: held %d", name, cut, n)
			}
			if n := cap(r.win.buf); n > 128<<10 {
				t.Errorf("%s in pieces of %d: window of %d", name, cut, n)
			}
			if n := cap(r.win.segs); n > 32<<10 {
				t.Errorf("%s in pieces of %d: %d segments", name, cut, n)
			}
			if n := cap(r.findings); n > 64<<10 {
				t.Errorf("%s in pieces of %d: %d findings", name, cut, n)
			}
		}
	}
}

func TestRewriterDoesNotAllocate(t *testing.T) {
	for format, body := range map[Format][]byte{
		JSON: []byte(`{"a":"to jane\u0040example.com","ssn":"1","n":[4111111111111111,1.5,true],"content":"` + strings.Repeat(`words and\n`, 300) + `"}`),
		Form: []byte("a=to+jane%40example.com&ssn=1&content=" + strings.Repeat("words+and%0A", 300)),
	} {
		doesNotAllocate(t, format, body)
	}
}

func doesNotAllocate(t *testing.T, format Format, body []byte) {
	r := NewRewriter(Config{Format: format, Policy: policyOf(Redact), Fields: []FieldLimit{{"content", 1 << 20}}, Redact: []string{"ssn"}})
	out := make([]byte, 0, 2*len(body))
	for _, cut := range []int{100, len(body)} {
		run := func() {
			r.Reset()
			dst := out
			var err error
			for at := 0; at < len(body) && err == nil; at += cut {
				dst, err = r.Write(dst, body[at:min(at+cut, len(body))])
			}
			if err == nil {
				dst, err = r.Close(dst)
			}
			if err != nil || !bytes.Contains(dst, []byte("EMAIL_ADDRESS")) {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("format %d: %v allocations in pieces of %d", format, n, cut)
		}
	}
}
