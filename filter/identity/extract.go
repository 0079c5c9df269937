package identity

import "strings"

// APIKeyPrefix starts every API key, SessionPrefix every session token.
const (
	APIKeyPrefix  = "mg_"
	SessionPrefix = "ms_"
)

// Credentials are what a request presents, not yet verified. At most one of Token and
// APIKey is set; Session may stand alone or beside either.
type Credentials struct {
	// Token is a JWT in compact form (RFC 7519).
	Token string
	// APIKey is an API key.
	APIKey string
	// Session is a session token.
	Session string
	// Proven says that Token came with the scheme DPoP (RFC 9449, section 7.1).
	Proven bool
}

// Empty says whether the request presents nothing at all.
func (c *Credentials) Empty() bool {
	return c.Token == "" && c.APIKey == "" && c.Session == ""
}

// Extract reads the credentials of a request from all values of its headers
// Authorization, X-API-Key and X-Session-Token.
//
// Authorization is read as RFC 9110, section 11.6.2 has it, with a token68 value, which
// holds no comma. "Bearer" (RFC 6750) takes an API key when the value starts with "mg_"
// and a JWT otherwise; "DPoP" (RFC 9449) takes a JWT; "Token" and "ApiKey" take an API key. A header that occurs more
// than once, or whose value holds a comma (Envoy joins repeated headers by one), is
// refused, since two readers could then believe two credentials. An empty value is refused
// too: a client that sends one is broken and should learn of it.
//
// Every error is an *Error of ClassMalformed, but for an unsupported scheme, which is
// ClassUnauthenticated so that the answer carries the challenge of the right scheme.
func Extract(authorization, apiKey, session []string) (Credentials, error) {
	var c Credentials
	if len(authorization) > 1 || len(apiKey) > 1 || len(session) > 1 {
		return Credentials{}, Malformed(ReasonRepeatedCredential, nil)
	}
	if len(authorization) == 1 {
		if err := c.authorization(authorization[0]); err != nil {
			return Credentials{}, err
		}
	}
	if len(apiKey) == 1 {
		v, err := opaque(apiKey[0], ReasonMalformedAPIKeyHeader)
		if err != nil {
			return Credentials{}, err
		}
		if c.Token != "" || c.APIKey != "" {
			return Credentials{}, Malformed(ReasonAmbiguousCredentials, nil)
		}
		c.APIKey = v
	}
	if len(session) == 1 {
		v, err := opaque(session[0], ReasonMalformedSessionHeader)
		if err != nil {
			return Credentials{}, err
		}
		c.Session = v
	}
	return c, nil
}

func (c *Credentials) authorization(v string) error {
	if strings.IndexByte(v, ',') >= 0 {
		return Malformed(ReasonRepeatedCredential, nil)
	}
	v = strings.Trim(v, " \t")
	sp := strings.IndexByte(v, ' ')
	if sp <= 0 {
		return Malformed(ReasonMalformedAuthorization, nil)
	}
	scheme, value := v[:sp], strings.TrimLeft(v[sp:], " ")
	bearer, proven := strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "DPoP")
	if !bearer && !proven && !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "ApiKey") {
		return Unauthenticated(ReasonUnsupportedScheme, nil)
	}
	if !isToken68(value) {
		return Malformed(ReasonMalformedAuthorization, nil)
	}
	switch {
	case proven:
		c.Token, c.Proven = value, true
	case bearer && !strings.HasPrefix(value, APIKeyPrefix):
		c.Token = value
	default:
		c.APIKey = value
	}
	return nil
}

// isToken68 says whether s is a token68 (RFC 9110, section 11.2): at least one of
// ALPHA DIGIT "-" "." "_" "~" "+" "/", then any number of "=".
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !token68Byte(s[i]) {
			return false
		}
	}
	return true
}

func token68Byte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		return true
	}
	return false
}

// opaque reads a header whose whole value is one credential of token68 bytes.
func opaque(v string, malformed Reason) (string, error) {
	if strings.IndexByte(v, ',') >= 0 {
		return "", Malformed(ReasonRepeatedCredential, nil)
	}
	v = strings.Trim(v, " \t")
	if !isToken68(v) {
		return "", Malformed(malformed, nil)
	}
	return v, nil
}
