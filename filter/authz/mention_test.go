package authz

import (
	"context"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mention"
	"github.com/memgate/memgate/filter/verdict"
)

const comparePolicy = testPolicy + `
  - name: both
    match: { methods: [POST], path: "/both/{tenant}/{tenant_id}" }
    require: { scopes: ["memory:read"] }
  - name: own
    match: { methods: [POST], path: "/own" }
    require: { scopes: ["memory:read"] }
    compare: { tenant: { headers: [X-Org] }, agent: {} }
compare:
  tenant: { headers: [X-Tenant-ID], query: [tenant_id], body: [tenant_id] }
  agent: { headers: [X-Agent], query: [agent_id], body: [agent_id] }
`

func TestMentioned(t *testing.T) {
	f := newFixture(t, comparePolicy)
	good := "Authorization: Bearer " + f.token(t, "memory:read memory:write")
	post := func(path string, lines ...string) *Request { return request("POST", path, append(lines, good)...) }
	const tenant, agent = identity.ReasonTenantMismatch, identity.ReasonAgentMismatch
	for name, c := range map[string]struct {
		r      *Request
		status int // 0 when allowed
		stage  Stage
		reason identity.Reason
		agent  string // for the body, when allowed
	}{
		"nothing is named":              {post("/agents/a/remember"), 0, StageAllow, ReasonAllowed, "a"},
		"own tenant everywhere":         {post("/agents/a/remember?tenant_id=acme&agent_id=a", "X-Tenant-ID: acme", "X-Agent: a"), 0, StageAllow, ReasonAllowed, "a"},
		"another tenant in a header":    {post("/agents/a/remember", "X-Tenant-ID: evil"), 403, StageTenant, tenant, ""},
		"and the own before it":         {post("/agents/a/remember", "X-Tenant-ID: acme", "X-Tenant-ID: evil"), 403, StageTenant, tenant, ""},
		"and the own behind it":         {post("/agents/a/remember", "x_tenant_id: evil", "X-Tenant-ID: acme"), 403, StageTenant, tenant, ""},
		"joined by a comma":             {post("/agents/a/remember", "X-Tenant-ID: acme,evil"), 403, StageTenant, tenant, ""},
		"an empty header":               {post("/agents/a/remember", "X-Tenant-ID: "), 403, StageTenant, tenant, ""},
		"by case":                       {post("/agents/a/remember", "X-Tenant-ID: ACME"), 403, StageTenant, tenant, ""},
		"another tenant in the query":   {post("/agents/a/remember?tenant_id=evil"), 403, StageTenant, tenant, ""},
		"escaped":                       {post("/agents/a/remember?%74enant_id=%65vil"), 403, StageTenant, tenant, ""},
		"the own tenant, escaped":       {post("/agents/a/remember?tenant%5fid=%61cme"), 0, StageAllow, ReasonAllowed, "a"},
		"the own and another":           {post("/agents/a/remember?tenant_id=acme&tenant_id=evil"), 403, StageTenant, tenant, ""},
		"a query that breaks off":       {post("/agents/a/remember?x=%4"), 400, StageTenant, ReasonQuery, ""},
		"a query that parts otherwise":  {post("/agents/a/remember?x=1;tenant_id=evil"), 400, StageTenant, ReasonQuery, ""},
		"another agent in a header":     {post("/agents/a/remember", "X-Agent: b"), 403, StageAccess, agent, ""},
		"another agent in the query":    {post("/agents/a/remember?agent_id=b"), 403, StageAccess, agent, ""},
		"an agent where the path is":    {post("/both/acme/acme?agent_id=b"), 0, StageAllow, ReasonAllowed, "b"},
		"no agent where the path is":    {post("/both/acme/acme?agent_id="), 0, StageAllow, ReasonAllowed, ""},
		"two agents":                    {post("/both/acme/acme?agent_id=b", "X-Agent: c"), 403, StageAccess, agent, ""},
		"both places of the path":       {post("/both/acme/evil"), 403, StageTenant, tenant, ""},
		"the route's own header":        {post("/own", "X-Org: evil"), 403, StageTenant, tenant, ""},
		"the general one is not meant":  {post("/own?tenant_id=evil&%", "X-Tenant-ID: evil", "X-Agent: b"), 0, StageAllow, ReasonAllowed, ""},
		"nobody to compare with":        {request("GET", "/healthz?tenant_id=evil&%", "X-Tenant-ID: evil"), 0, StageAllow, ReasonAllowed, ""},
		"no credential and a bad query": {request("POST", "/agents/a/remember?%"), 401, StageCredential, identity.ReasonNoCredentials, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.now = f.now.Add(time.Minute) // a fresh quota for each case
			d := f.chain.Decide(context.Background(), c.r)
			if d.Allowed != (c.status == 0) || d.Status != c.status || d.Stage != c.stage || d.Reason != c.reason || d.Agent != c.agent {
				t.Fatalf("got allowed=%v %d %s %s agent %q (%v), want %d %s %s", d.Allowed, d.Status, d.Stage, d.Reason, d.Agent, d.Err, c.status, c.stage, c.reason)
			}
			text, told := d.toCheck("").DynamicMetadata.Fields[metaFilter]
			if said, ok := verdict.ParseFilter(text.GetStringValue()); told != d.Allowed || ok != told || said.Agent != c.agent {
				t.Errorf("the filter is told %q", text)
			}
		})
	}
}

