package token

import (
	"errors"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// maxSigned bounds what VerifySignature takes, in bytes.
const maxSigned = 1 << 20

// VerifySignature checks the signature of any JWS in compact serialization (RFC 7515,
// section 7.1), whatever its payload is, by the public keys of a JWK Set or one JWK (RFC
// 7517). It accepts the algorithms that IssuerConfig.Algorithms lists, so never "none" or
// an HMAC, and no key that the JWS itself brings along (jwk, jku, x5c, x5u).
//
// A JWS with a key id is checked by the keys with that id and those without any; one
// without, by each key of a fitting type. Its refusals are *identity.Error; another error
// means that keys cannot be read.
func VerifySignature(keys []byte, compact string) error {
	set, err := parseKeySet(asSet(keys))
	if err != nil {
		return err
	}
	if len(set.keys) == 0 {
		return errNoKeys
	}
	jws, reason := parseCompact(compact, form{limit: maxSigned, anyPayload: true})
	if reason != "" {
		return identity.Unauthenticated(reason, nil)
	}
	a := algorithmNamed(jws.header.algorithm)
	if a == nil {
		return identity.Unauthenticated(identity.ReasonAlgorithmNotAllowed, errors.New("unknown algorithm "+quote(jws.header.algorithm)))
	}
	refused := identity.ReasonKeyUnknown
	for _, k := range set.keys {
		if jws.header.hasKeyID && k.stated != "" && k.stated != jws.header.keyID {
			continue
		}
		reason := a.fits(k)
		if reason == "" {
			if reason = a.verify(k, []byte(jws.input), jws.signature); reason == "" {
				return nil
			}
		}
		if refused == identity.ReasonKeyUnknown || refused == identity.ReasonKeyTypeMismatch {
			refused = reason
		}
	}
	return identity.Unauthenticated(refused, nil)
}

// asSet makes a set of one JWK.
func asSet(b []byte) []byte {
	m, err := strictjson.Members(nil, b)
	if err != nil || strictjson.Lookup(m, "keys").Kind() != strictjson.Absent || strictjson.Lookup(m, "kty").Kind() == strictjson.Absent {
		return b
	}
	return append(append([]byte(`{"keys":[`), b...), "]}"...)
}
