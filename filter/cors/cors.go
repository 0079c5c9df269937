// Package cors answers cross-origin requests as the Fetch standard (section
// 3.3, "HTTP-CORS protocol") has it, and refuses where the standard leaves a
// choice.
//
// It is pure: facts of a request in, headers out. The authz service answers
// preflights with [Matcher.Preflight] and decorates its denials with
// [Matcher.Response]; the Wasm filter decorates all other responses with the
// same function.
//
// What is stricter than the standard asks for:
//
//   - The origin "null" (sandboxed frames, file: URLs) is never allowed, not
//     even by "*": anyone can produce it.
//   - A preflight that asks for more than is allowed is refused as a whole
//     instead of being answered with less. That holds for GET, HEAD and POST
//     too, which browsers let through unasked.
package cors

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/headers"
)

// Policy is what a [Matcher] is built from. The zero value allows no origin.
type Policy struct {
	// AllowOrigins are serialized origins ("https://app.example.com",
	// "http://localhost:3000"), wildcards for subdomains
	// ("https://*.example.com": one or more labels, never the apex itself), or
	// "*" alone for every origin.
	AllowOrigins []string
	// AllowMethods are methods in upper case, or "*" alone. Empty means GET,
	// HEAD and POST.
	AllowMethods []string
	// AllowHeaders are request headers beyond the safelisted ones, in any case,
	// or "*", which does not cover authorization (Fetch, section 3.3.4).
	AllowHeaders []string
	// ExposeHeaders are response headers that scripts may read, or "*".
	ExposeHeaders []string
	// AllowCredentials lets browsers send cookies and client certificates.
	// Together with any "*" it is an error.
	AllowCredentials bool
	// MaxAge is how long a browser may keep a preflight's answer, in whole
	// seconds, at most 24 hours. Zero leaves it to the browser (5 seconds).
	MaxAge time.Duration
	// AllowPrivateNetwork lets pages of a public network reach this service in
	// a private one (Private Network Access). Together with "*" as origin it is
	// an error.
	AllowPrivateNetwork bool
}

// Limits of what [New] and the [Matcher] take.
const (
	// MaxList is the number of entries of each list of a [Policy], and of the
	// headers that one preflight may ask for.
	MaxList = 128
	// MaxOrigin is the length of an origin in bytes: a scheme, a host of at
	// most 253 bytes, a port.
	MaxOrigin = 320
	// MaxRequestHeaders is the length in bytes of
	// Access-Control-Request-Headers.
	MaxRequestHeaders = 4096
	// MaxAge is the longest that a preflight's answer may be kept.
	MaxAge = 24 * time.Hour
)

// Reason says what is wrong with a [Policy].
type Reason string

// The reasons of an [Error].
const (
	TooMany                Reason = "more than 128 entries"
	BadOrigin              Reason = "not an origin: scheme://host or scheme://host:port in ASCII, without path, user or default port"
	NullOrigin             Reason = "the null origin can be produced by anyone and is never allowed"
	BadWildcard            Reason = "a wildcard stands for whole labels in front of a name of two or more labels, as in https://*.example.com"
	WildcardNotAlone       Reason = "* already allows everything; name it alone"
	WildcardCredentials    Reason = "* together with credentials would let every website act as its visitors"
	WildcardPrivateNetwork Reason = "* together with private network access would let every website reach into the network"
	BadMethod              Reason = "not a method in upper case that browsers may send"
	BadHeader              Reason = "not a header name"
	BadMaxAge              Reason = "must be between 0 and 24 hours"
)

// Error names the entry of a [Policy] that [New] refused.
type Error struct {
	// Field is the list or value: allow_origins, allow_methods, allow_headers,
	// expose_headers or max_age.
	Field string
	// Value is the entry as it was given; empty when the fault is not in one.
	Value  string
	Reason Reason
}

func (e *Error) Error() string {
	s := "cors: " + e.Field
	if e.Value != "" {
		s += " " + strconv.Quote(e.Value)
	}
	return s + ": " + string(e.Reason)
}

// The names of the headers that this package sends.
const (
	allowOrigin         = "access-control-allow-origin"
	allowCredentials    = "access-control-allow-credentials"
	allowMethods        = "access-control-allow-methods"
	allowHeaders        = "access-control-allow-headers"
	allowPrivateNetwork = "access-control-allow-private-network"
	exposeHeaders       = "access-control-expose-headers"
	maxAge              = "access-control-max-age"
	vary                = "vary"

	varyResponse  = "Origin"
	varyPreflight = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
)

