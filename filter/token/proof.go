package token

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// MaxProofLength is the largest length of a DPoP proof, in bytes.
const MaxProofLength = 4 << 10

// maxProofID is the largest length of a proof's "jti", in bytes.
const maxProofID = 256

// proofAhead is by how much a sender's clock may be ahead of this one.
const proofAhead = 5 * time.Second

// ProofConfig configures a ProofVerifier.
type ProofConfig struct {
	// Algorithms are the "alg" values accepted, out of those of IssuerConfig. Required.
	Algorithms []string
	// MaxAge is how long a proof can be used after it was made. Required.
	MaxAge time.Duration
	// Replay remembers proofs. Required.
	Replay Replay
	// Now is the clock. Required.
	Now func() time.Time
}

// Replay remembers what was used. It must be safe for concurrent use, and may be shared
// between instances: it then gives one of them the first use.
type Replay interface {
	// First says whether id, a digest, is used for the first time within the last ttl, and
	// takes note of the use. An error means that it cannot say.
	First(ctx context.Context, id [32]byte, ttl time.Duration) (bool, error)
}

// ProofVerifier verifies DPoP proofs (RFC 9449, section 4.3). It is safe for concurrent use.
type ProofVerifier struct {
	algorithms map[string]*algorithm
	maxAge     time.Duration
	replay     Replay
	now        func() time.Time
}

// NewProofVerifier checks the configuration.
func NewProofVerifier(cfg ProofConfig) (*ProofVerifier, error) {
	if cfg.Now == nil || cfg.Replay == nil || cfg.MaxAge <= 0 || len(cfg.Algorithms) == 0 {
		return nil, errors.New("token: a clock, a memory of proofs, their age and their algorithms are required")
	}
	v := &ProofVerifier{algorithms: make(map[string]*algorithm), maxAge: cfg.MaxAge, replay: cfg.Replay, now: cfg.Now}
	for _, name := range cfg.Algorithms {
		a := algorithmNamed(name)
		if a == nil {
			return nil, fmt.Errorf("token: algorithm %q is not supported", name)
		}
		v.algorithms[name] = a
	}
	return v, nil
}

// Proof is what a proof must be of.
type Proof struct {
	// Method is the request's method, URL its URL, whose query and fragment do not count.
	Method, URL string
	// Token is the access token that comes with it, Key the thumbprint of the key that the
	// token is bound to ("jkt").
	Token, Key string
	// Nonces are those of which the proof must have one; nil for none.
	Nonces *Nonces
}

// Verify verifies a proof, given all values of the header DPoP. Each error is an
// *identity.Error. Only a proof that is right in everything else is taken note of, so
// that none but a token's sender can fill the memory of proofs.
func (v *ProofVerifier) Verify(ctx context.Context, header []string, want Proof) error {
	now := v.now()
	switch len(header) {
	case 0:
		return identity.Unauthenticated(identity.ReasonProofMissing, nil)
	case 1:
	default:
		return identity.Unauthenticated(identity.ReasonProofRepeated, nil)
	}
	text := header[0]
	if strings.IndexByte(text, ',') >= 0 { // Envoy joins repeated headers by one
		return identity.Unauthenticated(identity.ReasonProofRepeated, nil)
	}
	jws, thumbprint, reason, detail := v.open(text)
	if reason != "" {
		return identity.Unauthenticated(reason, detail)
	}
	var buf [12]strictjson.Member
	c, detailed := parseClaims(buf[:0], jws.payload)
	if detailed != "" {
		return identity.Unauthenticated(identity.ReasonProofMalformed, errors.New(string(detailed)))
	}
	id, ok := strictjson.Lookup(c, "jti").Text()
	if !ok || id == "" || len(id) > maxProofID {
		return identity.Unauthenticated(identity.ReasonProofMalformed, errors.New("no jti, or one that is too long"))
	}
	if !strictjson.Lookup(c, "htm").Equals(want.Method) {
		return identity.Unauthenticated(identity.ReasonProofMethod, nil)
	}
	if reason := checkURLOfProof(c, want.URL); reason != "" {
		return identity.Unauthenticated(reason, nil)
	}
	issued, present, ok := c.date("iat")
	made := time.Unix(issued, 0)
	if !present || !ok || made.After(now.Add(proofAhead)) || !now.Before(made.Add(v.maxAge)) {
		return identity.Unauthenticated(identity.ReasonProofTime, nil)
	}
	hash := sha256.Sum256([]byte(want.Token))
	if !strictjson.Lookup(c, "ath").Equals(base64.RawURLEncoding.EncodeToString(hash[:])) {
		return identity.Unauthenticated(identity.ReasonProofToken, nil)
	}
	if subtle.ConstantTimeCompare([]byte(thumbprint), []byte(want.Key)) != 1 {
		return identity.Unauthenticated(identity.ReasonProofBinding, nil)
	}
	if want.Nonces != nil {
		// Told last, so that who gets a new nonce has a proof that is right but for that.
		if text, ok := strictjson.Lookup(c, "nonce").Text(); !ok || !want.Nonces.Knows(text) {
			return identity.Unauthenticated(identity.ReasonProofNonce, nil)
		}
	}
	// The id counts together with the key, so that nobody can use up another's ids.
	first, err := v.replay.First(ctx, sha256.Sum256([]byte(thumbprint+"\x00"+id)), made.Add(v.maxAge).Sub(now))
	if err != nil {
		return identity.Unavailable(identity.ReasonProofUnavailable, err)
	}
	if !first {
		return identity.Unauthenticated(identity.ReasonProofReplay, nil)
	}
	return nil
}

