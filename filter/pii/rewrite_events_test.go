package pii

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestRewriteEvents(t *testing.T) {
	cfg := Config{Format: SSE, Policy: policyOf(Redact), Identifiers: []string{"user"}}
	runRewrite(t, cfg, []rewriteTest{
		{"nothing", "", ""},
		{"framing stays", ": hi\r\n\r\nevent: x\rid: 1\rdata:a\rdata\rdata:  b\r\rretry: 10\n\ndata: {\"a\": 1}\n\n", ": hi\r\n\r\nevent: x\rid: 1\rdata:a\rdata\rdata:  b\r\rretry: 10\n\ndata: {\"a\": 1}\n\n"},
		{"JSON", "data: {\"t\":\"a\\njane\\u0040example.com\\n\",\"card\":4111111111111111}\n\n", "data: {\"t\":\"a\\n[EMAIL_ADDRESS]\\n\",\"card\":\"[CREDIT_CARD]\"}\n\n"},
		{"JSON over lines", "data: {\"ssn\":\nid: 7\r\ndata:219099999}\n\ndata: x\n\n", "data: {\"ssn\":\nid: 7\r\ndata:\"[US_SSN]\"}\n\ndata: x\n\n"},
		{"name and value over lines", "data:{\"mail\":\ndata: \"jane@example.com\"}\n\n", "data:{\"mail\":\ndata: \"[EMAIL_ADDRESS]\"}\n\n"},
		{"text", "data: to jane@example.com\n\ndata: [DONE]\n\n", "data: to [EMAIL_ADDRESS]\n\ndata: [DONE]\n\n"},
		{"number as text", "data: 4111111111111111\n\n", "data: [CREDIT_CARD]\n\n"},
		{"a key over lines", "data: -----BEGIN PRIVATE KEY-----\ndata: MIIEowIBAAKCAQEAabcdefghijklmnop\r\nid: 4\ndata: -----END PRIVATE KEY-----\ndata: bye\n\ndata: x\n\n", "data: [PRIVATE_KEY]\ndata: bye\r\nid: 4\n\ndata: x\n\n"},
		{"comment, name and id", ": jane@example.com\nevent: jane@example.com\nid: jane@example.com\ndata: x\n\n", ": [EMAIL_ADDRESS]\nevent: [EMAIL_ADDRESS]\nid: [EMAIL_ADDRESS]\ndata: x\n\n"},
		{"byte order mark", "\ufeffdata: {\"a\":4111111111111111}\n\n", "\ufeffdata: {\"a\":\"[CREDIT_CARD]\"}\n\n"},
		{"byte order mark later", "data: 1\n\n\ufeffdata: {\"a\":4111111111111111}\n\n", "data: 1\n\n\ufeffdata: {\"a\":[CREDIT_CARD]}\n\n"},
		{"not JSON after all", "data: {jane@example.com\n\n", "data: {[EMAIL_ADDRESS]\n\n"},
		{"no end", "data: {\"a\":\"jane@example.com", "data: {\"a\":\"[EMAIL_ADDRESS]"},
		{"no empty line", "data: jane@example.com\n", "data: [EMAIL_ADDRESS]\n"},
		{"other fields", "datax: jane@example.com\nDATA: 4111111111111111\n\n", "datax: [EMAIL_ADDRESS]\nDATA: [CREDIT_CARD]\n\n"},
		{"identifier", "data: {\"user\":\"jane@example.com\",\"to\":\"jane@example.com\"}\n\n", "data: {\"user\":\"jane@example.com\",\"to\":\"[EMAIL_ADDRESS]\"}\n\n"},
		{"not over two events", "data: {\"a\":\"jane@\"}\n\ndata: {\"a\":\"example.com\"}\n\n", "data: {\"a\":\"jane@\"}\n\ndata: {\"a\":\"example.com\"}\n\n"},
		{"before and behind a fragment", "data: {\"a\":\"jane@example.com\",\"delta\":{\"text\":\"joe@example.org \"},\"b\":4111111111111111}\n\n", "data: {\"a\":\"[EMAIL_ADDRESS]\",\"delta\":{\"text\":\"[EMAIL_ADDRESS] \"},\"b\":\"[CREDIT_CARD]\"}\n\n"},
	})
}

// chat makes a stream of fragments in one of the known forms.
func chat(form string, parts ...string) string {
	var b strings.Builder
	for i, p := range parts {
		quoted, err := json.Marshal(p)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, strings.ReplaceAll(form, "#", fmt.Sprint(i%2)), quoted)
	}
	return b.String()
}

