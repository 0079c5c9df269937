package inspect_test

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/wasm/inspect"
	"github.com/memgate/memgate/wasm/inspect/cases"
)

// In shadow every exchange of the table passes as it came, whatever its pieces,
// and what would have become of it is told.
func TestShadowCases(t *testing.T) {
	for _, c := range cases.All() {
		t.Run(c.Name, func(t *testing.T) {
			policy := *c.Policy
			policy.Modes = content.Modes{Content: content.Shadow, PII: content.Shadow, CORS: content.Shadow, Headers: content.Shadow, Poison: content.Shadow}
			rules, err := inspect.Compile(policy.AppendBinary(nil))
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1, 7, 1 << 30} {
				shadowed(t, rules, c, size)
			}
		})
	}
}

func shadowed(t *testing.T, rules *inspect.Rules, c cases.Case, size int) {
	t.Helper()
	var shadow inspect.Shadow
	var found inspect.Findings
	body := func(response bool, text string, plan inspect.Plan, b *inspect.Body, refusal inspect.Refusal) {
		if refusal == nil && plan == inspect.Watch {
			got := ""
			if got, refusal = run(b, plan, nil, text, size, 0); refusal == nil && got != text {
				t.Fatalf("goes on as\n%.200q, came as\n%.200q", got, text)
			}
		} else if refusal == nil && plan != inspect.Pass {
			t.Fatalf("plan %d holds a message up", plan)
		}
		if refusal != nil && !rules.Tolerates(&shadow, response, refusal) {
			t.Fatalf("refused: %s", refusal.Slug)
		}
		if b.Quarantined() {
			t.Fatal("the body is quarantined")
		}
		if b.Changed() || b.Rewrites() {
			t.Fatal("the body counts as changed")
		}
		found.Add(b)
		rules.Note(&shadow, b)
		rules.End(b)
	}
	var b inspect.Body
	header := add(inspect.Header{{":method", c.Method}}, c.Type, c.Header, c.Body, c.Chunked)
	if dropped := rules.RequestDrop(nil, append(header, [2]string{"accept-encoding", "gzip"})); len(dropped) > 0 {
		t.Fatalf("%v is taken off", dropped)
	}
	plan, refusal := rules.Request(&b, header, c.Body == "" && !c.Chunked, nil)
	b.Expect(cases.Tenant, cases.Agent)
	body(false, c.Body, plan, &b, refusal)
	if c.Refusal == nil {
		b = inspect.Body{}
		header = add(inspect.Header{{":status", "200"}}, c.Answer.Type, c.Answer.Header, c.Answer.Body, c.Answer.Streamed)
		if c.Answer.Status != 0 {
			header = add(inspect.Header{{":status", map[int]string{202: "202", 204: "204", 206: "206", 500: "500"}[c.Answer.Status]}}, c.Answer.Type, c.Answer.Header, c.Answer.Body, c.Answer.Streamed)
		}
		plan, refusal = rules.Response(&b, header, c.Method, c.Answer.Body == "" && !c.Answer.Streamed, nil)
		body(true, c.Answer.Body, plan, &b, refusal)
	}

	list := string(shadow.Append(nil))
	want := ""
	switch {
	case c.Refusal == &problem.SuspectedPoisoning:
		want = "poison:suspected-poisoning"
	case c.Quarantine != "":
		want = "poison:quarantined"
	case c.Refusal == &problem.BlockedPII:
		want = "pii:blocked-pii"
	case c.Refusal != nil:
		want = "content:" + c.Refusal.Slug
	case c.Withheld != nil:
		want = "pii:" + c.Withheld.Slug
	}
	if c.Findings != "" && c.Refusal == nil && c.Withheld == nil {
		if want != "" {
			want += ","
		}
		want += "pii:not_rewritten"
	}
	if list != want {
		t.Fatalf("would have been %q, want %q", list, want)
	}
	if c.Refusal == nil && c.Withheld == nil && string(found.Append(nil)) != c.Findings {
		t.Fatalf("findings %q, want %q", found.Append(nil), c.Findings)
	}
}

