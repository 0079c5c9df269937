package dev

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/memgate/memgate/filter/policy"
)

// Issuer is the development issuer of tokens: it has an ES256 key, an OpenID
// Connect discovery document and a key set. It issues only what the one who
// holds its key file asks for: it has no log-in.
type Issuer struct {
	url string
	key jwk.Key
}

// LoadIssuer reads the issuer's key from dir, or makes one there (mode 0600).
func LoadIssuer(dir, url string) (*Issuer, error) {
	path := filepath.Join(dir, "issuer-key.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if raw, err = newIssuerKey(path); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	key, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s holds no key; delete it and a new one is made: %w", path, err)
	}
	return &Issuer{url: url, key: key}, nil
}

func newIssuerKey(path string) ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{jwk.AlgorithmKey: jwa.ES256(), jwk.KeyUsageKey: "sig"} {
		if err := key.Set(name, value); err != nil {
			return nil, err
		}
	}
	if err := jwk.AssignKeyID(key); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	return raw, os.WriteFile(path, raw, 0o600)
}

// Handler serves the discovery document and the key set.
func (i *Issuer) Handler() (http.Handler, error) {
	public, err := i.key.PublicKey()
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", answer(map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.url + "/jwks.json",
		"authorization_endpoint":                i.url + "/authorize",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	}))
	mux.HandleFunc("GET /jwks.json", answer(set))
	return mux, nil
}

func answer(document any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}
}

// Claims are what a development token says.
type Claims struct {
	Tenant, Subject string
	Scope           string // separated by spaces
	TTL             time.Duration
}

func (i *Issuer) mint(section *policy.Issuer, c Claims, now time.Time) (string, error) {
	tenantClaim, value, err := tenantClaim(&section.Tenant, c.Tenant)
	if err != nil {
		return "", err
	}
	builder := jwt.NewBuilder().Issuer(i.url).Subject(c.Subject).Audience(section.Audiences[:1]).
		IssuedAt(now).NotBefore(now).Expiration(now.Add(c.TTL)).
		Claim("scope", c.Scope)
	token, err := builder.Claim(tenantClaim, value).Build()
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, "at+jwt"); err != nil {
		return "", err
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), i.key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", err
	}
	return string(signed), nil
}

// tenantClaim is the claim by which a token says that it is of the tenant, and
// its value there.
func tenantClaim(rule *policy.Tenant, tenant string) (name, value string, err error) {
	const only = "only tokens whose tenant is a claim by name can be minted (tenant: { claim: org_id })"
	switch {
	case rule.Template != "":
		return "", "", fmt.Errorf("the tenant of this issuer is made by the template %s; %s", rule.Template, only)
	case rule.Value != "":
		return "", "", fmt.Errorf("the tenant of this issuer is always %s, whatever its tokens say; %s", rule.Value, only)
	case strings.HasPrefix(rule.Claim, "/"):
		return "", "", fmt.Errorf("the tenant of this issuer stands at %s; %s", rule.Claim, only)
	case rule.Map == nil:
		return rule.Claim, tenant, nil
	}
	for _, value := range slices.Sorted(maps.Keys(rule.Map)) {
		if rule.Map[value] == tenant {
			return rule.Claim, value, nil
		}
	}
	return "", "", fmt.Errorf("the tenant.map of this issuer has no value for the tenant %s", tenant)
}

// loopback returns host:port of an http URL on loopback.
func loopback(issuer string) (string, bool) {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return "", false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Host, u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Mint signs a token of p's development issuer, whose key is in dir. The
// issuer, the audience and the name of the tenant's claim are the policy's.
func Mint(p *policy.Policy, dir string, c Claims, now time.Time) (string, error) {
	section, _ := developmentIssuer(p)
	if section == nil {
		return "", errNoIssuer
	}
	issuer, err := LoadIssuer(dir, section.Issuer)
	if err != nil {
		return "", err
	}
	return issuer.mint(section, c, now)
}
