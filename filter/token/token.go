// Package token verifies JWTs (RFC 7519) of configured issuers by their published keys,
// as RFC 8725 says it is to be done: everything that decides comes from the configuration,
// nothing from the token. Each refusal is an *identity.Error with a reason of its own.
//
// A Verifier keeps the issuers' keys fresh in the background (Run), reads them early when
// a token names a key that is not known, at most once per throttle interval, and keeps
// using them for a bounded time when an issuer cannot be reached. Verified tokens are
// cached until they expire or their key is withdrawn.
//
// The package takes its clock as an argument and never logs; Stats tells how it does.
package token

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/memgate/memgate/filter/tenant"
)

// IssuerConfig says how the tokens of one issuer are accepted.
type IssuerConfig struct {
	// Issuer must equal "iss" byte for byte. Required.
	Issuer string
	// JWKSURL or JWKSFile is where the issuer's JWK Set (RFC 7517) is. With neither it is
	// found by OpenID Connect Discovery 1.0, whose document must name the same issuer.
	// URLs are https, or http to a loopback address.
	JWKSURL, JWKSFile string
	// Audiences are those of which "aud" must hold one. Required.
	Audiences []string
	// Algorithms are the "alg" values accepted, out of RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384, ES512, EdDSA and Ed25519. Required.
	Algorithms []string
	// Leeway is by how much the issuer's clock may differ: 0 means 30 s; at most 5 min.
	Leeway time.Duration
	// Refresh is after how long this issuer's keys are read again, instead of
	// Config.Refresh. When it is shorter than Config.Throttle, it is that as well.
	Refresh time.Duration
	// RequireTyp is the "typ" that a token must have, such as "at+jwt" (RFC 9068), with
	// or without "application/" and in any case. When empty, a token may have none,
	// "JWT" or "at+jwt"; any other type marks a token for another use (RFC 8725,
	// section 3.11).
	RequireTyp string
	// Tenant says of which claims the tenant is made: each a name, or a JSON pointer (RFC
	// 6901) if it starts with a slash. Required.
	Tenant tenant.Rule
	// ScopeClaim names the claim that holds the scopes, as a string separated by spaces or
	// an array of strings; "scope" when empty. It is a name or a JSON pointer.
	ScopeClaim string
	// RoleClaim names the claim that holds the names of roles, as a string separated by
	// spaces or an array of strings; a name or a JSON pointer. None are read when empty.
	RoleClaim string
	// Roles are the scopes that each role brings. A role that is not here brings none.
	Roles map[string][]string
	// SubjectClaim names the claim that holds the subject; "sub" when empty. It is a name
	// or a JSON pointer.
	SubjectClaim string
}

// Config configures a Verifier. Zero values mean the defaults given.
type Config struct {
	Issuers []IssuerConfig
	// HTTP is the client to fetch keys with. Its Timeout and CheckRedirect are overridden.
	// Nil means one that heeds the environment's proxy settings.
	HTTP *http.Client
	// Wrap, if not nil, gets what fetches keys over the network and returns what is used
	// in its place, such as one that measures.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Now is the clock. Required.
	Now func() time.Time
	// CacheSize is the largest number of verified tokens that are kept; 0 means 16384, a
	// negative number none.
	CacheSize int
	// Refresh is after how long keys are read again, or earlier if the answer's
	// Cache-Control says so; 5 min. A withdrawn key works at most that long, and the time
	// of one fetch.
	Refresh time.Duration
	// Throttle is the shortest time between two fetches of one issuer's keys, whatever
	// key ids arrive; 10 s.
	Throttle time.Duration
	// NegativeTTL is for how long a key id that a fetch did not find causes no other
	// fetch; 30 s.
	NegativeTTL time.Duration
	// MaxStale is how long keys are used that cannot be read again; 24 h.
	MaxStale time.Duration
}

const (
	defaultCacheSize   = 16384
	defaultLeeway      = 30 * time.Second
	maxLeeway          = 5 * time.Minute
	defaultRefresh     = 5 * time.Minute
	defaultThrottle    = 10 * time.Second
	defaultNegativeTTL = 30 * time.Second
	defaultMaxStale    = 24 * time.Hour
)

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*issuer
	order   []*issuer
	now     func() time.Time
	cache   *cache
}

