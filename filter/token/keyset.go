package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// maxKeys is the largest number of keys in one key set.
const maxKeys = 100

// key is one public key of an issuer. It keeps its identity from one reading of the key
// set to the next for as long as its JWK does not change, so that cached tokens can point
// to it.
type key struct {
	id        string // as a token may name it
	stated    string // "kid" as it is, for VerifySignature
	public    crypto.PublicKey
	algorithm string          // "alg", if stated
	refused   identity.Reason // why the key must not be used, if it must not
	digest    [32]byte        // of its JWK
	withdrawn atomic.Bool     // set once the issuer's key set lost it
}

// keySet is one reading of an issuer's JWK Set (RFC 7517, section 5). It does not change.
type keySet struct {
	keys []*key
	byID map[string][]*key
}

var (
	errKeySet      = errors.New("no valid JWK Set")
	errTooManyKeys = errors.New("too many keys in the JWK Set")
	errNoKeys      = errors.New("the JWK Set holds no usable key")
)

// parseKeySet reads a JWK Set. A key that is of an unknown type, broken, symmetric, private
// or weak is kept as one that is refused, and does not spoil the others. The errors never
// quote the input.
func parseKeySet(b []byte) (*keySet, error) {
	members, err := strictjson.Members(nil, b)
	if err != nil {
		return nil, errKeySet
	}
	list, ok := strictjson.Lookup(members, "keys").Elements(nil)
	if !ok {
		return nil, errKeySet
	}
	if len(list) > maxKeys {
		return nil, errTooManyKeys
	}
	set, err := jwk.Parse(b, jwk.WithStrictKeySetParsing(false), jwk.WithMaxKeys(maxKeys), jwk.WithRejectDuplicateKID(false))
	if err != nil {
		return nil, errKeySet
	}
	out := &keySet{byID: make(map[string][]*key, set.Len())}
	for i := range set.Len() {
		parsed, ok := set.Key(i)
		if !ok {
			continue
		}
		k, err := newKey(parsed)
		if err != nil {
			continue
		}
		out.keys = append(out.keys, k)
		if k.id != "" {
			out.byID[k.id] = append(out.byID[k.id], k)
		}
	}
	return out, nil
}

func newKey(parsed jwk.Key) (*key, error) {
	raw, err := json.Marshal(parsed)
	if err != nil {
		return nil, err
	}
	k := &key{digest: sha256.Sum256(raw)}
	k.stated, _ = parsed.KeyID()
	k.id = k.stated
	if !validKeyID(k.id) {
		k.id = ""
	}
	if alg, ok := parsed.Algorithm(); ok {
		k.algorithm = alg.String()
	}
	if jwk.IsUnsupportedKey(parsed) {
		k.refused = identity.ReasonKeyTypeMismatch
		if smallModulus(raw) {
			k.refused = identity.ReasonKeyWeak
		}
		return k, nil
	}
	if private, err := jwk.IsPrivateKey(parsed); err != nil || private {
		// Symmetric, or a private key that the world has now seen.
		k.refused = identity.ReasonKeyTypeMismatch
		return k, nil
	}
	var public any // jwx takes this very type as "whatever the key is"
	if err := jwk.Export(parsed, &public); err != nil {
		k.refused = identity.ReasonKeyTypeMismatch
		return k, nil
	}
	k.public = public
	k.refused = unusable(parsed, k.public)
	return k, nil
}

// smallModulus says whether raw is an RSA key whose modulus jwx found too small.
func smallModulus(raw []byte) bool {
	m, err := strictjson.Members(nil, raw)
	if err != nil || !strictjson.Lookup(m, "kty").Equals("RSA") {
		return false
	}
	n, _ := strictjson.Lookup(m, "n").Text()
	b, ok := decode(n)
	return ok && len(b) > 0 && len(bytes.TrimLeft(b, "\x00"))*8 <= minRSABits
}

func unusable(parsed jwk.Key, public crypto.PublicKey) identity.Reason {
	switch pk := public.(type) {
	case *rsa.PublicKey:
		if bits := pk.N.BitLen(); bits < minRSABits || bits > maxRSABits || pk.E < 3 {
			return identity.ReasonKeyWeak
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return identity.ReasonKeyTypeMismatch
	}
	// RFC 7517, sections 4.2 and 4.3.
	if use, ok := parsed.KeyUsage(); ok && use != string(jwk.ForSignature) {
		return identity.ReasonKeyUse
	}
	if ops, ok := parsed.KeyOps(); ok && !slices.Contains(ops, jwk.KeyOpVerify) {
		return identity.ReasonKeyUse
	}
	return ""
}

func (s *keySet) usable() int {
	n := 0
	for _, k := range s.keys {
		if k.refused == "" {
			n++
		}
	}
	return n
}

// adopt makes s follow old: keys that both hold stay the same objects, and those that
// only old held are withdrawn. It says whether any was.
func (s *keySet) adopt(old *keySet) (withdrawn bool) {
	if old == nil {
		return false
	}
	kept := make(map[*key]bool, len(old.keys))
	for i, k := range s.keys {
		for _, o := range old.keys {
			if o.digest == k.digest && !kept[o] {
				s.replace(i, o)
				kept[o] = true
				break
			}
		}
	}
	for _, o := range old.keys {
		if !kept[o] {
			o.withdrawn.Store(true)
			withdrawn = true
		}
	}
	return withdrawn
}

func (s *keySet) replace(i int, by *key) {
	same := s.byID[s.keys[i].id]
	if j := slices.Index(same, s.keys[i]); j >= 0 {
		same[j] = by
	}
	s.keys[i] = by
}

// find returns the key for a header: the one with its key id or, without one, the only
// key that fits.
func (s *keySet) find(h *header, a *algorithm) (*key, identity.Reason) {
	candidates := s.keys
	if h.hasKeyID {
		candidates = s.byID[h.keyID]
	}
	var found *key
	reason := identity.ReasonKeyUnknown
	for _, k := range candidates {
		r := a.fits(k)
		switch {
		case r == "" && found != nil:
			// RFC 7517, section 4.5 lets keys share an id only as alternatives of
			// different types: between two that fit, nobody should guess.
			return nil, identity.ReasonKeyAmbiguous
		case r == "":
			found = k
		case h.hasKeyID:
			reason = r
		}
	}
	if found == nil {
		return nil, reason
	}
	return found, ""
}