// With everything enforced but whom a body may name, what names another goes on as it came,
// and is told of; what is wrong with it otherwise is refused as ever.
func TestShadowNamedOnly(t *testing.T) {
	seen := 0
	for _, c := range cases.All() {
		want := ""
		switch c.Refusal {
		case &problem.TenantMismatch:
			want = "tenant:tenant-mismatch"
		case &problem.AgentMismatch:
			want = "access:agent-mismatch"
		default:
			continue
		}
		seen++
		for mode, want := range map[content.Mode]string{content.Shadow: want, content.Enforce: ""} {
			policy := *c.Policy
			policy.Modes.Tenant, policy.Modes.Agent = mode, mode
			rules, err := inspect.Compile(policy.AppendBinary(nil))
			if err != nil {
				t.Fatal(err)
			}
			var b inspect.Body
			plan, refusal := rules.Request(&b, add(inspect.Header{{":method", "POST"}}, c.Type, c.Header, c.Body, c.Chunked), false, nil)
			b.Expect(cases.Tenant, cases.Agent)
			got, refusal := run(&b, plan, refusal, c.Body, 7, 0)
			var shadow inspect.Shadow
			rules.Note(&shadow, &b)
			rules.End(&b)
			if list := string(shadow.Append(nil)); list != want {
				t.Errorf("%s: would have been %q, want %q", c.Name, list, want)
			}
			if mode == content.Shadow && (refusal != nil || got != c.Body) {
				t.Errorf("%s: %.100q, %s", c.Name, got, slug(refusal))
			}
			if mode == content.Enforce && refusal != c.Refusal {
				t.Errorf("%s: %s", c.Name, slug(refusal))
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d cases", seen)
	}
}

// With the checks enforced and the entities in shadow, what is no JSON is
// refused, and what has an entity passes as it came.
func TestShadowEntitiesOnly(t *testing.T) {
	policy := cases.Policy()
	policy.Modes.PII = content.Shadow
	rules, err := inspect.Compile(policy.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	send := func(body string) (string, string, inspect.Refusal) {
		var b inspect.Body
		plan, refusal := rules.Request(&b, add(inspect.Header{{":method", "POST"}}, "", nil, body, false), false, nil)
		if plan != inspect.Hold {
			t.Fatalf("plan %d: %v", plan, refusal)
		}
		got, refusal := run(&b, plan, refusal, body, 3, 0)
		var shadow inspect.Shadow
		if refusal != nil && rules.Tolerates(&shadow, false, refusal) {
			t.Fatalf("%s is tolerated", refusal.Slug)
		}
		rules.Note(&shadow, &b)
		rules.End(&b)
		return got, string(shadow.Append(nil)), refusal
	}
	clear := `{"content":"ann@example.com"}`
	if got, shadow, refusal := send(clear); got != clear || shadow != "pii:not_rewritten" || refusal != nil {
		t.Errorf("%q, %q, %v", got, shadow, slug(refusal))
	}
	if _, _, refusal := send(`{"content":`); refusal != &problem.MalformedJSON {
		t.Errorf("%v", slug(refusal))
	}
	// A rewriter that was used in shadow is used again.
	if got, shadow, _ := send(`{"content":"none"}`); got != `{"content":"none"}` || shadow != "" {
		t.Errorf("%q, %q", got, shadow)
	}
}

func TestOff(t *testing.T) {
	policy := cases.Policy()
	policy.Modes = content.Modes{Content: content.Off, PII: content.Off, CORS: content.Off, Headers: content.Off}
	policy.Request.PII, policy.Response.PII = pii.Policy{}, pii.Policy{}
	policy.Request.Fields = nil
	rules, err := inspect.Compile(policy.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	var b inspect.Body
	header := inspect.Header{{":method", "POST"}, {"content-encoding", "gzip"}, {"content-length", "99999999"}}
	if plan, refusal := rules.Request(&b, header, false, nil); plan != inspect.Pass || refusal != nil {
		t.Errorf("plan %d, %v", plan, slug(refusal))
	}
	var shadow inspect.Shadow
	if !rules.Tolerates(&shadow, false, &problem.BodyTooLarge) || shadow.Len() > 0 {
		t.Errorf("off takes note: %s", shadow.Append(nil))
	}
	upstream := inspect.Header{{":status", "200"}, {"server", "leaky/1.0"}, {"access-control-allow-origin", "*"}}
	for _, mode := range []content.Mode{content.Shadow, content.Off} {
		policy.Modes.CORS, policy.Modes.Headers = mode, mode
		if rules, err = inspect.Compile(policy.AppendBinary(nil)); err != nil {
			t.Fatal(err)
		}
		if got := rules.ResponseHeader(nil, upstream, cases.Origin, false); len(got) != len(upstream) {
			t.Errorf("mode %d: %v", mode, got)
		}
		shadow = inspect.Shadow{}
		rules.NoteHeaders(&shadow, upstream)
		if got, want := string(shadow.Append(nil)), map[content.Mode]string{content.Shadow: "headers:not_set"}[mode]; got != want {
			t.Errorf("mode %d: %q", mode, got)
		}
		shadow = inspect.Shadow{}
		complete := inspect.Header{}
		for _, h := range policy.Headers.Set {
			complete = append(complete, [2]string{h.Name, h.Value})
		}
		if rules.NoteHeaders(&shadow, complete); shadow.Len() > 0 {
			t.Errorf("complete headers: %s", shadow.Append(nil))
		}
		header, _ := rules.Answer(&problem.TooDeep, cases.Origin, "id")
		if s := strings.Join([]string{inspect.Header(header).Get("vary"), inspect.Header(header).Get("x-frame-options")}, ""); s != "" {
			t.Errorf("an answer has %q", s)
		}
	}
}
