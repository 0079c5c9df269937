// Package tenant says what can name a tenant, makes that name of the claims of a verified
// token, and compares the tenant that a request names with that of its verified principal. A tenant is never taken from the request: package
// token, apikey and session take it from the credential (design: "Tenant: only from the
// verified principal").
//
// The package is pure.
package tenant

import "github.com/memgate/memgate/filter/identity"

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

// Compare compares the tenant of the verified principal with one that the request names
// in a header, path, query or body; requestNamed is empty where it names none. The
// comparison is exact, case included. A difference is an *identity.Error of
// identity.ClassForbidden (403) with identity.ReasonTenantMismatch.
func Compare(principalTenant, requestNamed string) error {
	if requestNamed == "" || requestNamed == principalTenant {
		return nil
	}
	return identity.Forbidden(identity.ReasonTenantMismatch, nil)
}
