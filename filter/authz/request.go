package authz

import (
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

	// Reserved lists the headers that only the edge may set and that the
	// client sent, in lower case, each once.
	Reserved []string
}

// Names of the headers that the edge itself sets for the upstream.
const (
	HeaderTxnToken  = "txn-token"
	HeaderTenant    = "x-memgate-tenant"
	HeaderSubject   = "x-memgate-subject"
	HeaderRequestID = "x-request-id"

	reservedPrefix = "x-memgate-"
)

// credentialHeaders never reach the upstream.
var credentialHeaders = [...]string{"authorization", "x-api-key", "x-session-token"}

// Add takes one header into account. Names compare without regard to case.
func (r *Request) Add(name, value string) {
	switch len(name) {
	case len("origin"):
		if strings.EqualFold(name, "origin") {
			r.Origin = join(r.Origin, value)
			return
		}
	case len("x-api-key"):
		if strings.EqualFold(name, "x-api-key") {
			r.APIKey = append(r.APIKey, value)
			return
		}
	case len(HeaderRequestID):
		if strings.EqualFold(name, HeaderRequestID) {
			r.ID = value
			return
		}
	case len("authorization"):
		if strings.EqualFold(name, "authorization") {
			r.Authorization = append(r.Authorization, value)
			return
		}
	case len("x-session-token"):
		if strings.EqualFold(name, "x-session-token") {
			r.Session = append(r.Session, value)
			return
		}
	case len("access-control-request-method"):
		if strings.EqualFold(name, "access-control-request-method") {
			r.RequestMethod = join(r.RequestMethod, value)
			return
		}
	case len("access-control-request-headers"):
		if strings.EqualFold(name, "access-control-request-headers") {
			r.RequestHeaders = join(r.RequestHeaders, value)
			return
		}
	case len("access-control-request-private-network"):
		if strings.EqualFold(name, "access-control-request-private-network") {
			r.PrivateNetwork = join(r.PrivateNetwork, value)
			return
		}
	}
	if strings.EqualFold(name, HeaderTxnToken) || len(name) >= len(reservedPrefix) && strings.EqualFold(name[:len(reservedPrefix)], reservedPrefix) {
		r.reserve(strings.ToLower(name))
	}
}

func (r *Request) reserve(name string) {
	for _, have := range r.Reserved {
		if have == name {
			return
		}
	}
	r.Reserved = append(r.Reserved, name)
}

func join(have, value string) string {
	if have == "" {
		return value
	}
	return have + "," + value
}

// fromCheck reads the facts from Envoy's message. With encode_raw_headers each
// header line arrives by itself in header_map; otherwise Envoy joined repeated
// lines by commas, which credential extraction refuses.
func fromCheck(req *authv3.CheckRequest) *Request {
	http := req.GetAttributes().GetRequest().GetHttp()
	r := &Request{ID: http.GetId(), Method: http.GetMethod(), Path: http.GetPath()}
	if raw := http.GetHeaderMap().GetHeaders(); len(raw) > 0 {
		for _, h := range raw {
			r.Add(h.GetKey(), headerValue(h))
		}
		return r
	}
	for name, value := range http.GetHeaders() {
		r.Add(name, value)
	}
	return r
}

func headerValue(h *corev3.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}