// ResponseHeader reports whether a response header, named in lower case, is one
// that only this package may set. A host takes the upstream's off before it adds
// [Matcher.Response], lest a lax upstream widen the policy. It is true for
// every access-control- name and false for vary, which is appended to.
func ResponseHeader(name string) bool { return strings.HasPrefix(name, "access-control-") }

// Matcher is a compiled [Policy]. It is immutable and safe for concurrent use.
type Matcher struct {
	anyOrigin bool
	exact     map[string]string // origin to itself, to answer with our copy
	wildcards []wildcard

	anyMethod   bool
	methods     []string
	methodsLine string

	anyHeader bool
	headers   []string // lower case, sorted

	credentials    bool
	privateNetwork bool
	exposeLine     string
	maxAgeLine     string
	varyPreflight  string
}

// New compiles a policy. The error is an [*Error].
func New(p Policy) (*Matcher, error) {
	m := &Matcher{
		exact:          make(map[string]string, len(p.AllowOrigins)),
		credentials:    p.AllowCredentials,
		privateNetwork: p.AllowPrivateNetwork,
		varyPreflight:  varyPreflight,
	}
	if err := m.compileOrigins(p); err != nil {
		return nil, err
	}
	if err := m.compileMethods(p); err != nil {
		return nil, err
	}
	if err := m.compileHeaders(p); err != nil {
		return nil, err
	}
	if p.MaxAge < 0 || p.MaxAge > MaxAge {
		return nil, &Error{"max_age", p.MaxAge.String(), BadMaxAge}
	}
	if s := int64(p.MaxAge / time.Second); s > 0 {
		m.maxAgeLine = strconv.FormatInt(s, 10)
	}
	if p.AllowPrivateNetwork {
		m.varyPreflight += ", Access-Control-Request-Private-Network"
	}
	return m, nil
}

func (m *Matcher) compileMethods(p Policy) error {
	const field = "allow_methods"
	if len(p.AllowMethods) > MaxList {
		return &Error{field, "", TooMany}
	}
	m.methods = []string{"GET", "HEAD", "POST"}
	if len(p.AllowMethods) > 0 {
		m.methods = nil
	}
	for _, method := range p.AllowMethods {
		if method == "*" {
			if len(p.AllowMethods) > 1 {
				return &Error{field, method, WildcardNotAlone}
			}
			if p.AllowCredentials {
				return &Error{field, method, WildcardCredentials}
			}
			m.anyMethod = true
			continue
		}
		if !headers.ValidName(method) || strings.ToUpper(method) != method || forbiddenMethod(method) {
			return &Error{field, method, BadMethod}
		}
		if !slices.Contains(m.methods, method) {
			m.methods = append(m.methods, method)
		}
	}
	m.methodsLine = strings.Join(m.methods, ", ")
	if m.anyMethod {
		m.methodsLine = "*"
	}
	return nil
}

// forbiddenMethod are the methods that Fetch never sends (section 2.2.1).
func forbiddenMethod(method string) bool {
	return strings.EqualFold(method, "CONNECT") || strings.EqualFold(method, "TRACE") || strings.EqualFold(method, "TRACK")
}

func (m *Matcher) compileHeaders(p Policy) error {
	names, star, err := headerList("allow_headers", p.AllowHeaders, p.AllowCredentials)
	if err != nil {
		return err
	}
	m.anyHeader, m.headers = star, names
	names, star, err = headerList("expose_headers", p.ExposeHeaders, p.AllowCredentials)
	if err != nil {
		return err
	}
	if star {
		names = append([]string{"*"}, names...)
	}
	m.exposeLine = strings.Join(names, ", ")
	return nil
}

