// Package receipt signs what was destroyed, when and by whom, so that it can be shown to others later.
//
// A receipt is a JWS (RFC 7515, compact) of type "erasure-receipt+jwt", signed with Ed25519 (RFC 8037).
// Whoever has the public key set can check it, with `memory-backend receipt verify` or any JOSE library.
package receipt

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	kind     = "erasure-receipt+jwt"
	maxBytes = 64 << 10
	maxKeys  = 32
)

// Receipt says what was destroyed. It holds no content, and no more of whose it was than the caller puts in.
type Receipt struct {
	ID        string    // UUID; set by Sign
	Issuer    string    // the service
	At        time.Time // to the second
	By        string    // the verified subject or operator who asked for it
	Tenant    string
	What      string   // "tenant", "user", "agent", "memory" or "filter"
	Of        string   // which user, agent, memory or filter; "" for a tenant
	Memories  int      // how many; -1 if that could not be known
	Held      int      // how many of those that were asked for a legal hold kept
	Verified  bool     // they were looked for afterwards, and none was found
	Compacted bool     // what they left in the service's files was overwritten and given back
	Keys      []string // identifiers of the data keys that were destroyed
}

// claims is how a receipt is written (RFC 7519 names where it has one).
type claims struct {
	ID        string   `json:"jti"`
	Issuer    string   `json:"iss"`
	At        int64    `json:"iat"`
	By        string   `json:"sub"`
	Tenant    string   `json:"tenant"`
	What      string   `json:"destroyed"`
	Of        string   `json:"of,omitempty"`
	Memories  int      `json:"memories"`
	Held      int      `json:"kept_by_legal_hold,omitempty"`
	Verified  bool     `json:"verified,omitempty"`
	Compacted bool     `json:"compacted,omitempty"`
	Keys      []string `json:"keys,omitempty"`
}

// Signer signs receipts.
type Signer struct {
	key    ed25519.PrivateKey
	id     string
	random io.Reader
}

// NewSigner returns a signer with a key.
func NewSigner(key ed25519.PrivateKey, random io.Reader) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize || random == nil {
		return nil, errors.New("receipt: an Ed25519 key and randomness are required")
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("receipt: not an Ed25519 key")
	}
	return &Signer{key, thumbprint(public), random}, nil
}

// thumbprint is that of RFC 7638.
func thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid"`
}

// Sign gives the receipt an id and returns it signed.
func (s *Signer) Sign(r Receipt) (string, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(header{"EdDSA", kind, s.id})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims{id.String(), r.Issuer, r.At.Unix(), r.By, r.Tenant, r.What, r.Of, r.Memories, r.Held, r.Verified, r.Compacted, r.Keys})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key, []byte(signed))), nil
}

// JWKS returns the public key as a JSON Web Key Set (RFC 7517).
func (s *Signer) JWKS() []byte {
	public, _ := s.key.Public().(ed25519.PublicKey)
	type key struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		X   string `json:"x"`
		Kid string `json:"kid"`
		Alg string `json:"alg"`
		Use string `json:"use"`
	}
	b, _ := json.Marshal(map[string][]key{"keys": {{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(public), s.id, "EdDSA", "sig"}}})
	return append(b, '\n')
}

// ErrInvalid says that a receipt is not one that a key of the set signed.
var ErrInvalid = errors.New("receipt: invalid")

// Verify checks a receipt by a key set, and returns what it says.
func Verify(signed string, jwks []byte) (*Receipt, error) {
	parts := strings.Split(strings.TrimSpace(signed), ".")
	if len(signed) > maxBytes || len(parts) != 3 {
		return nil, fmt.Errorf("%w: not a compact JWS", ErrInvalid)
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			return nil, fmt.Errorf("%w: not base64url", ErrInvalid)
		}
	}
	var h header
	if err := strict(raw[0], &h); err != nil || h.Algorithm != "EdDSA" || h.Type != kind {
		return nil, fmt.Errorf("%w: it is not an EdDSA signature of type %s", ErrInvalid, kind)
	}
	set, err := jwk.Parse(jwks, jwk.WithMaxKeys(maxKeys))
	if err != nil {
		return nil, fmt.Errorf("receipt: key set: %w", err)
	}
	key, ok := set.LookupKeyID(h.KeyID)
	if !ok {
		return nil, fmt.Errorf("%w: no key of the set has its key id", ErrInvalid)
	}
	var public ed25519.PublicKey
	if err := jwk.Export(key, &public); err != nil || len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: the key is not an Ed25519 key", ErrInvalid)
	}
	if !ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return nil, fmt.Errorf("%w: the signature does not match", ErrInvalid)
	}
	var c claims
	if err := strict(raw[1], &c); err != nil {
		return nil, fmt.Errorf("%w: its claims are malformed", ErrInvalid)
	}
	return &Receipt{c.ID, c.Issuer, time.Unix(c.At, 0).UTC(), c.By, c.Tenant, c.What, c.Of, c.Memories, c.Held, c.Verified, c.Compacted, c.Keys}, nil
}

// strict decodes one JSON object that has no other members.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("something follows")
	}
	return nil
}