// issuer is one configured issuer, ready for use.
type issuer struct {
	cfg        IssuerConfig
	algorithms map[string]*algorithm
	subject    selector
	tenant     *tenant.Mapping
	tenantOf   []selector // the claims of tenant
	scope      selector
	role       selector // nil: no roles are read
	typ        string
	keys       *source
}

// New checks the configuration and returns a Verifier that has no keys yet: run Run, or
// call Refresh, or let the first token of each issuer wait for them.
func New(cfg Config) (*Verifier, error) {
	if cfg.Now == nil {
		return nil, errors.New("token: a clock is required")
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	setDefault(&cfg.Refresh, defaultRefresh)
	setDefault(&cfg.Throttle, defaultThrottle)
	setDefault(&cfg.NegativeTTL, defaultNegativeTTL)
	setDefault(&cfg.MaxStale, defaultMaxStale)
	v := &Verifier{
		issuers: make(map[string]*issuer, len(cfg.Issuers)),
		now:     cfg.Now,
		cache:   newCache(max(cfg.CacheSize, 0)),
	}
	client := newClient(cfg.HTTP)
	if cfg.Wrap != nil {
		if client.Transport == nil {
			client.Transport = http.DefaultTransport
		}
		client.Transport = cfg.Wrap(client.Transport)
	}
	for _, ic := range cfg.Issuers {
		i, err := newIssuer(ic)
		if err != nil {
			return nil, fmt.Errorf("token: issuer %q: %w", ic.Issuer, err)
		}
		if v.issuers[ic.Issuer] != nil {
			return nil, fmt.Errorf("token: issuer %q is configured twice", ic.Issuer)
		}
		i.keys, err = newSource(&i.cfg, &cfg, client, v.cache)
		if err != nil {
			return nil, fmt.Errorf("token: issuer %q: %w", ic.Issuer, err)
		}
		v.issuers[ic.Issuer] = i
		v.order = append(v.order, i)
	}
	return v, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func newIssuer(cfg IssuerConfig) (*issuer, error) {
	i := &issuer{cfg: cfg, algorithms: make(map[string]*algorithm, len(cfg.Algorithms)), typ: mediaType(cfg.RequireTyp)}
	if cfg.Issuer == "" {
		return nil, errors.New("the issuer's name is required")
	}
	if len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, "") {
		return nil, errors.New("an audience is required")
	}
	if len(cfg.Algorithms) == 0 {
		return nil, errors.New("a list of algorithms is required")
	}
	for _, name := range cfg.Algorithms {
		a := algorithmNamed(name)
		if a == nil {
			return nil, fmt.Errorf("algorithm %q is not supported", name)
		}
		i.algorithms[name] = a
	}
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		return nil, errors.New("the leeway must be between 0 and 5 minutes")
	}
	if cfg.Refresh < 0 {
		return nil, errors.New("the time of a refresh must not be negative")
	}
	setDefault(&i.cfg.Leeway, defaultLeeway)
	var err error
	if i.tenant, err = tenant.NewMapping(cfg.Tenant); err != nil {
		return nil, err
	}
	for _, name := range i.tenant.Claims() {
		s, ok := newSelector(name)
		if !ok {
			return nil, badClaim("tenant", name)
		}
		i.tenantOf = append(i.tenantOf, s)
	}
	for _, s := range []struct {
		into           *selector
		what, name, or string
	}{
		{&i.subject, "subject", cfg.SubjectClaim, "sub"},
		{&i.scope, "scope", cfg.ScopeClaim, "scope"},
		{&i.role, "role", cfg.RoleClaim, ""},
	} {
		if s.name == "" {
			s.name = s.or
		}
		if s.name == "" {
			continue
		}
		var ok bool
		if *s.into, ok = newSelector(s.name); !ok {
			return nil, badClaim(s.what, s.name)
		}
	}
	return i, nil
}

func badClaim(what, name string) error {
	return fmt.Errorf("the %s claim %q is neither a name nor a JSON pointer", what, name)
}
