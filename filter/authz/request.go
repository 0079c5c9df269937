package authz

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// Request holds the facts of one HTTP request that a decision may depend on.
// It is filled in one pass over the request's headers.
type Request struct {
	ID     string // x-request-id, as Envoy set it
	Method string
	Path   string // as on the wire: not decoded, with its query
	Host   string // Host or :authority; joined by commas if it was sent twice

	// Address is the client's as Envoy determined it from the connection and
	// the hops that it trusts, never what a header says; "" when it has none.
	Address string

	// Origin and the three Access-Control-Request headers (Fetch standard,
	// section 3.3). Repeated values are joined by commas, which no origin or
	// method matches.
	Origin         string
	RequestMethod  string
	RequestHeaders string
	PrivateNetwork string

	// Every value of each header that can carry a credential.
	Authorization []string
	APIKey        []string
	Session       []string
	Proof         []string // DPoP (RFC 9449, section 4.1)

	// Early says that a proxy in front got the request in early data of TLS, so that whoever
	// recorded it can send it again. Whatever the header's value is, it counts as 1 (RFC 8470,
	// section 5.1).
	Early bool

	// Upgrade says that the client wants to switch to another protocol, of whose content
	// nobody would know anything. Not every mesh refuses it as this repository's Envoy does.
	Upgrade bool

	// Scheme is that of the request as Envoy saw it. A DPoP proof must name it and
	// Host, unless the policy says by which URL clients reach the edge.
	Scheme string

	// Certificate is the leaf that the peer presented on a TLS connection to
	// Envoy, as Envoy passes it on: PEM, URL-encoded; "" without one.
	Certificate string

	// Peer is the name that Envoy read from the certificate of the peer: the first URI
	// of its names, else the first DNS name, else its subject.
	Peer string

	// Unaudited is why the request could not be audited and must be refused, or
	// nil.
	Unaudited error

	// Reserved lists the headers that the client sent and may not: those that
	// only the edge sets, and those that steer the service behind it. They are
	// in lower case, each once.
	Reserved []string
	reserved map[string]bool // of Reserved, once it is long

	sent headerSet // of those that may be withheld

	// The headers themselves, in whichever form they came.
	wire   string // a core.v3.HeaderMap that was read
	lines  []*corev3.HeaderValue
	joined map[string]string
	added  [][2]string

	authorization [1]string // room for Authorization
}

// Names of the headers that the edge itself sets for the upstream.
const (
	HeaderTxnToken  = "txn-token"
	HeaderTenant    = "x-memgate-tenant"
	HeaderSubject   = "x-memgate-subject"
	HeaderRequestID = "x-request-id"

	reservedPrefix = "x-memgate-"
)

// steering are the headers by which frameworks and proxies take another path or
// another method than the request line says: the edge has decided about that
// one. The last is how Envoy says that nobody decided.
var steering = [...]string{
	"x-original-url", "x-original-uri", "x-rewrite-url", "x-envoy-original-path",
	"x-http-method-override", "x-http-method", "x-method-override",
	"x-envoy-auth-failure-mode-allowed",
}

// isReserved reports whether a header is none that a client may send. An
// underscore counts as a hyphen: many services read both as the same name, and
// not every mesh refuses it as this repository's Envoy does.
func isReserved(name string) bool {
	if len(name) >= len(reservedPrefix) && sameName(name[:len(reservedPrefix)], reservedPrefix) || sameName(name, HeaderTxnToken) {
		return true
	}
	for _, s := range steering {
		if sameName(name, s) {
			return true
		}
	}
	return false
}