// open checks form, header, key and signature of a proof and returns the thumbprint of
// its key (RFC 7638).
func (v *ProofVerifier) open(text string) (jws *compact, thumbprint string, reason identity.Reason, detail error) {
	jws, why := parseCompact(text, form{limit: MaxProofLength, proof: true})
	if why != "" {
		reason = identity.ReasonProofMalformed
		if stageOfCompact(why) == StageAlgorithm {
			reason = identity.ReasonProofAlgorithm
		}
		return nil, "", reason, errors.New(string(why))
	}
	if !strings.EqualFold(mediaType(jws.header.typ), "dpop+jwt") {
		return nil, "", identity.ReasonProofType, nil
	}
	a := v.algorithms[jws.header.algorithm]
	if a == nil {
		return nil, "", identity.ReasonProofAlgorithm, nil
	}
	k, thumbprint, err := keyOfProof(jws.header.jwk)
	if err != nil {
		return nil, "", identity.ReasonProofKey, err
	}
	if why := a.fits(k); why != "" {
		return nil, "", identity.ReasonProofKey, errors.New(string(why))
	}
	if why := a.verify(k, []byte(jws.input), jws.signature); why != "" {
		return nil, "", identity.ReasonProofSignature, errors.New(string(why))
	}
	return jws, thumbprint, "", nil
}

var errProofKey = errors.New("jwk is not the public key of a signature")

// keyOfProof reads the key that a proof brings along. Of its members only those count that
// make up the public key; a private one means that the key is no secret any more.
func keyOfProof(v strictjson.Value) (*key, string, error) {
	var buf [12]strictjson.Member
	members, ok := v.Members(buf[:0])
	if !ok {
		return nil, "", errProofKey
	}
	public := make(map[string]string, 4)
	for i := range members {
		switch name := string(members[i].Name); name {
		case "kty", "crv", "x", "y", "n", "e":
			if public[name], ok = members[i].Value.Text(); !ok {
				return nil, "", errProofKey
			}
			if _, ok := decode(public[name]); !ok && len(name) == 1 {
				return nil, "", errProofKey
			}
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			return nil, "", errors.New("jwk holds a private or a symmetric key")
		}
	}
	raw, err := json.Marshal(public)
	if err != nil {
		return nil, "", err
	}
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, "", errProofKey
	}
	k, err := newKey(parsed)
	if err != nil {
		return nil, "", errProofKey
	}
	hash, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", errProofKey
	}
	return k, base64.RawURLEncoding.EncodeToString(hash), nil
}

func checkURLOfProof(c claims, want string) identity.Reason {
	htu, ok := strictjson.Lookup(c, "htu").Text()
	if !ok {
		return identity.ReasonProofURL
	}
	got, ok := targetURL(htu)
	if !ok {
		return identity.ReasonProofURL
	}
	if want, ok := targetURL(want); !ok || got != want {
		return identity.ReasonProofURL
	}
	return ""
}
