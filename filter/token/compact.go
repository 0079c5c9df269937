package token

import (
	"encoding/base64"
	"strings"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// Bounds on one token.
const (
	// MaxLength is the largest length of a token, in bytes.
	MaxLength = 8 << 10
	// MaxKeyIDLength is the largest length of a "kid", in bytes.
	MaxKeyIDLength = 256
)

// form is what a text in compact form may be.
type form struct {
	limit      int  // bytes
	anyPayload bool // not a JWT: the payload may be anything, and so may the key id
	proof      bool // a DPoP proof: the header brings its key
}

var formOfToken = form{limit: MaxLength}

// compact is a token taken apart: nothing of it is verified.
type compact struct {
	input     string // what the signature is of
	payload   []byte
	signature []byte
	header    header
}

// header is what of a JOSE header (RFC 7515, section 4.1) has a meaning here.
type header struct {
	algorithm string
	keyID     string
	hasKeyID  bool
	typ       string
	jwk       strictjson.Value // of a DPoP proof
}

// parseCompact takes a token in JWS compact serialization (RFC 7515, section 7.1) apart
// and refuses whatever could be read in two ways.
func parseCompact(token string, as form) (*compact, identity.Reason) {
	if len(token) > as.limit {
		return nil, identity.ReasonTokenTooLong
	}
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first < 0 || first == last {
		return nil, identity.ReasonTokenNotCompact
	}
	switch strings.Count(token, ".") {
	case 2:
	case 4:
		// RFC 7516, section 3.1: five parts are a JWE.
		return nil, identity.ReasonTokenEncrypted
	default:
		return nil, identity.ReasonTokenNotCompact
	}
	c := &compact{input: token[:last]}
	headerJSON, ok := decode(token[:first])
	if !ok {
		return nil, identity.ReasonTokenBase64
	}
	if reason := c.header.parse(headerJSON, as); reason != "" {
		return nil, reason
	}
	if c.payload, ok = decode(token[first+1 : last]); !ok {
		return nil, identity.ReasonTokenBase64
	}
	if c.signature, ok = decode(token[last+1:]); !ok {
		return nil, identity.ReasonTokenBase64
	}
	return c, ""
}

// decode decodes base64url (RFC 4648, section 5) as RFC 7515, section 2 has it: no
// padding, no bits left over, and none of the line breaks that encoding/base64 skips.
func decode(s string) ([]byte, bool) {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

func (h *header) parse(b []byte, as form) identity.Reason {
	var buf [12]strictjson.Member
	members, err := strictjson.Members(buf[:0], b)
	if err != nil {
		return jsonReason(err, identity.ReasonTokenHeaderMalformed)
	}
	var critical, unencoded, encrypted, compressed, embedded bool
	for i := range members {
		v := members[i].Value
		ok := true
		switch string(members[i].Name) {
		case "alg":
			h.algorithm, ok = v.Text()
		case "kid":
			h.keyID, ok = v.Text()
			h.hasKeyID = true
		case "typ":
			h.typ, ok = v.Text()
		case "cty":
			var cty string
			cty, ok = v.Text()
			if !as.anyPayload && strings.EqualFold(mediaType(cty), "jwt") {
				return identity.ReasonTokenNested
			}
		case "enc":
			encrypted = true
		case "zip":
			compressed = true
		case "b64":
			unencoded = true
		case "crit":
			critical = true
		case "jwk":
			h.jwk = v
			embedded = embedded || !as.proof
		case "jku", "x5u", "x5c":
			embedded = true
		}
		if !ok {
			return identity.ReasonTokenHeaderMalformed
		}
	}
	switch {
	case encrypted:
		return identity.ReasonTokenEncrypted
	case embedded:
		return identity.ReasonTokenEmbeddedKey
	case unencoded:
		// RFC 7797 lets "b64" in only beside "crit", and a JWT must not use it
		// (section 7).
		return identity.ReasonTokenUnencoded
	case critical:
		// No extension is understood here, so each critical one is unknown.
		return identity.ReasonTokenCritical
	case compressed:
		return identity.ReasonTokenCompressed
	case h.hasKeyID && !as.anyPayload && !validKeyID(h.keyID):
		return identity.ReasonTokenKidMalformed
	}
	return refusedAlgorithm(h.algorithm)
}

// validKeyID bounds the key ids that are looked for. A key id is only ever compared, but
// whatever reads the logs or asks the issuer next shall not meet a path, a query or a
// script either. What stays allowed holds base64, UUIDs, dates, names and URLs.
func validKeyID(s string) bool {
	if s == "" || len(s) > MaxKeyIDLength || strings.Contains(s, "..") || s[0] == '/' {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._~+/=:@|#", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// mediaType drops the prefix that RFC 7515, section 4.1.9 lets a sender leave out.
func mediaType(s string) string {
	const prefix = "application/"
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):]
	}
	return s
}

func jsonReason(err error, malformed identity.Reason) identity.Reason {
	if err == strictjson.ErrDuplicate {
		return identity.ReasonTokenDuplicateMember
	}
	return malformed
}
