package problem

// The error codes of RFC 6750, section 3.1, for [AppendChallenge].
const (
	// NoCredential: none was sent; the challenge then carries no error.
	NoCredential = ""
	// InvalidRequest goes with 400.
	InvalidRequest = "invalid_request"
	// InvalidToken goes with 401 when a credential was sent and refused.
	InvalidToken = "invalid_token"
	// InvalidProof goes with 401 when the proof of a token is refused (RFC 9449, section 7.1).
	InvalidProof = "invalid_dpop_proof"
	// UseNonce goes with 401 when the proof needs another nonce, which the header DPoP-Nonce
	// tells (RFC 9449, section 9).
	UseNonce = "use_dpop_nonce"
	// InsufficientScope goes with 403.
	InsufficientScope = "insufficient_scope"
)

// AppendChallenge appends the value of WWW-Authenticate (RFC 6750, section 3):
//
//	Bearer realm="memgate"
//	Bearer realm="memgate", error="invalid_token"
//	Bearer realm="memgate", error="insufficient_scope", scope="memory:read memory:write"
//
// errorCode is one of this package's codes; [NoCredential] leaves the error out,
// as section 3.1 asks for. scope is the list of scopes that the request needs,
// separated by spaces; empty leaves it out. metadata is the URL of the protected
// resource's metadata (RFC 9728, section 5.1), by which a client finds the
// issuers; empty leaves it out. Characters that may not stand in an
// attribute are dropped, so the value is always a valid one.
func AppendChallenge(dst []byte, realm, errorCode, scope, metadata string) []byte {
	return appendChallenge(append(dst, "Bearer"...), realm, errorCode, scope, metadata)
}

// AppendDPoPChallenge appends the challenge of the scheme DPoP (RFC 9449, section 7.1),
// which tells the signature algorithms that a proof may have, separated by spaces:
//
//	DPoP realm="memgate", error="invalid_dpop_proof", algs="ES256 EdDSA"
func AppendDPoPChallenge(dst []byte, realm, errorCode, scope, metadata, algorithms string) []byte {
	dst = appendChallenge(append(dst, "DPoP"...), realm, errorCode, scope, metadata)
	dst = append(dst, `, algs="`...)
	dst = appendAttribute(dst, algorithms)
	return append(dst, '"')
}

func appendChallenge(dst []byte, realm, errorCode, scope, metadata string) []byte {
	dst = append(dst, ` realm="`...)
	dst = appendAttribute(dst, realm)
	dst = append(dst, '"')
	if errorCode != "" {
		dst = append(dst, `, error="`...)
		dst = appendAttribute(dst, errorCode)
		dst = append(dst, '"')
	}
	if scope != "" {
		dst = append(dst, `, scope="`...)
		dst = appendAttribute(dst, scope)
		dst = append(dst, '"')
	}
	if metadata != "" {
		dst = append(dst, `, resource_metadata="`...)
		dst = appendAttribute(dst, metadata)
		dst = append(dst, '"')
	}
	return dst
}

// appendAttribute keeps %x20-21 / %x23-5B / %x5D-7E (RFC 6750, section 3).
func appendAttribute(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			dst = append(dst, c)
		}
	}
	return dst
}
