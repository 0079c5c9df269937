// Package cases is the table of what the content filter does with bodies. The
// same cases run natively against package inspect, in every split into pieces,
// and through a real Envoy with the real filter.
package cases

import (
	"slices"
	"strings"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
)

// Case is one exchange: a request, what the upstream answers if the request
// gets there, and what must come of both.
type Case struct {
	Name   string
	Policy *content.Policy

	Method string // POST when empty
	Type   string // Content-Type of the request, "-" for none, application/json when empty
	Header map[string]string
	Body   string
	// Chunked says that the request has no Content-Length.
	Chunked bool

	// Refusal is how the request is refused, nil if it goes on.
	Refusal *problem.Problem
	// Upstream is the body that the upstream gets.
	Upstream string

	Answer Answer

	// Withheld is how the response is refused, nil if it goes on.
	Withheld *problem.Problem
	// BreaksOff says that the response breaks off instead, because its headers
	// are on their way.
	BreaksOff bool
	// Client is the body that the client gets.
	Client string
	// Findings are what the access log says.
	Findings string
	// Score is what it says of the score of the request, and Quarantine the header by
	// which the upstream is told that it is suspect.
	Score, Quarantine string
}

// Answer is what the upstream answers.
type Answer struct {
	Status int    // 200 when 0
	Type   string // Content-Type, "-" for none, application/json when empty
	Header map[string]string
	Body   string
	// Streamed says that the answer has no Content-Length.
	Streamed bool
}

// Policy returns the policy that most cases use: JSON requests of at most 1 KiB,
// e-mail addresses redacted and card numbers blocked in both directions.
func Policy() *content.Policy {
	security, err := headers.New("api", nil)
	if err != nil {
		panic(err)
	}
	p := &content.Policy{
		Request: content.Body{
			MaxBytes: 1 << 10,
			Types:    []string{"application/json"},
			MaxDepth: 4,
			Fields:   []pii.FieldLimit{{Path: "content", Max: 100}, {Path: "metadata", Max: 20}},
		},
		Response: content.Body{MaxBytes: content.NoLimit},
		CORS:     cors.Policy{AllowOrigins: []string{Origin}, AllowCredentials: true},
		Headers:  security,
	}
	for _, b := range []*content.Body{&p.Request, &p.Response} {
		b.PII.Actions[pii.EmailAddress] = pii.Redact
		b.PII.Actions[pii.CreditCard] = pii.Block
	}
	return p
}

// Origin is the one that [Policy] allows.
const Origin = "https://app.example.com"

// Values that the detectors find.
const (
	email = "ann@example.com"
	card  = "4111 1111 1111 1111"
)

// with returns Policy() after an edit.
func with(edit func(*content.Policy)) *content.Policy {
	p := Policy()
	edit(p)
	return p
}

// takes returns Policy() for requests of another media type.
func takes(mediaType string) *content.Policy {
	return with(func(p *content.Policy) {
		p.Request = content.Body{MaxBytes: 1 << 10, Types: []string{mediaType}, PII: p.Request.PII}
	})
}

// Tenant and Agent are those of the caller.
const (
	Tenant = "acme"
	Agent  = "helper"
)

// All returns all cases.
func All() []Case {
	return slices.Concat(requests(), named(), custom(), poisoned(), responses(), jsonCorners())
}

