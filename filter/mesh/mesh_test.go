package mesh

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/tenant"
)

var now = time.Unix(1_800_000_000, 0)

func verifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := New([]Rule{
		{ID: "spiffe://example.org/ns/{tenant}/sa/{name}", Scopes: []string{"b", "a", "a"}},
		{ID: "spiffe://example.org/ns/shop/sa/cart", Tenant: "acme", Scopes: []string{"c"}},
		{ID: "spiffe://example.org/ns/shop/{x}/{y}", Tenant: "late"},
		{ID: "spiffe://example.org/{x}", Tenant: "one"},
	}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNewRefuses(t *testing.T) {
	for name, r := range map[string]Rule{
		"nothing":              {},
		"no scheme":            {ID: "example.org/a", Tenant: "t"},
		"another scheme":       {ID: "https://example.org/a", Tenant: "t"},
		"a domain alone":       {ID: "spiffe://example.org", Tenant: "t"},
		"a domain and a slash": {ID: "spiffe://example.org/", Tenant: "t"},
		"no domain":            {ID: "spiffe:///a", Tenant: "t"},
		"a domain in braces":   {ID: "spiffe://{tenant}/a"},
		"capitals":             {ID: "spiffe://Example.org/a", Tenant: "t"},
		"a port":               {ID: "spiffe://example.org:80/a", Tenant: "t"},
		"a star":               {ID: "spiffe://example.org/*", Tenant: "t"},
		"an empty segment":     {ID: "spiffe://example.org/a//b", Tenant: "t"},
		"dots":                 {ID: "spiffe://example.org/a/../b", Tenant: "t"},
		"a slash at the end":   {ID: "spiffe://example.org/a/", Tenant: "t"},
		"part of a segment":    {ID: "spiffe://example.org/a-{tenant}"},
		"braces in braces":     {ID: "spiffe://example.org/{{tenant}}"},
		"no name":              {ID: "spiffe://example.org/{}", Tenant: "t"},
		"the rest":             {ID: "spiffe://example.org/{name...}", Tenant: "t"},
		"two tenants":          {ID: "spiffe://example.org/{tenant}/{tenant}"},
		"a tenant beside":      {ID: "spiffe://example.org/{tenant}", Tenant: "t"},
		"no tenant":            {ID: "spiffe://example.org/{name}"},
		"no name of a tenant":  {ID: "spiffe://example.org/a", Tenant: "a/b"},
		"no scope":             {ID: "spiffe://example.org/a", Tenant: "t", Scopes: []string{"a b"}},
	} {
		if _, err := New([]Rule{r}, time.Now); err == nil || Check(r) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New([]Rule{{ID: "spiffe://e.org/{a}", Tenant: "t"}, {ID: "spiffe://e.org/{b}", Tenant: "u"}}, time.Now); err == nil {
		t.Error("two rules for the same identities are accepted")
	}
}

func TestFind(t *testing.T) {
	v := verifier(t)
	for name, want := range map[string]struct {
		tenant string
		scopes []string
		reason identity.Reason
	}{
		"spiffe://example.org/ns/acme/sa/web":                                 {"acme", []string{"a", "b"}, ""},
		"spiffe://example.org/ns/shop/sa/cart":                                {"acme", []string{"c"}, ""},             // itself, before the template
		"spiffe://example.org/ns/shop/sa/web":                                 {"shop", []string{"a", "b"}, ""},        // the first template
		"spiffe://example.org/ns/shop/job/web":                                {"late", nil, ""},                       // the second
		"spiffe://example.org/ns":                                             {"one", nil, ""},                        // the last
		"spiffe://example.org/ns/_a/sa/web":                                   {"", nil, identity.ReasonTenantInvalid}, // no name of a tenant
		"spiffe://example.org":                                                {"", nil, identity.ReasonPeerUnknown},
		"spiffe://example.org/ns/acme/sa":                                     {"", nil, identity.ReasonPeerUnknown},
		"spiffe://example.org/ns/acme/sa/a/b":                                 {"", nil, identity.ReasonPeerUnknown},
		"spiffe://example.org/NS/acme/sa/a":                                   {"", nil, identity.ReasonPeerUnknown},
		"spiffe://example.com/ns/acme/sa/web":                                 {"", nil, identity.ReasonPeerUnknown},
		"spiffe://example.org.evil/ns/a/sa/b":                                 {"", nil, identity.ReasonPeerUnknown},
		"spiffe://sub.example.org/ns/a/sa/b":                                  {"", nil, identity.ReasonPeerUnknown},
		"spiffe://example.org/ns/{tenant}/sa/web":                             {"", nil, identity.ReasonPeerMalformed},
		"spiffe://Example.org/ns/acme/sa/web":                                 {"", nil, identity.ReasonPeerMalformed},
		"SPIFFE://example.org/ns/acme/sa/web":                                 {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme/sa/%77eb":                               {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme//web":                                   {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme/../web":                                 {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme/sa/web/":                                {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme/sa/web?a":                               {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme/sa/web#a":                               {"", nil, identity.ReasonPeerMalformed},
		"spiffe://u@example.org/ns/acme/sa/web":                               {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org:443/ns/acme/sa/web":                             {"", nil, identity.ReasonPeerMalformed},
		"https://example.org/ns/acme/sa/web":                                  {"", nil, identity.ReasonPeerMalformed},
		"CN=web,O=acme":                                                       {"", nil, identity.ReasonPeerMalformed},
		"web.acme.svc":                                                        {"", nil, identity.ReasonPeerMalformed},
		"":                                                                    {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/" + strings.Repeat("a", 300):                    {"", nil, identity.ReasonPeerMalformed},
		"spiffe://example.org/ns/acme/sa/a,spiffe://example.org/ns/evil/sa/a": {"", nil, identity.ReasonPeerMalformed},
	} {
		p, err := v.Verify(Peer{Name: name})
		if want.reason != "" {
			if err == nil || identity.ReasonOf(err) != want.reason || !identity.IsUnauthenticated(err) {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
			continue
		}
		if err != nil || p.Tenant != want.tenant || !slices.Equal(p.Scopes, want.scopes) || p.Subject != name || p.ID != name ||
			p.Kind != identity.KindMesh || p.Issuer != "spiffe://example.org" || !p.Expires.IsZero() {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// leaf makes a certificate with the names; edit changes what else is in it.
func leaf(t *testing.T, edit func(*x509.Certificate), names ...string) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	for _, name := range names {
		u, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificate(t *testing.T) {
	v := verifier(t)
	const web, other = "spiffe://example.org/ns/acme/sa/web", "spiffe://example.org/ns/evil/sa/web"
	for name, c := range map[string]struct {
		certificate []byte
		reason      identity.Reason
	}{
		"one URI":              {leaf(t, nil, web), ""},
		"DNS names beside it":  {leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{"web"} }, web), ""},
		"two URIs":             {leaf(t, nil, web, other), identity.ReasonPeerAmbiguous},
		"the same URI twice":   {leaf(t, nil, web, web), identity.ReasonPeerAmbiguous},
		"another kind of URI":  {leaf(t, nil, web, "https://example.org"), identity.ReasonPeerAmbiguous},
		"another ID":           {leaf(t, nil, other), identity.ReasonPeerMalformed},
		"no URI":               {leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{web} }), identity.ReasonPeerMalformed},
		"an authority":         {leaf(t, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, web), identity.ReasonPeerMalformed},
		"expired":              {leaf(t, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, web), identity.ReasonPeerExpired},
		"not valid yet":        {leaf(t, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, web), identity.ReasonPeerExpired},
		"not a certificate":    {[]byte("garbage"), identity.ReasonPeerMalformed},
		"an empty certificate": {[]byte{}, identity.ReasonPeerMalformed},
	} {
		p, err := v.Verify(Peer{Name: web, Certificate: c.certificate})
		if c.reason == "" {
			if err != nil || p.Tenant != "acme" || !p.Expires.Equal(now.Add(time.Hour)) {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		} else if err == nil || identity.ReasonOf(err) != c.reason || !identity.IsUnauthenticated(err) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// No name makes a principal of another trust domain, or one that is not its own subject.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"spiffe://example.org/ns/a/sa/b", "spiffe://example.org/x", "spiffe://evil/ns/a/sa/b", "spiffe://example.org/ns/a/../b", "CN=a", "spiffe://example.org/ns/a/sa/b\x00"} {
		f.Add(s)
	}
	v := verifier(f)
	f.Fuzz(func(t *testing.T, name string) {
		p, err := v.Verify(Peer{Name: name})
		if v.Knows(Peer{Name: name}) != (err == nil) {
			t.Fatalf("%q: known, but %v", name, err)
		}
		if err == nil && (!strings.HasPrefix(name, "spiffe://example.org/") || p.Subject != name || !tenant.Valid(p.Tenant) ||
			p.Tenant != "acme" && p.Tenant != "late" && p.Tenant != "one" && !strings.Contains(name, "/"+p.Tenant+"/")) {
			t.Fatalf("%q became %+v", name, p)
		}
	})
}
