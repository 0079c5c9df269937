// Package tenant says what can name a tenant, and makes that name of the claims of a verified
// token. A tenant is never taken from the request: package
// token, apikey and session take it from the credential (design: "Tenant: only from the
// verified principal").
//
// The package is pure.
package tenant

// MaxLength is the largest length of a tenant's name, in bytes.
const MaxLength = 64

// Valid says whether s can name a tenant: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, without two dots
// in a row. Such a name is safe as a file name, a metric label, a header value and a path
// segment.
func Valid(s string) bool {
	if s == "" || len(s) > MaxLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '-' || c == '_'):
		case i > 0 && c == '.' && s[i-1] != '.':
		default:
			return false
		}
	}
	return true
}