func requests() []Case {
	ok := Answer{Body: `{"ok":true}`}
	pass := func(c Case) Case {
		if c.Policy == nil {
			c.Policy = Policy()
		}
		c.Answer, c.Client = ok, ok.Body
		return c
	}
	refuse := func(c Case, p *problem.Problem) Case {
		if c.Policy == nil {
			c.Policy = Policy()
		}
		c.Refusal = p
		return c
	}
	deep := strings.Repeat("[", 5) + strings.Repeat("]", 5)
	spacious := func(p *content.Policy) { p.Request.MaxBytes, p.Request.Fields = 512<<10, nil }
	long := func(word string) string {
		return `{"list":["` + strings.Repeat(word+`","`, 20000) + `end"]}`
	}
	return []Case{
		pass(Case{
			Name: "clean JSON goes on byte for byte",
			Body: "{ \"content\" : \"caf\\u00e9 \\/ na\u00efve\",\n\t\"n\":1e5 }", Upstream: "{ \"content\" : \"caf\\u00e9 \\/ na\u00efve\",\n\t\"n\":1e5 }",
		}),
		pass(Case{
			Name: "an address is redacted",
			Body: `{"content":"write to ` + email + ` today"}`, Upstream: `{"content":"write to [EMAIL_ADDRESS] today"}`,
			Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "a chunked body gets a length",
			Body: `{"content":"` + email + `","to":"` + email + `"}`, Upstream: `{"content":"[EMAIL_ADDRESS]","to":"[EMAIL_ADDRESS]"}`,
			Chunked: true, Findings: "EMAIL_ADDRESS=2",
		}),
		pass(Case{
			Name: "an escaped address is redacted", Body: `{"content":"ann\u0040example.com"}`,
			Upstream: `{"content":"[EMAIL_ADDRESS]"}`, Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "a body larger than the proxy's buffer", Policy: with(spacious),
			Body: long("word"), Upstream: long("word"), Chunked: true,
		}),
		pass(Case{
			Name: "a body larger than the proxy's buffer, rewritten", Policy: with(spacious),
			Body: strings.Replace(long("word"), "end", email, 1), Upstream: strings.Replace(long("word"), "end", "[EMAIL_ADDRESS]", 1),
			Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{Name: "no body", Method: "GET", Type: "-"}),
		pass(Case{Name: "an empty chunked body", Chunked: true}),
		pass(Case{Name: "an empty chunked body without a type", Method: "DELETE", Type: "-", Chunked: true}),
		pass(Case{Name: "identity is no encoding", Header: map[string]string{"Content-Encoding": "identity"}, Body: `{}`, Upstream: `{}`}),
		pass(Case{Name: "a charset that can be read", Type: "application/json; charset=UTF-8", Body: `{}`, Upstream: `{}`}),
		pass(Case{
			Name: "lines of JSON", Policy: takes("application/x-ndjson"), Type: "application/x-ndjson",
			Body: "{\"a\":\"" + email + "\"}\n{\"b\":2}\n", Upstream: "{\"a\":\"[EMAIL_ADDRESS]\"}\n{\"b\":2}\n",
			Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "plain text", Policy: takes("text/plain"), Type: "text/plain",
			Body: "to " + email + ", bye", Upstream: "to [EMAIL_ADDRESS], bye", Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "JSON in JSON", Body: `{"content":"{\"to\":\"ann\\u0040example.com\"}"}`, Upstream: `{"content":"{\"to\":\"[EMAIL_ADDRESS]\"}"}`, Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "another type of JSON", Policy: takes("application/*+json"), Type: "application/merge-patch+json",
			Body: `{"a":"` + email + `"}`, Upstream: `{"a":"[EMAIL_ADDRESS]"}`, Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "a form", Policy: takes("application/x-www-form-urlencoded"), Type: "application/x-www-form-urlencoded",
			Body: "a=1&to=ann%40example.com", Upstream: "a=1&to=%5BEMAIL_ADDRESS%5D", Findings: "EMAIL_ADDRESS=1",
		}),
		pass(Case{
			Name: "a form with parts", Policy: takes("multipart/form-data"), Type: formType,
			Body:     form("name=\"to\"\r\n\r\n"+email, "name=\"f\"; filename=\"a.json\"\r\nContent-Type: application/json\r\n\r\n{\"to\":\""+email+"\"}"),
			Upstream: form("name=\"to\"\r\n\r\n[EMAIL_ADDRESS]", "name=\"f\"; filename=\"a.json\"\r\nContent-Type: application/json\r\n\r\n{\"to\":\"[EMAIL_ADDRESS]\"}"),
			Findings: "EMAIL_ADDRESS=2",
		}),
		pass(Case{
			Name: "a form with a picture that may pass", Policy: with(func(p *content.Policy) {
				p.Request.Types, p.Request.OtherTypes = []string{"multipart/form-data"}, true
			}), Type: formType, Body: form(picture), Upstream: form(picture),
		}),
		pass(Case{
			Name: "a type that cannot be read and may pass", Policy: with(func(p *content.Policy) {
				p.Request.Types, p.Request.OtherTypes = []string{"image/png"}, true
			}), Type: "image/png", Body: "\x89PNG " + email, Upstream: "\x89PNG " + email,
		}),
		refuse(Case{
			Name: "a form with a picture in which a reader may see another part", Policy: with(func(p *content.Policy) {
				p.Request.Types, p.Request.OtherTypes = []string{"multipart/form-data"}, true
			}), Type: formType, Body: form(strings.TrimSuffix(picture, "\x89PNG") + form("name=\"to\"\r\n\r\n"+email)),
		}, &problem.MalformedRequest),
		refuse(Case{Name: "a form with a picture", Policy: takes("multipart/form-data"), Type: formType, Body: form(picture)}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "a form that is cut off", Policy: takes("multipart/form-data"), Type: formType, Body: "--b\r\n"}, &problem.MalformedRequest),
		refuse(Case{Name: "a form without a boundary", Policy: takes("multipart/form-data"), Type: "multipart/form-data", Body: form(picture)}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "a type that cannot be read", Policy: takes("image/png"), Type: "image/png", Body: "\x89PNG"}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "malformed", Body: `{"content":"x"`}, &problem.MalformedJSON),
		refuse(Case{Name: "malformed after its end", Body: `{} {}`}, &problem.MalformedJSON),
		refuse(Case{Name: "not JSON", Body: `content=x`}, &problem.MalformedJSON),
		refuse(Case{Name: "too deep", Body: deep}, &problem.TooDeep),
		refuse(Case{Name: "field too large", Body: `{"content":"` + strings.Repeat("x", 101) + `"}`}, &problem.FieldTooLarge),
		refuse(Case{Name: "object too large", Body: `{"metadata":{"a":"` + strings.Repeat("x", 20) + `"}}`}, &problem.FieldTooLarge),
		refuse(Case{Name: "too large", Body: `["` + strings.Repeat("x", 1100) + `"]`}, &problem.BodyTooLarge),
		refuse(Case{Name: "too large, unannounced", Body: `["` + strings.Repeat("x", 1100) + `"]`, Chunked: true}, &problem.BodyTooLarge),
		refuse(Case{Name: "another type", Type: "text/plain", Body: `{}`}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "no type", Type: "-", Body: `{}`}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "no type, unannounced", Type: "-", Body: `{}`, Chunked: true}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "another charset", Type: "application/json; charset=utf-16", Body: `{}`}, &problem.UnsupportedMediaType),
		refuse(Case{Name: "compressed", Header: map[string]string{"Content-Encoding": "gzip"}, Body: `{}`}, &problem.UnsupportedEncoding),
		refuse(Case{Name: "compressed twice", Header: map[string]string{"Content-Encoding": "identity, br"}, Body: `{}`}, &problem.UnsupportedEncoding),
		refuse(Case{Name: "a card number is blocked", Body: `{"content":"card ` + card + `."}`}, &problem.BlockedPII),
	}
}