// sameName compares a header's name with one in lower case, in which no
// underscore stands.
func sameName(name, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// credentialHeaders never reach the upstream.
var credentialHeaders = [...]string{"authorization", "x-api-key", "x-session-token", "dpop"}

// Add takes one header into account. Names compare without regard to case.
func (r *Request) Add(name, value string) {
	r.added = append(r.added, [2]string{name, value})
	r.read(name, value)
}

// each visits all headers.
func (r *Request) each(visit func(name, value string)) {
	for list := r.wire; list != ""; {
		name, value, rest, ok := nextHeader(list)
		if !ok {
			return // not reached: it was read before
		}
		visit(name, value)
		list = rest
	}
	for _, h := range r.lines {
		visit(h.GetKey(), headerValue(h))
	}
	for name, value := range r.joined {
		visit(name, value)
	}
	for _, h := range r.added {
		visit(h[0], h[1])
	}
}

// read notes what a header says, if it is one that a decision depends on always.
func (r *Request) read(name, value string) {
	switch {
	case named(name, "dpop"):
		r.Proof = append(r.Proof, value)
	case named(name, "origin"):
		r.Origin = join(r.Origin, value)
	case named(name, "x-api-key"):
		r.APIKey = append(r.APIKey, value)
	case named(name, HeaderRequestID):
		r.ID = value
	case named(name, "authorization"):
		if r.Authorization == nil {
			r.Authorization = r.authorization[:0]
		}
		r.Authorization = append(r.Authorization, value)
	case named(name, "x-session-token"):
		r.Session = append(r.Session, value)
	case named(name, "upgrade"):
		r.Upgrade = true
	case named(name, "access-control-request-method"):
		r.RequestMethod = join(r.RequestMethod, value)
	case named(name, "access-control-request-headers"):
		r.RequestHeaders = join(r.RequestHeaders, value)
	case named(name, "access-control-request-private-network"):
		r.PrivateNetwork = join(r.PrivateNetwork, value)
	case named(name, "early-data"):
		r.Early = true
	case isReserved(name):
		r.reserve(strings.ToLower(name))
	default:
		r.sent.add(name)
	}
}

// named compares a header's name with one in lower case. Of equal length, so
// that no letter beyond ASCII folds into one.
func named(name, want string) bool { return len(name) == len(want) && strings.EqualFold(name, want) }

// manyReserved is from how many names on a map finds those that are there.
const manyReserved = 16

func (r *Request) reserve(name string) {
	if r.reserved == nil && len(r.Reserved) >= manyReserved {
		r.reserved = make(map[string]bool, 2*manyReserved)
		for _, have := range r.Reserved {
			r.reserved[have] = true
		}
	}
	if r.reserved != nil {
		if r.reserved[name] {
			return
		}
		r.reserved[name] = true
	} else if slices.Contains(r.Reserved, name) {
		return
	}
	r.Reserved = append(r.Reserved, name)
}

func join(have, value string) string {
	if have == "" {
		return value
	}
	return have + "," + value
}

// AddressMetadata is the gRPC metadata in which Envoy tells the client's address
// as it determined it, by its configuration. Without it there is the address of
// the connection, which is that of the last proxy in front.
const AddressMetadata = "x-memgate-client-address"

// fromCheck reads the facts from Envoy's message. With encode_raw_headers each
// header line arrives by itself in header_map; otherwise Envoy joined repeated
// lines by commas, which credential extraction refuses. What it reads of the
// former, [readCheck] reads too.
func fromCheck(req *authv3.CheckRequest) *Request {
	http := req.GetAttributes().GetRequest().GetHttp()
	r := &Request{ID: http.GetId(), Method: http.GetMethod(), Path: http.GetPath()}
	r.Scheme, r.Host = http.GetScheme(), http.GetHost()
	r.Certificate, r.Peer = req.GetAttributes().GetSource().GetCertificate(), req.GetAttributes().GetSource().GetPrincipal()
	r.Address = req.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress()
	if r.lines = http.GetHeaderMap().GetHeaders(); len(r.lines) > 0 {
		for _, h := range r.lines {
			r.read(h.GetKey(), headerValue(h))
		}
		return r
	}
	r.joined = http.GetHeaders()
	for name, value := range r.joined {
		r.read(name, value)
	}
	return r
}

func headerValue(h *corev3.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}
