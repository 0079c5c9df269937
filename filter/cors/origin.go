package cors

import (
	"strconv"
	"strings"
)

// origin is a serialized origin in its parts: scheme "://" host [ ":" port ]
// (HTML standard, "ASCII serialization of an origin"). The parts are slices of
// what was parsed.
type origin struct{ scheme, host, port string }

// parseOrigin takes exactly what a browser can send as a tuple origin: ASCII,
// no user, no path, a host of DNS labels or an address, a port of 1 to 65535
// without leading zeros. "null", an empty string, and anything longer than
// [MaxOrigin] are refused.
func parseOrigin(s string) (origin, bool) {
	if len(s) > MaxOrigin {
		return origin{}, false
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found || !validScheme(scheme) {
		return origin{}, false
	}
	host, port := rest, ""
	if end := strings.LastIndexByte(rest, ':'); end > strings.LastIndexByte(rest, ']') {
		host, port = rest[:end], rest[end+1:]
		if !validPort(port) {
			return origin{}, false
		}
	}
	if !validHost(host) {
		return origin{}, false
	}
	return origin{scheme, host, port}, true
}

// validScheme is RFC 3986, section 3.1.
func validScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		alpha := 'a' <= c|0x20 && c|0x20 <= 'z'
		other := '0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'
		if !alpha && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

func validPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

// validHost takes names and IPv4 addresses of non-empty labels of at most 63
// bytes, 253 in all, and bracketed IPv6 addresses by their alphabet.
func validHost(s string) bool {
	if strings.HasPrefix(s, "[") {
		if len(s) < 4 || len(s) > 47 || s[len(s)-1] != ']' {
			return false
		}
		for _, c := range []byte(s[1 : len(s)-1]) {
			hex := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
			if !hex && c != ':' && c != '.' {
				return false
			}
		}
		return true
	}
	if len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if label == 0 {
				return false
			}
			label = 0
			continue
		}
		alnum := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !alnum && c != '-' && c != '_' {
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0
}

// wildcard is "scheme://*.example.com:port".
type wildcard struct {
	scheme, suffix, port string // suffix with its leading dot
}

// match reports whether o lies under the wildcard: same scheme and port, and
// one or more whole labels before the suffix. The parts of o are in lower case
// and its host has no empty label.
func (w *wildcard) match(o origin) bool {
	return o.scheme == w.scheme && o.port == w.port &&
		len(o.host) > len(w.suffix) && o.host[len(o.host)-len(w.suffix):] == w.suffix
}

func (m *Matcher) compileOrigins(p Policy) error {
	const field = "allow_origins"
	if len(p.AllowOrigins) > MaxList {
		return &Error{field, "", TooMany}
	}
	for _, given := range p.AllowOrigins {
		s := strings.ToLower(given)
		switch {
		case !isASCII(given):
			return &Error{field, given, BadOrigin}
		case s == "null":
			return &Error{field, given, NullOrigin}
		case s == "*":
			switch {
			case len(p.AllowOrigins) > 1:
				return &Error{field, given, WildcardNotAlone}
			case p.AllowCredentials:
				return &Error{field, given, WildcardCredentials}
			case p.AllowPrivateNetwork:
				return &Error{field, given, WildcardPrivateNetwork}
			}
			m.anyOrigin = true
		case strings.Contains(s, "*"):
			w, reason := compileWildcard(s)
			if reason != "" {
				return &Error{field, given, reason}
			}
			m.wildcards = append(m.wildcards, w)
		default:
			o, ok := parseOrigin(s)
			if !ok || defaultPort(o) {
				return &Error{field, given, BadOrigin}
			}
			m.exact[s] = s
		}
	}
	return nil
}

// compileWildcard takes scheme://*.name[:port]. The name has at least two
// labels, as one label is a whole top-level domain; localhost is an exception,
// as it leaves no machine. A name whose last label is a number would be an
// address, which has no subdomains.
func compileWildcard(s string) (wildcard, Reason) {
	scheme, rest, found := strings.Cut(s, "://*.")
	if !found || strings.Contains(rest, "*") || strings.HasPrefix(rest, "[") {
		return wildcard{}, BadWildcard
	}
	o, ok := parseOrigin(scheme + "://" + rest)
	if !ok || defaultPort(o) {
		return wildcard{}, BadOrigin
	}
	dot := strings.LastIndexByte(o.host, '.')
	if _, err := strconv.Atoi(o.host[dot+1:]); err == nil || dot < 0 && o.host != "localhost" {
		return wildcard{}, BadWildcard
	}
	return wildcard{o.scheme, "." + o.host, o.port}, ""
}

// defaultPort reports a port that serialization leaves out, so that an origin
// that names it could never match.
func defaultPort(o origin) bool {
	return o.scheme == "https" && o.port == "443" || o.scheme == "http" && o.port == "80"
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func hasUpper(s string) bool {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// equalFold compares with a string that is already in lower case, in ASCII:
// Unicode's folding would take the Kelvin sign for a k.
func equalFold(lower, s string) bool {
	if len(lower) != len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trim takes optional whitespace off both ends (RFC 9110, section 5.6.3).
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