const (
	openai    = `data: {"id":"c-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}` + "\n\n"
	arguments = `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":%s}}]}}]}` + "\n\n"
	anthropic = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":%s}}\n\n"
	responses = `data: {"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":%s}` + "\r\n\r\n"
	gemini    = `data: {"candidates":[{"content":{"parts":[{"text":%s}],"role":"model"}}]}` + "\n\n"
	two       = `data: {"choices":[{"index":#,"delta":{"content":%s}}]}` + "\n\n"
	own       = `data: {"token":{"t":%s}}` + "\n\n"
)

func TestRewriteDeltas(t *testing.T) {
	cfg := Config{Format: SSE, Policy: policyOf(Redact), Deltas: []string{"token.t", "."}}
	ping := "event: ping\ndata: {\"type\": \"ping\"}\n\n"
	stop := "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	for _, form := range []string{openai, arguments, anthropic, responses, gemini, own} {
		runRewrite(t, cfg, []rewriteTest{
			{"split", chat(form, "write to jane", "@exam", "ple", ".com", " now"), chat(form, "write to [EMAIL_ADDRESS]", "", "", "", " now")},
			{"in one", chat(form, "to jane@example.com", " now"), chat(form, "to [EMAIL_ADDRESS]", " now")},
			{"at the end", chat(form, "card 4111 1111", " 1111", " 1111"), chat(form, "card [CREDIT_CARD]", "", "")},
			{"two in a row", chat(form, "a@example.com,b@exam", "ple.com and", " c"), chat(form, "[EMAIL_ADDRESS],[EMAIL_ADDRESS]", " and", " c")},
			{"escapes", chat(form, "\n\"jane\u2028", "jane@", "example.com\n\""), chat(form, "\n\"jane\u2028", "[EMAIL_ADDRESS]", "\n\"")},
			{"a key", chat(form, "-----BEGIN PRIVATE KEY-----\n", "MIIEowIBAAKCAQEA", "abcdefghijklmnop\n", "-----END PRIVATE KEY-----", " done"), chat(form, "", "", "[PRIVATE_KEY]", "", " done")},
			{"a key that does not end", chat(form, "-----BEGIN PRIVATE KEY-----\n", "MIIEowIBAAKCAQEA"), chat(form, "", "[PRIVATE_KEY]")},
			{"what is behind a key", chat(form, "-----BEGIN PRIVATE KEY-----", "0000000000000000", "000 ", "0"), chat(form, "", "", "[PRIVATE_KEY] ", "0")},
			{"with a ping", chat(form, "jane") + ping + chat(form, "@example.com"), chat(form, "[EMAIL_ADDRESS]") + ping + chat(form, "")},
			{"the end of a text", chat(form, "jane") + stop + chat(form, "@example.com"), chat(form, "jane") + stop + chat(form, "@example.com")},
			{"nothing", chat(form, "a", "b", "", " c d", "@", "e"), chat(form, "a", "b", "", " c d", "@", "e")},
		})
	}
	runRewrite(t, cfg, []rewriteTest{
		{"two texts", chat(two, "jane", "joe", "@example", "@example", ".com or", ".org or"), chat(two, "[EMAIL_ADDRESS]", "[EMAIL_ADDRESS]", "", "", " or", " or")},
		{"no text over two", chat(two, "jane", "@example.com"), chat(two, "jane", "@example.com")},
		{"data that is text", "data: to jane\n\ndata: @example\n\ndata: .com\n\n", "data: to [EMAIL_ADDRESS]\n\ndata: \n\ndata: \n\n"},
		{"index behind", "data: {\"delta\":{\"text\":\"jane\"},\"index\":1}\n\ndata: {\"delta\":{\"text\":\"@example.com\"},\"index\":2}\n\n", "data: {\"delta\":{\"text\":\"jane\"},\"index\":1}\n\ndata: {\"delta\":{\"text\":\"@example.com\"},\"index\":2}\n\n"},
		{"more texts than are kept", many(maxChannels + 3), many(maxChannels + 3)},
		{"more fragments than are kept", "data: [" + strings.Repeat(`{"delta":"jane@example.com "},`, maxFragments+3) + "0]\n\n", "data: [" + strings.Repeat(`{"delta":"[EMAIL_ADDRESS] "},`, maxFragments+3) + "0]\n\n"},
	})
	// The fragments are inner JSON, with escapes that they split, or have what is folded.
	for _, form := range []string{arguments, openai, responses} {
		runRewrite(t, cfg, []rewriteTest{
			{"inner escape", chat(form, `{"mail":"jane\u0040exa`, `mple.com"}`), chat(form, `{"mail":"[EMAIL_ADDRESS]`, `"}`)},
			{"split escape", chat(form, `{"mail":"jane\`, `u00`, `4`, `0`, `example.com","a":1}`), chat(form, `{"mail":"[EMAIL_ADDRESS]`, ``, ``, ``, `","a":1}`)},
			{"split escape at the beginning", chat(form, `{"card":"\`, `u00341111111`, `11111111"}`), chat(form, `{"card":"[CREDIT_CARD]`, ``, `"}`)},
			{"split escape at the end", chat(form, `{"card":"411111111111111\u`, `0031`, `"}`), chat(form, `{"card":"[CREDIT_CARD]`, ``, `"}`)},
			{"line breaks and quotes", chat(form, `{"a":"to\`, `njane@example.com\`, `"."}`), chat(form, `{"a":"to\`, `n[EMAIL_ADDRESS]\`, `"."}`)},
			{"no finding", chat(form, `{"a":"\`, `u00e9 b\`, `n\u26`, ``, `3A","b":41111}`), chat(form, `{"a":"\`, `u00e9 b\`, `n\u26`, ``, `3A","b":41111}`)},
			{"no escape", chat(form, `{"a":"\`, `q jane@example.com \u00`, `zz"}`), chat(form, `{"a":"\`, `q [EMAIL_ADDRESS] \u00`, `zz"}`)},
			{"no end", chat(form, `{"a":"jane@example.com \u00`), chat(form, `{"a":"[EMAIL_ADDRESS] \u00`)},
			{"a number", chat(form, `{"card":4111`, `111111111111`, `,"ssn":"219-09-9999"}`), chat(form, `{"card":"[CREDIT_CARD]"`, ``, `,"ssn":"[US_SSN]"}`)},
			{"deeper", chat(form, `{"a":"{\"mail\":\"jane\\u00`, `40example.com\"}"}`), chat(form, `{"a":"{\"mail\":\"[EMAIL_ADDRESS]`, `\"}"}`)},
			{"not JSON", chat(form, `jane\u0040example.com`), chat(form, `jane\u0040example.com`)},
			{"full width", chat(form, "card ４１１１", "１１１１11111111"), chat(form, "card [CREDIT_CARD]", "")},
			{"what does not show", chat(form, "to jane", "\u200b", "\u200b@example\u00ad", ".com"), chat(form, "to [EMAIL_ADDRESS]", "", "", "")},
		})
	}
	hash := cfg
	hash.Policy, hash.HashKey = policyOf(Hash), []byte("a key for this test")
	whole, err := rewrite(t, hash, chat(openai, "to jane@example.com now"))
	if err != nil {
		t.Fatal(err)
	}
	split, err := rewrite(t, hash, chat(openai, "to ja", "ne@exa", "mple.com n", "ow"))
	if err != nil || deltasOf(t, split) != deltasOf(t, whole) {
		t.Errorf("split %q, %v, whole %q", split, err, whole)
	}
	block := cfg
	block.Policy.Actions[EmailAddress] = Block
	if _, err := rewrite(t, block, chat(openai, "ja", "ne@exa", "mple.com n", "ow")); !sameError(err, &BlockedError{EmailAddress}) {
		t.Errorf("%v", err)
	}
}

// many is a stream of n texts that all wait for more.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "data: {\"index\":%d,\"delta\":\"jane\"}\n\n", i)
	}
	return b.String()
}

// deltasOf is the text of a stream in the form openai.
func deltasOf(t *testing.T, stream string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.SplitSeq(stream, "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%v in %q", err, data)
		}
		for _, c := range chunk.Choices {
			b.WriteString(c.Delta.Content)
		}
	}
	return b.String()
}

// FuzzDeltas: the fragments of a rewritten stream, joined, are the text rewritten as
// a whole, however it is cut into fragments and the stream into pieces.
func FuzzDeltas(f *testing.F) {
	for i, s := range []string{
		"write to jane@example.com or joe@example.org.", "card 4111 1111 1111 1111, ssn 219-09-9999", "call +1 202 555 0143 now",
		"-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAabcdefghijklmnop\n-----END PRIVATE KEY----- bye",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ is a token", "é\u2028\"\\jane@example.com\\\"", "10.0.0.1 fe80::1", "",
		`{"mail":"jane\u0040example.com","card":4111111111111111}`, `["{\"a\":\"\\u0034111111111111111\"}"]`, "card ４１１１11111111\u200b1111",
		"-----BEGIN PRIVATE KEY-----0000000000000000 0",
	} {
		f.Add(s, []byte{1, 3, 2, 5, 1, 1, 7}, uint16(i), uint8(1))
		f.Add(s, []byte{4}, uint16(i*7), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, cuts []byte, piece uint16, action uint8) {
		text = strings.ToValidUTF8(text, "")
		if len(text) > 1<<14 || len(cuts) == 0 {
			return
		}
		cfg := Config{Format: Text, Policy: policyOf(Action(action&1 + 1)), HashKey: []byte("a key for this test")}
		if action&2 != 0 {
			cfg.Policy = policyOf(Hash)
		}
		want, err := rewriteCut(NewRewriter(cfg), text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if isJSON([]byte(strings.Replace(text, "\r", " ", -1))) { // as a string of JSON
			quoted, _ := json.Marshal(text)
			cfg.Format = JSON
			if want, err = rewriteCut(NewRewriter(cfg), string(quoted), 0); err != nil {
				t.Fatal(err)
			}
			if err = json.Unmarshal([]byte(want), &want); err != nil {
				t.Fatal(err)
			}
		}
		var parts []string
		for i, rest := 0, []rune(text); len(rest) > 0; i++ {
			n := min(len(rest), int(cuts[i%len(cuts)]%9))
			if n == 0 && i%len(cuts) == 0 {
				n = 1
			}
			parts = append(parts, string(rest[:n]))
			rest = rest[n:]
		}
		stream := chat(openai, parts...)
		cfg.Format = SSE
		got, err := rewriteCut(NewRewriter(cfg), stream, int(piece))
		if err != nil {
			t.Fatal(err)
		}
		if joined := deltasOf(t, got); joined != want {
			t.Fatalf("%q in %q:\n got %q\nwant %q", text, parts, joined, want)
		}
		if strings.Count(got, "\n") != strings.Count(stream, "\n") {
			t.Fatalf("%q became %q", stream, got)
		}
		if want == text && got != stream {
			t.Fatalf("%q became %q without a finding", stream, got)
		}
	})
}

// TestEventsReleaseEarly: an event waits for the next only when its text could go on.
func TestEventsReleaseEarly(t *testing.T) {
	r := NewRewriter(Config{Format: SSE, Policy: policyOf(Redact)})
	step := func(in, want string) {
		t.Helper()
		if out, err := r.Write(nil, []byte(in)); err != nil || string(out) != want {
			t.Errorf("%q let %q go on, %v, want %q", in, out, err, want)
		}
	}
	first, second, third := chat(openai, "Hello "), chat(openai, "jane"), chat(openai, " and")
	step(first, first)
	step(second, "")
	step(third, second)
	step("data: {\"type\":\"message_stop\"}\n\n", third+"data: {\"type\":\"message_stop\"}\n\n")
	step(": ping\n\n", ": ping\n\n")
	step("data: jane", "")
	step("\n\n", "data: jane\n\n")
	step("data: a\r\r", "data: a\r\r")
	step("\ndata: b\n\n", "\ndata: b\n\n")
	step(chat(openai, "x"), "")
	step("data: [DONE]\n\n", chat(openai, "x")+"data: [DONE]\n\n")
}

// TestEventsAreBounded: neither a long event nor a text that always could go on makes
// a stream wait for ever, or memory grow.
func TestEventsAreBounded(t *testing.T) {
	r := NewRewriter(Config{Format: SSE, Policy: policyOf(Redact)})
	for _, in := range []string{"data: " + strings.Repeat("a ", MaxEvent), strings.Repeat("data: a\n", MaxEvent/8+1)} {
		for _, cut := range []int{0, 1000} {
			if _, err := rewriteCut(r, in, cut); err != ErrEventTooLong {
				t.Errorf("%q in pieces of %d: %v", in[:20], cut, err)
			}
		}
	}
	long := `data: {"pad":"` + strings.Repeat("x", 40_000) + `","delta":{"content":"a"}}` + "\n\n"
	r.Reset()
	in, out := 0, 0
	var dst []byte
	var err error
	for range 200 {
		if dst, err = r.Write(dst[:0], []byte(long)); err != nil {
			t.Fatal(err)
		}
		if in, out = in+len(long), out+len(dst); in-out > maxHeldEvents+2*len(long) {
			t.Fatalf("%d bytes are held", in-out)
		}
	}
	// A token of any length, one letter an event.
	r.Reset()
	if _, err = r.Write(nil, []byte(chat(openai, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0."))); err != nil {
		t.Fatal(err)
	}
	for range 20_000 {
		if dst, err = r.Write(dst[:0], []byte(chat(openai, "c"))); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.events.held; n > maxHeldEvents {
		t.Errorf("%d bytes are held", n)
	}
	for _, c := range r.events.deltas.channels {
		if cap(c.buf) > 64<<10 || cap(c.waiting) > 2*MaxHold || cap(c.parts.value) > 2*MaxHold {
			t.Errorf("a text has %d bytes, %d fragments", cap(c.buf), cap(c.waiting))
		}
	}
}

func TestEventsDoNotAllocate(t *testing.T) {
	r := NewRewriter(Config{Format: SSE, Policy: policyOf(Redact)})
	stream := []byte(chat(anthropic, "Hello", " there", ", how", " are", " you", "?"))
	dst := make([]byte, 0, 2*len(stream))
	run := func() {
		r.Reset()
		out, err := r.Write(dst, stream)
		if err == nil {
			out, err = r.Close(out)
		}
		if err != nil || !bytes.Equal(out, stream) {
			t.Fatalf("%q, %v", out, err)
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
