package inspect_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/wasm/inspect"
	"github.com/memgate/memgate/wasm/inspect/cases"
)

// TestCases runs the table in one piece, byte by byte, and in every split of
// short bodies into two pieces.
func TestCases(t *testing.T) {
	for _, c := range cases.All() {
		t.Run(c.Name, func(t *testing.T) {
			wire := c.Policy.AppendBinary(nil)
			rules, err := inspect.Compile(wire)
			if err != nil {
				t.Fatal(err)
			}
			longest := max(len(c.Body), len(c.Answer.Body))
			check(t, rules, c, 1<<30, 0)
			check(t, rules, c, 1, 0)
			for first := 1; first < longest && longest < 1<<10; first++ {
				check(t, rules, c, 1<<30, first)
			}
		})
	}
}

// check runs a case in pieces of the given size, the first of another one.
func check(t *testing.T, rules *inspect.Rules, c cases.Case, size, first int) {
	t.Helper()
	header := inspect.Header{{":method", c.Method}}
	header = add(header, c.Type, c.Header, c.Body, c.Chunked)
	var b inspect.Body
	var found inspect.Findings
	plan, refusal := rules.Request(&b, header, c.Body == "" && !c.Chunked, nil)
	b.Expect(cases.Tenant, cases.Agent)
	got, refusal := run(&b, plan, refusal, c.Body, size, first)
	if refusal != c.Refusal {
		t.Fatalf("request: refusal %v, want %v", slug(refusal), slug(c.Refusal))
	}
	if got := string(b.AppendScore(nil)); got != c.Score {
		t.Fatalf("score %q, want %q", got, c.Score)
	}
	if refusal != nil {
		rules.End(&b)
		return
	}
	marked := ""
	if b.Quarantined() {
		marked = b.Quarantine()
	}
	if marked != c.Quarantine {
		t.Fatalf("quarantine %q, want %q", marked, c.Quarantine)
	}
	if got != c.Upstream {
		t.Fatalf("upstream gets\n%.300q, want\n%.300q", got, c.Upstream)
	}
	if !b.Changed() && got != c.Body {
		t.Fatal("the body changed, but Changed is false")
	}
	found.Add(&b)
	rules.End(&b)

	status := c.Answer.Status
	if status == 0 {
		status = 200
	}
	header = add(inspect.Header{{":status", strconv.Itoa(status)}}, c.Answer.Type, c.Answer.Header, c.Answer.Body, c.Answer.Streamed)
	plan, refusal = rules.Response(&b, header, c.Method, c.Answer.Body == "" && !c.Answer.Streamed, nil)
	if (plan == inspect.Stream) != (refusal == nil && (c.Answer.Streamed && c.Answer.Type != "-" || len(c.Answer.Body) > inspect.HoldLimit)) && c.Answer.Body != "" {
		t.Fatalf("plan %d of a response of %d bytes, streamed %v", plan, len(c.Answer.Body), c.Answer.Streamed)
	}
	got, refusal = run(&b, plan, refusal, c.Answer.Body, size, first)
	if refusal != c.Withheld {
		t.Fatalf("response: refusal %v, want %v", slug(refusal), slug(c.Withheld))
	}
	if refusal == nil && got != c.Client {
		t.Fatalf("client gets\n%.300q, want\n%.300q", got, c.Client)
	}
	found.Add(&b)
	rules.End(&b)
	if f := string(found.Append(nil)); refusal == nil && f != c.Findings {
		t.Fatalf("findings %q, want %q", f, c.Findings)
	}
}

func add(h inspect.Header, contentType string, more map[string]string, body string, chunked bool) inspect.Header {
	if contentType == "" {
		contentType = "application/json"
	}
	if contentType != "-" {
		h = append(h, [2]string{"content-type", contentType})
	}
	for name, value := range more {
		h = append(h, [2]string{strings.ToLower(name), value})
	}
	if !chunked {
		h = append(h, [2]string{"content-length", strconv.Itoa(len(body))})
	}
	return h
}

// run does with a body what the filter does.
func run(b *inspect.Body, plan inspect.Plan, refusal inspect.Refusal, body string, size, first int) (string, inspect.Refusal) {
	if refusal != nil || plan == inspect.Pass {
		return body, refusal
	}
	var out []byte
	for at, n := 0, first; at < len(body); at, n = at+n, size {
		if n == 0 {
			n = size
		}
		n = min(n, len(body)-at)
		if out, refusal = b.Next(out, []byte(body[at:at+n]), false); refusal != nil {
			return "", refusal
		}
	}
	out, refusal = b.Next(out, nil, true)
	return string(out), refusal
}