// headerList returns the names in lower case, sorted, each once, and whether
// the list has a star.
func headerList(field string, list []string, credentials bool) (names []string, star bool, err error) {
	if len(list) > MaxList {
		return nil, false, &Error{field, "", TooMany}
	}
	for _, name := range list {
		switch {
		case name == "*" && credentials:
			return nil, false, &Error{field, name, WildcardCredentials}
		case name == "*":
			star = true
		case !headers.ValidName(name):
			return nil, false, &Error{field, name, BadHeader}
		default:
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), star, nil
}

// Allows reports whether a request's Origin is allowed.
func (m *Matcher) Allows(origin string) bool { return m.match(origin) != "" }

// match returns the value of Access-Control-Allow-Origin for a request's
// Origin, or "" when it is not allowed.
func (m *Matcher) match(origin string) string {
	if own, ok := m.exact[origin]; ok {
		return own
	}
	if !m.anyOrigin && len(m.exact) == 0 && len(m.wildcards) == 0 {
		return ""
	}
	o, ok := parseOrigin(origin)
	if !ok {
		return ""
	}
	if m.anyOrigin {
		return "*"
	}
	if hasUpper(origin) {
		// Browsers serialize in lower case; others are taken at their meaning.
		origin = strings.ToLower(origin)
		if own, ok := m.exact[origin]; ok {
			return own
		}
		o, _ = parseOrigin(origin)
	}
	for i := range m.wildcards {
		if m.wildcards[i].match(o) {
			return origin
		}
	}
	return ""
}

// IsPreflight reports whether a request is a CORS preflight (Fetch, section
// 3.3.2): OPTIONS with an Origin and an Access-Control-Request-Method. Any
// other request, plain OPTIONS included, goes the usual way.
func (m *Matcher) IsPreflight(method, origin, requestMethod string) bool {
	return method == "OPTIONS" && origin != "" && requestMethod != ""
}

// Preflight appends the headers of a preflight's answer to dst. The arguments
// are the values of Origin, Access-Control-Request-Method,
// Access-Control-Request-Headers and Access-Control-Request-Private-Network,
// "" where one is absent; a host that got one of them more than once passes
// them joined by commas (which refuses them) or refuses them itself.
//
// False means that the preflight is refused: the origin, the method, one of the
// headers or the private network is not allowed, or a value is malformed. Then
// only Vary was appended.
func (m *Matcher) Preflight(dst []headers.Header, origin, requestMethod, requestHeaders, requestPrivateNetwork string) ([]headers.Header, bool) {
	dst = append(dst, headers.Header{Name: vary, Value: m.varyPreflight})
	private := requestPrivateNetwork == "true"
	allowed := m.match(origin)
	if allowed == "" || !m.allowsMethod(requestMethod) || !m.allowsHeaders(requestHeaders) || private && !m.privateNetwork {
		return dst, false
	}
	dst = m.appendOrigin(dst, allowed)
	dst = append(dst, headers.Header{Name: allowMethods, Value: m.methodsLine})
	if requestHeaders = trim(requestHeaders); requestHeaders != "" {
		// All of them are allowed, so the list is its own answer. It tells
		// nothing about headers that were not asked for.
		dst = append(dst, headers.Header{Name: allowHeaders, Value: requestHeaders})
	}
	if private {
		dst = append(dst, headers.Header{Name: allowPrivateNetwork, Value: "true"})
	}
	if m.maxAgeLine != "" {
		dst = append(dst, headers.Header{Name: maxAge, Value: m.maxAgeLine})
	}
	return dst, true
}

// Response appends the headers of any response that is not a preflight's to
// dst. Vary is always appended, so that a cache never gives one origin's answer
// to another; a host adds it to the Vary that the upstream sent. The other
// headers follow only when the origin, the request's Origin or "" without one,
// is allowed, and they replace the upstream's (see [ResponseHeader]).
//
// It does not allocate beyond the growth of dst.
func (m *Matcher) Response(dst []headers.Header, origin string) []headers.Header {
	dst = append(dst, headers.Header{Name: vary, Value: varyResponse})
	if origin == "" {
		return dst
	}
	allowed := m.match(origin)
	if allowed == "" {
		return dst
	}
	dst = m.appendOrigin(dst, allowed)
	if m.exposeLine != "" {
		dst = append(dst, headers.Header{Name: exposeHeaders, Value: m.exposeLine})
	}
	return dst
}

func (m *Matcher) appendOrigin(dst []headers.Header, allowed string) []headers.Header {
	dst = append(dst, headers.Header{Name: allowOrigin, Value: allowed})
	if m.credentials {
		dst = append(dst, headers.Header{Name: allowCredentials, Value: "true"})
	}
	return dst
}

// allowsMethod compares as Fetch does: by bytes, as methods have case.
func (m *Matcher) allowsMethod(method string) bool {
	if m.anyMethod {
		return headers.ValidName(method) && !forbiddenMethod(method)
	}
	return slices.Contains(m.methods, method)
}

// allowsHeaders reports whether each name of a comma-separated list is allowed.
// Empty elements are skipped (RFC 9110, section 5.6.1.2).
func (m *Matcher) allowsHeaders(list string) bool {
	if len(list) > MaxRequestHeaders {
		return false
	}
	for n := 0; list != ""; n++ {
		if n == MaxList {
			return false
		}
		var name string
		name, list, _ = strings.Cut(list, ",")
		if name = trim(name); name != "" && !m.allowsHeader(name) {
			return false
		}
	}
	return true
}

func (m *Matcher) allowsHeader(name string) bool {
	for _, allowed := range m.headers {
		if equalFold(allowed, name) {
			return true
		}
	}
	return m.anyHeader && headers.ValidName(name) && !equalFold("authorization", name)
}
