package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms below
	_ "crypto/sha512"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
	"github.com/memgate/memgate/filter/identity"
)

// minRSABits is the least size of an RSA modulus (RFC 7518, sections 3.3 and 3.5);
// maxRSABits bounds what a verification may cost.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// family is the sort of key that an algorithm works with.
type family uint8

const (
	rsaPKCS1 family = iota
	rsaPSS
	ecdsaCurve
	ed25519Curve
)

// algorithm is a signature algorithm (RFC 7518, section 3; RFC 8037; RFC 9864).
type algorithm struct {
	name   string
	family family
	hash   crypto.Hash
	curve  elliptic.Curve
	size   int // of an ECDSA or EdDSA signature, in bytes
}

// algorithmNamed returns the algorithm called name, or nil. The list ends here: there is
// no "none", no HMAC and no registry that another package could add to.
func algorithmNamed(name string) *algorithm {
	switch name {
	case "RS256":
		return &algorithm{name: name, family: rsaPKCS1, hash: crypto.SHA256}
	case "RS384":
		return &algorithm{name: name, family: rsaPKCS1, hash: crypto.SHA384}
	case "RS512":
		return &algorithm{name: name, family: rsaPKCS1, hash: crypto.SHA512}
	case "PS256":
		return &algorithm{name: name, family: rsaPSS, hash: crypto.SHA256}
	case "PS384":
		return &algorithm{name: name, family: rsaPSS, hash: crypto.SHA384}
	case "PS512":
		return &algorithm{name: name, family: rsaPSS, hash: crypto.SHA512}
	case "ES256":
		return &algorithm{name: name, family: ecdsaCurve, hash: crypto.SHA256, curve: elliptic.P256(), size: 64}
	case "ES384":
		return &algorithm{name: name, family: ecdsaCurve, hash: crypto.SHA384, curve: elliptic.P384(), size: 96}
	case "ES512":
		return &algorithm{name: name, family: ecdsaCurve, hash: crypto.SHA512, curve: elliptic.P521(), size: 132}
	case "EdDSA", "Ed25519":
		return &algorithm{name: name, family: ed25519Curve, size: ed25519.SignatureSize}
	}
	return nil
}

// refusedAlgorithm gives the reason for an "alg" that no issuer can allow.
func refusedAlgorithm(name string) identity.Reason {
	switch {
	case name == "":
		return identity.ReasonAlgorithmMissing
	case strings.EqualFold(name, "none"):
		return identity.ReasonAlgorithmNone
	case len(name) > 2 && strings.EqualFold(name[:2], "HS"):
		return identity.ReasonAlgorithmSymmetric
	}
	return ""
}

// fits says whether the key can be used with a, by its type and by what it states about
// itself; if not, for what reason.
func (a *algorithm) fits(k *key) identity.Reason {
	if k.refused != "" {
		return k.refused
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if a.family != rsaPKCS1 && a.family != rsaPSS {
			return identity.ReasonKeyTypeMismatch
		}
	case *ecdsa.PublicKey:
		if a.family != ecdsaCurve || public.Curve != a.curve {
			return identity.ReasonKeyTypeMismatch
		}
	case ed25519.PublicKey:
		if a.family != ed25519Curve {
			return identity.ReasonKeyTypeMismatch
		}
	default:
		return identity.ReasonKeyTypeMismatch
	}
	if k.algorithm != "" && k.algorithm != a.name {
		stated := algorithmNamed(k.algorithm)
		if stated == nil || stated.family != ed25519Curve || a.family != ed25519Curve {
			return identity.ReasonKeyUse
		}
	}
	return ""
}

// verify checks the signature of input by k, which fits a. The length is checked first:
// RFC 7518, section 3.4 fixes it, and RFC 8017 that of RSA.
func (a *algorithm) verify(k *key, input, signature []byte) identity.Reason {
	want := a.size
	public, isRSA := k.public.(*rsa.PublicKey)
	if isRSA {
		want = public.Size()
	}
	if len(signature) != want {
		return identity.ReasonSignatureLength
	}
	var err error
	switch pk := k.public.(type) {
	case *rsa.PublicKey:
		err = jwsbb.VerifyRSA(pk, input, signature, a.hash, a.family == rsaPSS)
	case *ecdsa.PublicKey:
		err = jwsbb.VerifyECDSA(pk, input, signature, a.hash)
	case ed25519.PublicKey:
		err = jwsbb.VerifyEdDSA(pk, input, signature)
	}
	if err != nil {
		return identity.ReasonSignatureInvalid
	}
	return ""
}
