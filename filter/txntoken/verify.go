package txntoken

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"

	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// VerifierConfig says which tokens a Verifier accepts, and where the edge's keys are.
type VerifierConfig struct {
	// Issuer is the edge's name; "iss" must equal it. Required.
	Issuer string
	// Audience is this service's name; "aud" must equal it. Required.
	Audience string
	// JWKSURL or JWKSFile is where the edge's public keys are, or JWKS is the key set
	// itself; exactly one of them is required. The URL is https, or http to a loopback
	// address, or, with AllowPlainHTTP, http to anywhere.
	JWKSURL, JWKSFile string
	JWKS              []byte
	// AllowPlainHTTP allows an http JWKSURL to another host. Whoever can answer in that
	// host's place can then be any caller: set it only where the network between the edge
	// and this service is private to them, such as a network of one container host.
	AllowPlainHTTP bool
	// Now is the clock. Required.
	Now func() time.Time
	// Leeway is by how much the clocks of edge and service may differ; default 5 s, at
	// most a minute.
	Leeway time.Duration
	// MaxLifetime bounds "exp" minus "iat"; default 5 minutes.
	MaxLifetime time.Duration
	// Refresh is after how long the keys are read again; default 5 minutes. A withdrawn
	// key works at most that long.
	Refresh time.Duration
	// Throttle is the shortest time between two attempts to read the keys, however many
	// unknown key ids arrive; default 5 s. After a failure it is a fifth of that.
	Throttle time.Duration
	// MaxStale is how long keys are used that cannot be read again; default 24 h.
	MaxStale time.Duration
	// HTTP is the client to fetch with; its Timeout and CheckRedirect are overridden. Nil
	// means one without proxy.
	HTTP *http.Client
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	cfg  VerifierConfig
	keys *keySource
}

// NewVerifier checks the configuration. It reads no keys yet: see Refresh.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || cfg.Now == nil {
		return nil, errors.New("txntoken: an issuer, an audience and a clock are required")
	}
	if cfg.Leeway < 0 || cfg.Leeway > time.Minute {
		return nil, errors.New("txntoken: the leeway must be between 0 and a minute")
	}
	setDefault(&cfg.Leeway, 5*time.Second)
	setDefault(&cfg.MaxLifetime, 5*time.Minute)
	setDefault(&cfg.Refresh, 5*time.Minute)
	setDefault(&cfg.Throttle, 5*time.Second)
	setDefault(&cfg.MaxStale, 24*time.Hour)
	keys, err := newKeySource(&cfg)
	if err != nil {
		return nil, err
	}
	return &Verifier{cfg: cfg, keys: keys}, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Refresh reads the keys now, unless that was tried within the throttle interval, and
// returns an error while there are none to verify with. A service calls it at start and
// from its readiness check.
func (v *Verifier) Refresh(ctx context.Context) error {
	if v.keys.static != nil {
		return nil
	}
	_, err := v.keys.refresh(ctx)
	return err
}

// VerifyHeader verifies the token in all values of the request header Txn-Token, of which
// there must be exactly one.
func (v *Verifier) VerifyHeader(ctx context.Context, values []string) (*Claims, error) {
	switch len(values) {
	case 0:
		return nil, refuse(ReasonMissing, nil)
	case 1:
		return v.Verify(ctx, values[0])
	}
	return nil, refuse(ReasonRepeated, nil)
}

// Verify verifies one token: its form, header, key, signature, issuer, audience and
// times. Each error is an *Error. An unknown key id causes at most one read of the keys
// per throttle interval, which ends early when ctx does.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	if token == "" {
		return nil, refuse(ReasonMissing, nil)
	}
	if len(token) > MaxLength {
		return nil, refuse(ReasonTooLong, nil)
	}
	header, rest, ok := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.IndexByte(signature, '.') >= 0 {
		return nil, refuse(ReasonMalformed, nil)
	}
	enc := base64.RawURLEncoding.Strict()
	kid, err := parseHeader(enc, header)
	if err != nil {
		return nil, err
	}
	sig, err := decode(enc, signature)
	if err != nil {
		return nil, refuse(ReasonMalformed, nil)
	}
	claimsJSON, err := decode(enc, payload)
	if err != nil {
		return nil, refuse(ReasonMalformed, nil)
	}
	key, err := v.keys.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	if err := jwsbb.VerifyEdDSA(key, []byte(token[:len(header)+1+len(payload)]), sig); err != nil {
		return nil, refuse(ReasonSignature, nil)
	}
	c, err := parseClaims(claimsJSON)
	if err != nil {
		return nil, refuse(ReasonMalformed, err)
	}
	if err := v.check(c); err != nil {
		return nil, err
	}
	return c, nil
}

// decode decodes strict base64url: no padding, no bits left over, and none of the line
// breaks that encoding/base64 ignores.
func decode(enc *base64.Encoding, s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, base64.CorruptInputError(strings.IndexAny(s, "\r\n"))
	}
	return enc.DecodeString(s)
}

// parseHeader accepts exactly the three members that a Signer writes.
func parseHeader(enc *base64.Encoding, segment string) (kid string, err error) {
	b, err := decode(enc, segment)
	if err != nil {
		return "", refuse(ReasonMalformed, nil)
	}
	var buf [4]strictjson.Member
	m, err := strictjson.Members(buf[:0], b)
	if err != nil {
		return "", refuse(ReasonHeader, err)
	}
	for i := range m {
		if n := string(m[i].Name); n != "alg" && n != "typ" && n != "kid" {
			return "", refuse(ReasonHeader, nil)
		}
	}
	if !strictjson.Lookup(m, "alg").Equals("EdDSA") {
		return "", refuse(ReasonAlgorithm, nil)
	}
	if !strictjson.Lookup(m, "typ").Equals(Type) {
		return "", refuse(ReasonType, nil)
	}
	kid, _ = strictjson.Lookup(m, "kid").Text()
	if kid == "" || len(kid) > maxKeyID {
		return "", refuse(ReasonHeader, nil)
	}
	return kid, nil
}

func (v *Verifier) check(c *Claims) error {
	now := v.cfg.Now()
	switch {
	case c.Issuer != v.cfg.Issuer:
		return refuse(ReasonIssuer, nil)
	case c.Audience != v.cfg.Audience:
		return refuse(ReasonAudience, nil)
	case !now.Before(c.Expires.Add(v.cfg.Leeway)):
		return refuse(ReasonExpired, nil)
	case c.IssuedAt.After(now.Add(v.cfg.Leeway)):
		return refuse(ReasonIssuedInFuture, nil)
	case c.Expires.Before(c.IssuedAt), c.Expires.Sub(c.IssuedAt) > v.cfg.MaxLifetime:
		return refuse(ReasonLifetime, nil)
	}
	return nil
}