// While access is not enforced the agents are not, neither here nor in the filter.
func TestMentionedInShadow(t *testing.T) {
	f := newFixture(t, comparePolicy+"access: { mode: shadow }\n")
	d := f.chain.Decide(context.Background(), request("POST", "/agents/a/remember?agent_id=b", "Authorization: Bearer "+f.token(t, "memory:write")))
	if !d.Allowed || d.shadow() != "access:agent_mismatch" || d.Agent != "" {
		t.Fatalf("%+v", d)
	}
	d = f.chain.Decide(context.Background(), request("POST", "/agents/a/remember?tenant_id=b", "Authorization: Bearer "+f.token(t, "memory:write")))
	if d.Allowed || d.Reason != identity.ReasonTenantMismatch {
		t.Fatalf("%+v", d)
	}
}

// Headers are found in whichever form Envoy sends them.
func TestMentionedInEnvoysForms(t *testing.T) {
	f := newFixture(t, comparePolicy)
	for _, header := range []string{"acme", "evil"} {
		fields := map[string]string{"authorization": "Bearer " + f.token(t, "memory:write"), "x-tenant-id": header}
		joined := &authv3.AttributeContext_HttpRequest{Id: "req-1", Method: "POST", Path: "/agents/a/remember", Headers: fields}
		raw := &authv3.AttributeContext_HttpRequest{Id: "req-1", Method: "POST", Path: "/agents/a/remember", HeaderMap: &corev3.HeaderMap{}}
		for name, value := range fields {
			raw.HeaderMap.Headers = append(raw.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		}
		for _, http := range []*authv3.AttributeContext_HttpRequest{joined, raw} {
			f.now = f.now.Add(time.Minute)
			r := fromCheck(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: http}}})
			if d := f.chain.Decide(context.Background(), r); d.Allowed != (header == "acme") {
				t.Errorf("%s: %s (%v)", header, d.Reason, d.Err)
			}
		}
	}
}

// A session's agent is what the body may name, whatever else the request does.
func TestAgentOf(t *testing.T) {
	for _, tt := range []struct {
		session string
		named   []string
		want    string
	}{
		{"", nil, ""}, {"", []string{"b"}, "b"}, {"", []string{"b", "b"}, "b"}, {"", []string{""}, ""}, {"", []string{"b", "c"}, ""},
		{"a", nil, "a"}, {"a", []string{"b"}, "a"},
	} {
		var found mention.Found
		for _, v := range tt.named {
			found.Add(v)
		}
		if got := agentOf(&identity.Principal{Agent: tt.session}, &found); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
