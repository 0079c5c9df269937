package policy

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
)

func TestContent(t *testing.T) {
	p, _, err := Parse([]byte(`version: 1
upstream: { address: "a:1" }
identity: { api_keys: { file: file:k } }
cors: { allow_origins: ["https://a.example"] }
headers: { override: { x-own: "1" } }
pii:
  request: { EMAIL_ADDRESS: mask, CREDIT_CARD: block }
  response: { default: mask, JWT: block }
routes:
  - { match: { path: /plain } }
  - match: { path: /own }
    content:
      max_body: 1MiB
      max_depth: 4
      types: [text/*]
      deltas: [token.text]
      other_types: pass
      fields: { b: 2, "a[].c": 3 }
      request: { default: allow, EMAIL_ADDRESS: redact }
      response: { PHONE_NUMBER: block }
`), "f", "")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := p.Content(&p.Routes[0])
	if err != nil {
		t.Fatal(err)
	}
	own, err := p.Content(&p.Routes[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*content.Body{&own.Request, &own.Response} {
		if !b.OtherTypes || !slices.Equal(b.Deltas, []string{"token.text"}) {
			t.Errorf("deltas %v, other types %v", b.Deltas, b.OtherTypes)
		}
	}
	if plain.Request.OtherTypes || plain.Response.OtherTypes {
		t.Error("other types pass by default")
	}
	for _, test := range []struct {
		name   string
		body   content.Body
		entity pii.Entity
		want   pii.Action
	}{
		{"general rule", plain.Request, pii.EmailAddress, pii.Mask},
		{"general default when none is given", plain.Request, pii.PhoneNumber, pii.Redact},
		{"general default of secrets", plain.Request, pii.PrivateKey, pii.Redact},
		{"general default", plain.Response, pii.PhoneNumber, pii.Mask},
		{"general rule of the response", plain.Response, pii.JWT, pii.Block},
		{"route's rule before the general rule", own.Request, pii.EmailAddress, pii.Redact},
		{"general rule before the route's default", own.Request, pii.CreditCard, pii.Block},
		{"route's default before the general default", own.Request, pii.PhoneNumber, pii.Allow},
		{"route's rule before the general default", own.Response, pii.PhoneNumber, pii.Block},
		{"general default in a route", own.Response, pii.EmailAddress, pii.Mask},
	} {
		if got := test.body.PII.Actions[test.entity]; got != test.want {
			t.Errorf("%s: %s is %s, want %s", test.name, test.entity, got, test.want)
		}
	}
	if plain.Request.MaxBytes != 64<<10 || plain.Request.MaxDepth != 32 || !slices.Equal(plain.Request.Types, []string{"application/json"}) || len(plain.Request.Fields) != 0 {
		t.Errorf("defaults: %+v", plain.Request)
	}
	if own.Request.MaxBytes != 1<<20 || own.Request.MaxDepth != 4 || !slices.Equal(own.Request.Types, []string{"text/*"}) ||
		!slices.Equal(own.Request.Fields, []pii.FieldLimit{{Path: "a[].c", Max: 3}, {Path: "b", Max: 2}}) {
		t.Errorf("the route's own: %+v", own.Request)
	}
	if own.Response.MaxBytes != content.NoLimit || len(own.Response.Types) != 0 {
		t.Errorf("response: %+v", own.Response)
	}
	if !slices.Equal(own.CORS.AllowOrigins, []string{"https://a.example"}) || own.CORS.MaxAge.Seconds() != 600 {
		t.Errorf("CORS: %+v", own.CORS)
	}
	set := false
	for _, h := range own.Headers.Set {
		set = set || h.Name == "x-own" && h.Value == "1"
	}
	if !set {
		t.Errorf("headers: %+v", own.Headers)
	}

	wire := own.AppendBinary(nil)
	again, err := p.Content(&p.Routes[1])
	if err != nil || !bytes.Equal(wire, again.AppendBinary(nil)) {
		t.Error("the derived policy differs from one time to the next")
	}
	if _, err := content.Parse(wire); err != nil {
		t.Errorf("the filter refuses it: %v", err)
	}
}

func TestGroupRules(t *testing.T) {
	p := &Policy{Headers: Headers{Preset: "api"}, PII: PII{Request: Actions{"SECRET": "block", "JWT": "redact", "US": "mask", "default": "allow"}}}
	body, err := p.Content(&Route{Content: Content{Request: Actions{"US": "redact", "US_SSN": "block"}}})
	if err != nil {
		t.Fatal(err)
	}
	for e, want := range map[pii.Entity]pii.Action{
		pii.AWSAccessKey: pii.Block, pii.JWT: pii.Redact, pii.USITIN: pii.Redact, pii.USSSN: pii.Block, pii.EmailAddress: pii.Allow, pii.UKNHS: pii.Allow,
	} {
		if got := body.Request.PII.Actions[e]; got != want {
			t.Errorf("%s is %s, want %s", e, got, want)
		}
	}
}

// What a policy adds to the entities is the same for each route and both directions.
func TestCustomEntities(t *testing.T) {
	p := &Policy{Headers: Headers{Preset: "api"}, PII: PII{
		Request: Actions{"CUSTOM": "block"},
		Custom:  []CustomEntity{{Name: "STAFF", Words: []string{"Blue Heron"}, Prefixes: []string{"staff_"}, Patterns: []string{`EMP-\d{4}`}}},
		Allow:   []string{"support@example.com"},
	}}
	body, err := p.Content(&Route{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := content.Parse(body.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := pii.CustomConfig{
		Rules: []pii.CustomRule{{Name: "STAFF", Words: []string{"Blue Heron"}, Prefixes: []string{"staff_"}, Patterns: []string{`EMP-\d{4}`}}},
		Allow: []string{"support@example.com"},
	}
	if !reflect.DeepEqual(got.Custom.Config(), want) || got.Request.PII.Actions[pii.Custom] != pii.Block || got.Response.PII.Actions[pii.Custom] != pii.Redact {
		t.Errorf("%+v", got.Custom.Config())
	}
	p.PII.Custom[0].Patterns = []string{"a*"}
	if _, err := p.Content(&Route{}); err == nil {
		t.Error("a pattern without a bound is taken")
	}
}

func TestContentRefuses(t *testing.T) {
	p := &Policy{Headers: Headers{Preset: "api"}}
	for name, r := range map[string]*Route{
		"unknown action":   {Content: Content{Request: Actions{"default": "pass"}}},
		"response action":  {Content: Content{Response: Actions{"JWT": ""}}},
		"unknown type":     {Content: Content{Types: []string{"JSON"}}},
		"depth":            {Content: Content{MaxDepth: -1}},
		"negative maximum": {Content: Content{MaxBody: -2}},
	} {
		if _, err := p.Content(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := (&Policy{Headers: Headers{Preset: "none"}}).Content(&Route{}); err == nil {
		t.Error("unknown preset: no error")
	}
	// Rules that nobody wrote are not rules that let everything through.
	body, err := p.Content(&Route{})
	if err != nil || body.Request.PII.Actions[pii.JWT] != pii.Redact {
		t.Errorf("without rules: %v %v", body.Request.PII, err)
	}
}

func TestEveryEntityIsClassified(t *testing.T) {
	for _, name := range []string{"EMAIL_ADDRESS", "IP_ADDRESS", "BR_CPF", "URL", "US", "default"} {
		if isSecretEntity(name) {
			t.Errorf("%s is no secret", name)
		}
	}
	for _, name := range []string{"AWS_ACCESS_KEY", "JWT", "PRIVATE_KEY", "GENERIC_SECRET", "SECRET"} {
		if !isSecretEntity(name) {
			t.Errorf("%s is a secret", name)
		}
	}
	if want := []string{"allow", "redact", "mask", "hash", "pseudonymize", "block"}; !slices.Equal(actionNames(), want) {
		t.Errorf("actions %q, want %q", actionNames(), want)
	}
}

// Where a request names a tenant or an agent is said by its route, else by the policy, and
// never where there is no caller, or nobody wants to know.
func TestNamed(t *testing.T) {
	const text = `version: 1
upstream: { address: "a:1" }
identity: { api_keys: { file: file:k } }
compare: { tenant: { headers: [X-Org], body: [org] }, agent: { query: [agent], body: [agent] } }
routes:
  - { match: { path: /general } }
  - { match: { path: /own }, compare: { tenant: { query: [t], body: ["[].t", u] } } }
  - { match: { path: /none }, compare: { tenant: {}, agent: {} } }
  - { match: { path: /open }, anonymous: true }
`
	for mode, agents := range map[string][]string{"enforce": {"agent"}, "shadow": {"agent"}, "off": nil} {
		p, _, err := Parse([]byte(text+"access: { mode: "+mode+" }\n"), "f", "")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []struct {
			tenants, agents, headers, query []string
		}{
			{[]string{"org"}, agents, []string{"X-Org"}, nil},
			{[]string{"[].t", "u"}, agents, nil, []string{"t"}},
			{nil, nil, nil, nil},
			{nil, nil, nil, nil},
		} {
			r := &p.Routes[i]
			body, err := p.Content(r)
			if err != nil {
				t.Fatal(err)
			}
			tenant, _ := p.Named(r)
			if !slices.Equal(body.Request.Tenants, want.tenants) || !slices.Equal(body.Request.Agents, want.agents) ||
				!slices.Equal(tenant.Headers, want.headers) || !slices.Equal(tenant.Query, want.query) {
				t.Errorf("%s with mode %s: %+v, %+v", r.Name, mode, body.Request, tenant)
			}
			if got := body.Modes.Agent; got != contentMode(mode) || body.Modes.Tenant != contentMode(ModeEnforce) {
				t.Errorf("%s with mode %s: the modes are %+v", r.Name, mode, body.Modes)
			}
			if body.Response.Compares() {
				t.Errorf("%s: a response is compared", r.Name)
			}
		}
	}
}
