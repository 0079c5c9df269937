package authz

import (
	"context"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mesh"
	"github.com/memgate/memgate/filter/session"
)

// meshFixture knows two peers, and what they mean beside a credential.
func meshFixture(t *testing.T, beside string) *fixture {
	f := newFixture(t, strings.Replace(testPolicy, "identity:\n", `identity:
  sessions: {}
  mesh:
    with_credential: `+beside+`
    identities:
      - { id: "spiffe://example.org/ns/{tenant}/sa/{name}", scopes: ["memory:write"] }
      - { id: "spiffe://example.org/reader", tenant: acme, scopes: ["memory:read"] }
`, 1))
	deps := f.chain.deps
	clock := func() time.Time { return f.now }
	var err error
	if deps.Mesh, err = mesh.New(f.chain.policy.MeshRules(), clock); err != nil {
		t.Fatal(err)
	}
	deps.Sessions = session.NewStore(10, clock, zeros{})
	if f.chain, err = NewChain(f.chain.policy, deps); err != nil {
		t.Fatal(err)
	}
	return f
}

// zeros are as good as random bytes where one session is made.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestPeer(t *testing.T) {
	const writer, other, reader = "spiffe://example.org/ns/acme/sa/web", "spiffe://example.org/ns/other/sa/web", "spiffe://example.org/reader"
	const path = "/agents/a/remember"
	for _, c := range []struct {
		name, beside, peer string
		bearer             string // "good", or a token
		status             int    // 0 when allowed
		reason             identity.Reason
		kind               identity.Kind
	}{
		{"a peer", "ignore", writer, "", 0, ReasonAllowed, identity.KindMesh},
		{"a peer without the scope", "ignore", reader, "", 403, identity.ReasonInsufficientScope, identity.KindMesh},
		{"a peer of another domain", "ignore", "spiffe://evil.org/ns/acme/sa/web", "", 401, identity.ReasonPeerUnknown, ""},
		{"a peer that is no SPIFFE ID", "ignore", "CN=web", "", 401, identity.ReasonPeerMalformed, ""},
		{"several names", "ignore", writer + "," + writer, "", 401, identity.ReasonPeerMalformed, ""},
		{"no peer", "ignore", "", "", 401, identity.ReasonNoCredentials, ""},

		{"a token through a peer", "ignore", reader, "good", 0, ReasonAllowed, identity.KindJWT},
		{"a token through a stranger", "ignore", "CN=web", "good", 0, ReasonAllowed, identity.KindJWT},
		{"a bad token through a peer", "ignore", writer, "garbage", 401, identity.ReasonTokenNotCompact, ""},

		{"beside: same tenant", "same_tenant", reader, "good", 0, ReasonAllowed, identity.KindJWT},
		{"beside: another tenant", "same_tenant", other, "good", 401, identity.ReasonPeerMismatch, ""},
		{"beside: a stranger", "same_tenant", "spiffe://evil.org/a", "good", 401, identity.ReasonPeerUnknown, ""},
		{"beside: no peer", "same_tenant", "", "good", 401, identity.ReasonPeerMalformed, ""},
		{"beside: a bad token", "same_tenant", reader, "garbage", 401, identity.ReasonTokenNotCompact, ""},
		{"beside: a peer alone", "same_tenant", writer, "", 0, ReasonAllowed, identity.KindMesh},

		{"one only: both", "refuse", reader, "good", 400, identity.ReasonAmbiguousCredentials, ""},
		{"one only: a stranger", "refuse", "spiffe://evil.org/a", "good", 0, ReasonAllowed, identity.KindJWT},
		{"one only: no peer", "refuse", "", "good", 0, ReasonAllowed, identity.KindJWT},
		{"one only: a peer", "refuse", writer, "", 0, ReasonAllowed, identity.KindMesh},
	} {
		f := meshFixture(t, c.beside)
		r := request("POST", path)
		r.Peer = c.peer
		switch c.bearer {
		case "":
		case "good":
			r.Add("Authorization", "Bearer "+f.token(t, "memory:write"))
		default:
			r.Add("Authorization", "Bearer "+c.bearer)
		}
		d := f.chain.Decide(context.Background(), r)
		if d.Allowed != (c.status == 0) || d.Status != c.status || d.Reason != c.reason {
			t.Errorf("%s: allowed=%v %d %s (%v)", c.name, d.Allowed, d.Status, d.Reason, d.Err)
		}
		if c.kind != "" && (d.Principal == nil || d.Principal.Kind != c.kind || d.Principal.Tenant != "acme") {
			t.Errorf("%s: %+v", c.name, d.Principal)
		}
	}
}

// A session beside the peer that it was issued to stands by itself, like any other.
func TestPeerWithSession(t *testing.T) {
	f := meshFixture(t, "refuse")
	p, err := f.chain.deps.Mesh.Verify(mesh.Peer{Name: "spiffe://example.org/ns/acme/sa/web"})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := f.chain.deps.Sessions.Activate(context.Background(), p, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]identity.Reason{"": ReasonAllowed, p.ID: identity.ReasonAmbiguousCredentials} {
		r := request("POST", "/agents/a/remember", "X-Session-Token: "+token)
		r.Peer = peer
		if d := f.chain.Decide(context.Background(), r); d.Reason != want {
			t.Errorf("with the peer %q: %s (%v)", peer, d.Reason, d.Err)
		}
	}
}

// What Envoy says of the peer counts, and what headers say of it does not.
func TestPeerOfCheck(t *testing.T) {
	f := meshFixture(t, "ignore")
	const id = "spiffe://example.org/ns/acme/sa/web"
	check := func(principal, certificate string) *Decision {
		return f.chain.Decide(context.Background(), fromCheck(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: &authv3.AttributeContext_Peer{Principal: principal, Certificate: certificate},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Id: "req-1", Method: "POST", Path: "/agents/a/remember",
				Headers: map[string]string{"x-forwarded-client-cert": "URI=" + id, "x-peer": id}}},
		}}))
	}
	if d := check(id, ""); !d.Allowed {
		t.Errorf("%s (%v)", d.Reason, d.Err)
	}
	if d := check("", ""); d.Reason != identity.ReasonNoCredentials {
		t.Errorf("by a header: %s", d.Reason)
	}
	for _, certificate := range []string{"garbage", "%zz", "-----BEGIN CERTIFICATE-----%0AAAAA%0A-----END CERTIFICATE-----%0A", newSender(t).certificate} {
		if d := check(id, certificate); d.Reason != identity.ReasonPeerMalformed {
			t.Errorf("with the certificate %.20s: %s (%v)", certificate, d.Reason, d.Err)
		}
	}
}
