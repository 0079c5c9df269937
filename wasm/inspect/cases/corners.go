package cases

import (
	"strconv"
	"strings"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/jsonstream"
	"github.com/memgate/memgate/filter/problem"
)

// corner is a body at the edge of what JSON is, or beyond. In a request a body that
// parsers could read differently is refused; a response is read on as text, so that
// what is found in it is rewritten all the same.
type corner struct {
	name, body string
	// refusal of a request with it, nil if it goes on.
	refusal *problem.Problem
	// rewritten is what goes on, where something is found; else it is the body.
	rewritten string
}

func corners() []corner {
	const found = "[EMAIL_ADDRESS]"
	bad := &problem.MalformedJSON
	nested := func(n int, inner string) string {
		return strings.Repeat("[", n) + inner + strings.Repeat("]", n)
	}
	return []corner{
		{name: "nested as deep as can be", body: nested(jsonstream.MaxDepth, `"`+email+`"`), rewritten: nested(jsonstream.MaxDepth, `"`+found+`"`)},
		{name: "nested too deep to follow", body: nested(jsonstream.MaxDepth+1, `"`+email+`"`), refusal: &problem.TooDeep, rewritten: nested(jsonstream.MaxDepth+1, `"`+found+`"`)},
		{name: "half a surrogate pair, the first", body: `["\ud800 ` + email + `"]`, refusal: bad, rewritten: `["\ud800 ` + found + `"]`},
		{name: "half a surrogate pair, the second", body: `["\udc00 ` + email + `"]`, refusal: bad, rewritten: `["\udc00 ` + found + `"]`},
		{name: "a surrogate pair the wrong way round", body: `["\udc00\ud800 ` + email + `"]`, refusal: bad, rewritten: `["\udc00\ud800 ` + found + `"]`},
		{name: "a surrogate pair", body: `["\ud83d\ude00 ` + email + `"]`, rewritten: `["\ud83d\ude00 ` + found + `"]`},
		{name: "bytes that are not UTF-8", body: "[\"\xff\xfe " + email + `"]`, refusal: bad, rewritten: "[\"\xff\xfe " + found + `"]`},
		{name: "an overlong form of UTF-8", body: "[\"\xc0\xaf " + email + `"]`, refusal: bad, rewritten: "[\"\xc0\xaf " + found + `"]`},
		{name: "a surrogate in UTF-8", body: "[\"\xed\xa0\x80 " + email + `"]`, refusal: bad, rewritten: "[\"\xed\xa0\x80 " + found + `"]`},
		{name: "UTF-8 that is cut off", body: "[\"\xe2\x82 " + email + `"]`, refusal: bad, rewritten: "[\"\xe2\x82 " + found + `"]`},
		{name: "a number of 1000 digits", body: `[` + strings.Repeat("7", 1000) + `,"` + email + `"]`, rewritten: `[` + strings.Repeat("7", 1000) + `,"` + found + `"]`},
		{name: "a number beyond any float", body: `[1e999999999999,-0.0E-999999,"` + email + `"]`, rewritten: `[1e999999999999,-0.0E-999999,"` + found + `"]`},
		{name: "a number with a leading zero", body: `[01,"` + email + `"]`, refusal: bad, rewritten: `[01,"` + found + `"]`},
		{name: "a number with a plus sign", body: `[+1,"` + email + `"]`, refusal: bad, rewritten: `[+1,"` + found + `"]`},
		{name: "no number", body: `[NaN,"` + email + `"]`, refusal: bad, rewritten: `[NaN,"` + found + `"]`},
		{name: "a name twice", body: `{"a":"` + email + `","a":"` + email + `"}`, rewritten: `{"a":"` + found + `","a":"` + found + `"}`},
		{name: "a byte order mark", body: "\xef\xbb\xbf[\"" + email + `"]`, refusal: bad, rewritten: "\xef\xbb\xbf[\"" + found + `"]`},
		{name: "NUL in a string", body: "[\"\x00 " + email + `"]`, refusal: bad, rewritten: "[\"\x00 " + found + `"]`},
		{name: "NUL between values", body: "[\x00\"" + email + `"]`, refusal: bad, rewritten: "[\x00\"" + found + `"]`},
		{name: "NUL escaped", body: `["\u0000 ` + email + `"]`, rewritten: `["\u0000 ` + found + `"]`},
		{name: "a line feed in a string", body: "[\"a\n" + email + `"]`, refusal: bad, rewritten: "[\"a\n" + found + `"]`},
		{name: "something behind the value", body: `{} "` + email + `"`, refusal: bad, rewritten: `{} "` + found + `"`},
		{name: "white space around the value", body: " \t\r\n[\"" + email + "\"] \t\r\n", rewritten: " \t\r\n[\"" + found + "\"] \t\r\n"},
		{name: "white space alone", body: " \r\n", refusal: bad},
		{name: "a string alone", body: `"` + email + `"`, rewritten: `"` + found + `"`},
		{name: "a number alone", body: `-1.5e3`},
		{name: "a literal alone", body: `null`},
		{name: "a literal that is cut off", body: `nul`, refusal: bad},
		{name: "an escape of too many digits", body: `["ann\u000040example.com"]`},
		{name: "an escape of five digits", body: `["ann\u00040 ` + email + `"]`, rewritten: `["ann\u00040 ` + found + `"]`},
		{name: "an escape in braces", body: `["ann\u{40}example.com ` + email + `"]`, refusal: bad, rewritten: `["ann\u{40}example.com ` + found + `"]`},
		{name: "an escape of two digits", body: `["ann\x40example.com ` + email + `"]`, refusal: bad, rewritten: `["ann\x40example.com ` + found + `"]`},
		{name: "a value in single quotes", body: `['` + email + `']`, refusal: bad, rewritten: `['` + found + `']`},
		{name: "a comment", body: `[/* ` + email + ` */]`, refusal: bad, rewritten: `[/* ` + found + ` */]`},
		{name: "a comma too much", body: `[1,,"` + email + `"]`, refusal: bad, rewritten: `[1,,"` + found + `"]`},
	}
}

// jsonCorners are the corners in requests, and in responses of both kinds.
func jsonCorners() []Case {
	policy := with(func(p *content.Policy) {
		p.Request.MaxBytes, p.Request.MaxDepth, p.Request.Fields = 16<<10, jsonstream.MaxDepth, nil
	})
	ok := Answer{Body: `{"ok":true}`}
	list := []Case{
		{Name: "JSON request: nothing", Policy: policy, Answer: ok, Client: ok.Body},
		{Name: "JSON response: nothing", Policy: policy, Method: "GET", Type: "-"},
	}
	for _, c := range corners() {
		goesOn, n := c.body, 0
		if c.rewritten != "" {
			goesOn, n = c.rewritten, strings.Count(c.body, email)
		}
		findings := ""
		if n > 0 {
			findings = "EMAIL_ADDRESS=" + strconv.Itoa(n)
		}
		request := Case{Name: "JSON request: " + c.name, Policy: policy, Body: c.body, Refusal: c.refusal}
		if c.refusal == nil {
			request.Upstream, request.Answer, request.Client, request.Findings = goesOn, ok, ok.Body, findings
		}
		list = append(list, request)
		for _, streamed := range []bool{false, true} {
			response := Case{
				Name: "JSON response: " + c.name, Policy: policy, Method: "GET", Type: "-",
				Answer: Answer{Body: c.body, Streamed: streamed}, Client: goesOn, Findings: findings,
			}
			if streamed {
				response.Name += ", streamed"
			}
			list = append(list, response)
		}
	}
	return list
}