const (
	formType = "multipart/form-data; boundary=b"
	picture  = "name=\"p\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG"
)

// form is a form with parts, of which each begins behind "Content-Disposition: form-data; ".
func form(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--b\r\nContent-Disposition: form-data; " + p + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

// chat is a stream in which a text comes in parts.
func chat(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(`data: {"choices":[{"index":0,"delta":{"content":"` + p + `"},"finish_reason":null}]}` + "\n\n")
	}
	return b.String()
}

func responses() []Case {
	get := func(c Case) Case {
		if c.Policy == nil {
			c.Policy = Policy()
		}
		c.Method, c.Type = "GET", "-"
		return c
	}
	lines := strings.Repeat(`{"a":"b"}`+"\n", 4000)
	open := with(func(p *content.Policy) { p.Response = content.Body{MaxBytes: content.NoLimit} })
	short := with(func(p *content.Policy) { p.Response.MaxBytes = 100 })
	bounded := with(func(p *content.Policy) { p.Response = content.Body{MaxBytes: 100} })
	return []Case{
		get(Case{Name: "clean response", Answer: Answer{Body: "{ \"a\":\t1 }\n"}, Client: "{ \"a\":\t1 }\n"}),
		get(Case{
			Name: "an address in a short response", Answer: Answer{Body: `{"a":"` + email + `"}`},
			Client: `{"a":"[EMAIL_ADDRESS]"}`, Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{
			Name: "an address in a streamed response", Answer: Answer{Body: `{"a":"` + email + `"}`, Streamed: true},
			Client: `{"a":"[EMAIL_ADDRESS]"}`, Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{
			Name: "an address in a long response", Answer: Answer{Type: "application/x-ndjson", Body: lines + `{"a":"` + email + `"}` + "\n"},
			Client: lines + `{"a":"[EMAIL_ADDRESS]"}` + "\n", Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{
			Name: "an event stream", Answer: Answer{Type: "text/event-stream", Body: "data: {\"a\":\"" + email + "\"}\n\n", Streamed: true},
			Client: "data: {\"a\":\"[EMAIL_ADDRESS]\"}\n\n", Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{
			Name: "an address over the events of a chat", Answer: Answer{Type: "text/event-stream; charset=utf-8", Body: chat("to ann", "@exam", "ple.com", " or") + "data: [DONE]\n\n", Streamed: true},
			Client: chat("to [EMAIL_ADDRESS]", "", "", " or") + "data: [DONE]\n\n", Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{
			Name: "a chat without findings", Answer: Answer{Type: "text/event-stream", Body: chat("some", " words", "@", " all"), Streamed: true},
			Client: chat("some", " words", "@", " all"),
		}),
		get(Case{
			Name: "a card number over the events of a chat", Answer: Answer{Type: "text/event-stream", Body: chat("4111 1111", " 1111 ", "1111"), Streamed: true},
			Withheld: &problem.ResponseBlocked, BreaksOff: true,
		}),
		get(Case{
			Name:   "the arguments of a call over the events of a chat, with escapes",
			Answer: Answer{Type: "text/event-stream", Body: chat(`{\"mail\":\"ann\\u00`, `40example.com\",\"n\":21909`, `9999}`), Streamed: true},
			Client: chat(`{\"mail\":\"[EMAIL_ADDRESS]`, `\",\"n\":21909`, `9999}`), Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{
			Name: "an event that is too long", Answer: Answer{Type: "text/event-stream", Body: "data: " + strings.Repeat("a ", pii.MaxEvent/2) + "\n\n", Streamed: true},
			Withheld: &problem.ResponseUninspectable, BreaksOff: true,
		}),
		get(Case{
			Name: "malformed JSON is still redacted", Answer: Answer{Body: `{"a":"` + email + `"`},
			Client: `{"a":"[EMAIL_ADDRESS]"`, Findings: "EMAIL_ADDRESS=1",
		}),
		get(Case{Name: "an error page", Answer: Answer{Status: 500, Type: "text/html", Body: "<p>" + email + "</p>"}, Client: "<p>[EMAIL_ADDRESS]</p>", Findings: "EMAIL_ADDRESS=1"}),
		get(Case{Name: "not modified", Answer: Answer{Status: 304, Type: "-"}}),
		get(Case{Name: "no content", Answer: Answer{Status: 204, Type: "-"}}),
		get(Case{Name: "a type that cannot be read", Answer: Answer{Type: "application/octet-stream", Body: "\x00\x01"}, Withheld: &problem.ResponseUninspectable}),
		get(Case{Name: "a type that cannot be read and may pass, as an answer", Policy: with(func(p *content.Policy) { p.Response.OtherTypes = true }), Answer: Answer{Type: "image/png", Body: "\x89PNG"}, Client: "\x89PNG"}),
		get(Case{Name: "no type of response", Answer: Answer{Type: "-", Body: "x"}, Withheld: &problem.ResponseUninspectable}),
		get(Case{Name: "no type of a streamed response", Answer: Answer{Type: "-", Body: "x", Streamed: true}, Withheld: &problem.ResponseUninspectable}),
		get(Case{Name: "an empty streamed response without a type", Answer: Answer{Status: 202, Type: "-", Streamed: true}}),
		get(Case{Name: "a part", Answer: Answer{Status: 206, Body: `"a":1`}, Withheld: &problem.ResponseUninspectable}),
		get(Case{Name: "a compressed response", Answer: Answer{Header: map[string]string{"Content-Encoding": "gzip"}, Body: "\x1f\x8b"}, Withheld: &problem.ResponseEncoded}),
		get(Case{Name: "a card number in a short response", Answer: Answer{Body: `["` + card + `"]`}, Withheld: &problem.ResponseBlocked}),
		get(Case{Name: "a card number in a streamed response", Answer: Answer{Body: `["` + card + `"]`, Streamed: true}, Withheld: &problem.ResponseBlocked, BreaksOff: true}),
		get(Case{Name: "a response that is too long", Policy: short, Answer: Answer{Body: `["` + strings.Repeat("x", 100) + `"]`}, Withheld: &problem.ResponseTooLarge}),
		get(Case{Name: "a streamed response that is too long", Policy: short, Answer: Answer{Body: `["` + strings.Repeat("x", 100) + `"]`, Streamed: true}, Withheld: &problem.ResponseTooLarge, BreaksOff: true}),
		get(Case{Name: "too long and not looked into", Policy: bounded, Answer: Answer{Body: strings.Repeat("x", 101), Streamed: true}, Withheld: &problem.ResponseTooLarge, BreaksOff: true}),
		get(Case{Name: "a response that nothing is asked of", Policy: open, Answer: Answer{Type: "application/octet-stream", Body: "\x00\x01"}, Client: "\x00\x01"}),
		get(Case{Name: "a compressed one that nothing is asked of", Policy: open, Answer: Answer{Header: map[string]string{"Content-Encoding": "gzip"}, Body: "\x1f\x8b"}, Client: "\x1f\x8b"}),
	}
}