func slug(p inspect.Refusal) string {
	if p == nil {
		return "none"
	}
	return p.Slug
}

func TestResponseHeader(t *testing.T) {
	rules, err := inspect.Compile(cases.Policy().AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	upstream := inspect.Header{
		{":status", "200"}, {"content-type", "application/json"}, {"content-length", "5"}, {"etag", `"1"`},
		{"server", "leaky/1.0"}, {"x-powered-by", "leaky"}, {"x-frame-options", "SAMEORIGIN"},
		{"access-control-allow-origin", "*"}, {"set-cookie", "a=1"}, {"set-cookie", "b=2"}, {"vary", "Accept"},
	}
	list := inspect.Header(rules.ResponseHeader(nil, upstream, cases.Origin, false))
	for name, want := range map[string]string{
		":status": "200", "content-length": "5", "etag": `"1"`, "server": "", "x-powered-by": "",
		"x-frame-options": "DENY", "access-control-allow-origin": cases.Origin, "set-cookie": "a=1, b=2",
		"vary": "Accept, Origin", "x-content-type-options": "nosniff",
	} {
		if got := list.Get(name); !strings.EqualFold(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	list = rules.ResponseHeader(nil, upstream, "https://evil.example", true)
	for _, name := range []string{"content-length", "etag", "access-control-allow-origin"} {
		if list.Has(name) {
			t.Errorf("%s is there", name)
		}
	}
}

func TestRequestDrop(t *testing.T) {
	h := inspect.Header{{":method", "GET"}, {"accept-encoding", "gzip"}, {"range", "bytes=0-1"}, {"if-none-match", "x"}, {"accept", "*/*"}, {"if-match", "x"}}
	rules, err := inspect.Compile(cases.Policy().AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{
		"GET": "accept-encoding range if-none-match", "HEAD": "accept-encoding range if-none-match",
		"PUT": "accept-encoding range", "DELETE": "accept-encoding range", // a precondition of a change
	} {
		h[0][1] = method
		if got := strings.Join(rules.RequestDrop(nil, h), " "); got != want {
			t.Errorf("%s: dropped %q", method, got)
		}
	}
	p := cases.Policy()
	p.Response = content.Body{MaxBytes: content.NoLimit}
	if rules, err = inspect.Compile(p.AppendBinary(nil)); err != nil {
		t.Fatal(err)
	}
	if got := rules.RequestDrop(nil, h); len(got) != 0 {
		t.Errorf("dropped %q though the response is not read", got)
	}
}

func TestAnswer(t *testing.T) {
	rules, err := inspect.Unknown()
	if err != nil {
		t.Fatal(err)
	}
	list, body := rules.Answer(&problem.NotAuthorized, cases.Origin, "id-1")
	h := inspect.Header(list)
	if h.Get("content-type") != problem.ContentType || h.Get("x-request-id") != "id-1" || h.Get("x-content-type-options") != "nosniff" || h.Has("access-control-allow-origin") {
		t.Errorf("headers %v", list)
	}
	if want := string(problem.NotAuthorized.AppendJSON(nil, "id-1")); string(body) != want {
		t.Errorf("body %s, want %s", body, want)
	}
	// Without a policy no body passes.
	var b inspect.Body
	if _, refusal := rules.Request(&b, inspect.Header{{"content-type", "application/json"}, {"content-length", "1"}}, false, nil); refusal == nil {
		t.Error("a body passes without a policy")
	}
}

func TestHashNeedsKey(t *testing.T) {
	p := cases.Policy()
	p.Request.PII.Actions[0], p.Response.PII.Actions[0] = 3, 3
	if p.Request.PII.Actions[0].String() != "hash" {
		t.Fatal("3 is not the action hash")
	}
	rules, err := inspect.Compile(p.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	h := inspect.Header{{":status", "200"}, {"content-type", "application/json"}}
	for _, key := range [][]byte{nil, []byte(strings.Repeat("k", 32))} {
		var b inspect.Body
		secrets := &inspect.Secrets{HashKey: key}
		_, request := rules.Request(&b, h, false, secrets)
		_, response := rules.Response(&b, h, "GET", false, secrets)
		if (request == nil) != (key != nil) || (response == nil) != (key != nil) {
			t.Errorf("key %q: %v, %v", key, slug(request), slug(response))
		}
	}
}

func TestCache(t *testing.T) {
	cache := inspect.NewCache(2)
	var digests []string
	for i := range 3 {
		p := cases.Policy()
		p.Request.MaxBytes = int64(i)
		wire := p.AppendBinary(nil)
		digest := content.Digest(wire)
		digests = append(digests, digest)
		if _, err := cache.Add(digest, wire[:len(wire)-1]); err == nil {
			t.Error("a policy with another digest was taken")
		}
		if _, err := cache.Add(digest, wire); err != nil {
			t.Fatal(err)
		}
		if _, err := cache.Add(digest, wire); err != nil {
			t.Fatal(err)
		}
	}
	if cache.Len() != 2 || cache.Get(digests[0]) != nil || cache.Get(digests[1]) == nil || cache.Get(digests[2]) == nil {
		t.Errorf("the cache holds %d policies, or not the newest", cache.Len())
	}
	broken := []byte("not a policy")
	if _, err := cache.Add(content.Digest(broken), broken); err == nil {
		t.Error("what is no policy was taken")
	}
}

func TestValidDigest(t *testing.T) {
	good := strings.Repeat("0a", 32)
	for digest, want := range map[string]bool{
		good: true, "": false, good[1:]: false, good + "a": false, strings.ToUpper(good): false, "../" + good[3:]: false,
	} {
		if inspect.ValidDigest(digest) != want {
			t.Errorf("ValidDigest(%q) is %v", digest, !want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	for text, want := range map[string]string{
		`{"cluster":"memgate-http"}`: "memgate-http",
		" {\n\"cluster\" : \"outbound|9002||memgate.ns.svc.cluster.local\" }\n": "outbound|9002||memgate.ns.svc.cluster.local",
		``: "", `{}`: "", `null`: "", `{"cluster":""}`: "", `{"cluster":1}`: "", `{"cluster":"a"`: "", `{"cluster":"a"}x`: "",
		`{"cluster":"a","cluster":"b"}`: "", `{"Cluster":"a"}`: "", `{"cluster":"a\u0062"}`: "", `"a"`: "",
	} {
		got, err := inspect.ParseConfig([]byte(text))
		if got.Cluster != want || got.PassHeaders || (err == nil) != (want != "") {
			t.Errorf("ParseConfig(%q) = %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]bool{
		`{"cluster":"a","headers":"pass"}`: true, "{ \"cluster\": \"a\",  \"headers\": \"pass\" }": true,
		`{"cluster":"a","headers":"hold"}`: false, `{"cluster":"a","headers":true}`: false, `{"headers":"pass","cluster":"a"}`: false,
		`{"cluster":"a","headers":"pass",}`: false, `{"cluster":"a",}`: false, `{"cluster":"a","more":"pass"}`: false,
	} {
		got, err := inspect.ParseConfig([]byte(text))
		if got.PassHeaders != want || (err == nil) != want {
			t.Errorf("ParseConfig(%q) = %v, %v", text, got, err)
		}
	}
}

// Without a tenant to compare with nothing goes on, and without an agent each may be named.
func TestExpect(t *testing.T) {
	p := cases.Policy()
	p.Request.Tenants, p.Request.Agents = []string{"tenant_id"}, []string{"agent_id"}
	rules, err := inspect.Compile(p.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body string
		tell func(*inspect.Body)
		want inspect.Refusal
	}{
		"nothing was said": {`{}`, func(*inspect.Body) {}, &problem.Unavailable},
		"no tenant":        {`{}`, func(b *inspect.Body) { b.Expect("", "helper") }, &problem.Unavailable},
		"no agent":         {`{"agent_id":"any"}`, func(b *inspect.Body) { b.Expect("acme", "") }, nil},
		"both":             {`{"agent_id":"any"}`, func(b *inspect.Body) { b.Expect("acme", "helper") }, &problem.AgentMismatch},
	} {
		var b inspect.Body
		plan, refusal := rules.Request(&b, add(inspect.Header{{":method", "POST"}}, "", nil, tt.body, false), false, nil)
		tt.tell(&b)
		if _, refusal = run(&b, plan, refusal, tt.body, 1<<30, 0); refusal != tt.want {
			t.Errorf("%s: %v", name, slug(refusal))
		}
		rules.End(&b)
	}
}

func TestUpgrades(t *testing.T) {
	get := inspect.Header{{":method", "GET"}, {"connection", "keep-alive"}}
	switched := append(inspect.Header{{"connection", "keep-alive, Upgrade"}, {"upgrade", "websocket"}}, get[:1]...)
	open := cases.Policy()
	open.Request, open.Response = content.Body{MaxBytes: content.NoLimit}, content.Body{MaxBytes: content.NoLimit}
	for _, c := range []struct {
		name   string
		policy *content.Policy
		header inspect.Header
		want   inspect.Refusal
	}{
		{"none", cases.Policy(), get, nil},
		{"WebSocket", cases.Policy(), switched, &problem.UpgradeRefused},
		{"WebSocket where nothing is looked into", open, switched, nil},
		{"upgrade without connection", cases.Policy(), append(inspect.Header{{"upgrade", "websocket"}}, get...), nil},
		{"extended CONNECT", cases.Policy(), inspect.Header{{":method", "CONNECT"}, {":protocol", "websocket"}}, &problem.UpgradeRefused},
	} {
		rules, err := inspect.Compile(c.policy.AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, none := range []bool{true, false} {
			var b inspect.Body
			if _, got := rules.Request(&b, c.header, none, nil); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, slug(got), slug(c.want))
			}
		}
		var b inspect.Body
		_, got := rules.Response(&b, inspect.Header{{":status", "101"}, {"upgrade", "websocket"}}, "GET", false, nil)
		if (got == nil) != (c.policy == open) {
			t.Errorf("%s: a switch of protocols: %s", c.name, slug(got))
		}
	}
}

func TestTrailer(t *testing.T) {
	rules, err := inspect.Compile(cases.Policy().AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	var b inspect.Body
	if _, refusal := rules.Response(&b, inspect.Header{{":status", "200"}, {"content-type", "text/plain"}}, "GET", false, nil); refusal != nil {
		t.Fatal(slug(refusal))
	}
	for _, c := range [][3]string{
		{"grpc-status", "0", "0"}, {"x-t", "to ann@example.com", "to [EMAIL_ADDRESS]"}, {"x-t", "", ""},
		{"content-digest", "sha-256=:AA==:", "-"}, {"x-t", "4111 1111 1111 1111", "-"},
	} {
		got, ok := rules.Trailer(&b, c[0], c[1])
		if !ok {
			got = "-"
		}
		if got != c[2] {
			t.Errorf("%s: %s became %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestPseudonymsNeedKeys(t *testing.T) {
	p := cases.Policy()
	p.Request.PII.Actions[pii.EmailAddress] = pii.Pseudonymize
	rules, err := inspect.Compile(p.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	key, err := pii.TenantKey(make([]byte, pii.MinPseudonymKey), "acme")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pii.NewPseudonyms(key)
	if err != nil {
		t.Fatal(err)
	}
	h := inspect.Header{{":method", "POST"}, {":status", "200"}, {"content-type", "application/json"}}
	var b inspect.Body
	if _, refusal := rules.Request(&b, h, false, nil); refusal != &problem.Unavailable {
		t.Errorf("without keys: %v", slug(refusal))
	}
	secrets := &inspect.Secrets{Pseudonyms: keys, Reveal: true}
	plan, refusal := rules.Request(&b, h, false, secrets)
	sent, refusal := run(&b, plan, refusal, `["ann@example.com"]`, 3, 0)
	if refusal != nil || strings.Contains(sent, "ann") || b.Opened() != 0 {
		t.Fatalf("%s, %v", sent, slug(refusal))
	}
	rules.End(&b)
	for _, c := range []struct {
		secrets *inspect.Secrets
		want    string
		opened  uint32
	}{{secrets, `["ann@example.com"]`, 1}, {nil, sent, 0}, {&inspect.Secrets{Pseudonyms: keys}, sent, 0}} {
		plan, refusal = rules.Response(&b, h, "GET", false, c.secrets)
		if got, refusal := run(&b, plan, refusal, sent, 4, 0); refusal != nil || got != c.want || b.Opened() != c.opened || b.Changed() != (c.opened > 0) {
			t.Errorf("%s, %v, %d opened, want %s", got, slug(refusal), b.Opened(), c.want)
		}
		rules.End(&b)
	}
}
