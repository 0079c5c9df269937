package txntoken

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Type is the "typ" of a Txn-Token's header, as the draft registers it.
const Type = "txntoken+jwt"

// Signer signs tokens with one key. It is safe for concurrent use.
type Signer struct {
	key    ed25519.PrivateKey
	issuer string
	ttl    time.Duration
	now    func() time.Time
	header string // encoded, with the dot
	jwks   []byte
}

// NewSigner returns a Signer whose tokens name issuer and live for ttl, at least a second
// (the draft asks for minutes at most; 30 s is usual), rounded down to whole seconds.
func NewSigner(key ed25519.PrivateKey, issuer string, ttl time.Duration, now func() time.Time) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("txntoken: no Ed25519 private key")
	}
	if issuer == "" || ttl < time.Second || now == nil {
		return nil, errors.New("txntoken: an issuer, a life of at least a second and a clock are required")
	}
	public, err := publicJWK(key)
	if err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	kid, _ := public.KeyID()
	header := appendString([]byte(`{"alg":"EdDSA","typ":"`+Type+`","kid":`), kid)
	header = append(header, '}')
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	return &Signer{
		key: key, issuer: issuer, ttl: ttl.Truncate(time.Second), now: now,
		header: base64.RawURLEncoding.EncodeToString(header) + ".",
		jwks:   jwks,
	}, nil
}

// publicJWK is the public part of key with its RFC 7638 thumbprint as key id.
func publicJWK(key ed25519.PrivateKey) (jwk.Key, error) {
	public, err := jwk.Import(key.Public())
	if err != nil {
		return nil, err
	}
	if err := jwk.AssignKeyID(public); err != nil {
		return nil, err
	}
	if err := public.Set(jwk.KeyUsageKey, jwk.ForSignature); err != nil {
		return nil, err
	}
	if err := public.Set(jwk.AlgorithmKey, jwa.EdDSA()); err != nil {
		return nil, err
	}
	return public, nil
}

// Sign returns c as a signed token in compact form (RFC 7515, section 7.1). It sets the
// issuer and the times itself. It refuses claims without id, audience or subject, and
// such as would make a token longer than MaxLength.
func (s *Signer) Sign(c Claims) (string, error) {
	if err := c.valid(); err != nil {
		return "", fmt.Errorf("txntoken: %w", err)
	}
	c.Issuer = s.issuer
	c.IssuedAt = s.now().Truncate(time.Second)
	c.Expires = c.IssuedAt.Add(s.ttl)
	payload := c.appendJSON(make([]byte, 0, 512))

	enc := base64.RawURLEncoding
	token := make([]byte, 0, len(s.header)+enc.EncodedLen(len(payload))+1+enc.EncodedLen(ed25519.SignatureSize))
	token = append(token, s.header...)
	token = enc.AppendEncode(token, payload)
	signature := ed25519.Sign(s.key, token)
	token = append(token, '.')
	token = enc.AppendEncode(token, signature)
	if len(token) > MaxLength {
		return "", errors.New("txntoken: the token would be too long")
	}
	return string(token), nil
}

// JWKS returns the public key as a JWK Set (RFC 7517, section 5), to be served as
// application/jwk-set+json. The caller must not change it.
func (s *Signer) JWKS() []byte { return s.jwks }
