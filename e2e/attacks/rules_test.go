package attacks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/memgate/memgate/e2e/harness"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// inside are words that no caller may read: they tell what is behind the edge.
var inside = []string{
	"envoy", "goroutine", "panic", ".go:", "sqlite", "/tmp/", "127.0.0.1:", "upstream connect", "ext_authz", "memgate-http",
	"memgate-grpc", upstreamKey, "jwks", "x-memgate", "txn-token",
}

// answerRules are what holds for everything that a caller gets to see.
func answerRules(r *harness.Response) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for name, values := range r.Header {
		n := strings.ToLower(name)
		switch {
		case n == "server", n == "via", n == "x-powered-by", strings.HasPrefix(n, "x-envoy"), strings.HasPrefix(n, "x-memgate"), n == "txn-token":
			fault("the answer carries %s: %q", name, values)
		case strings.HasPrefix(n, "access-control-"):
			fault("the answer carries %s: %q", name, values)
		}
	}
	// A message that cannot be read has no id, nor has anything it causes. Envoy answers
	// it, as it does what has no route: in a mesh with words of its own.
	unread := r.ID == "" && (r.Status == 400 || r.Status == 404 || r.Status == 426 || r.Status == 431 || r.Status == 501)
	envoys := unread && !harness.Has(harness.EnvoyAnswers)
	for _, name := range []string{"X-Content-Type-Options", "Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "Cache-Control"} {
		if envoys {
			break
		}
		if got := r.Header.Values(name); len(got) != 1 {
			fault("%s: %q, want one value", name, got)
		}
	}
	if unread {
	} else if len(r.Header.Values("X-Request-Id")) != 1 || !uuid.MatchString(r.ID) {
		fault("x-request-id %q is not one that the edge made", r.ID)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" && !envoys {
		fault("Cache-Control %q", got)
	}
	body := strings.ToLower(r.Body)
	for _, word := range inside {
		if strings.Contains(body, word) && !strings.Contains(body, `"openapi"`) {
			fault("the answer tells of %q: %.200s", word, r.Body)
		}
	}
	if r.Status >= 400 && r.Body != "" && !envoys {
		var p struct {
			Type, Title, Detail string
			Status              int
			RequestID           string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(r.Body), &p); err != nil || p.Status != r.Status || p.Type == "" || p.Title == "" || p.Detail == "" {
			fault("%d is no complete problem: %q (%v)", r.Status, r.Body, err)
		}
		if p.RequestID != "" && p.RequestID != r.ID {
			fault("request id %q in the body, %q in the header", p.RequestID, r.ID)
		}
		if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
			fault("content type %q", got)
		}
	}
	return faults
}

// notOurs are headers by which frameworks and proxies let a request change its
// own path, method or caller after the edge has decided about it.
var notOurs = []string{
	"X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Envoy-Original-Path", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	"X-Forwarded-Client-Cert", "Proxy-Connection", "Upgrade",
	"X-Envoy-Auth-Failure-Mode-Allowed",
}

// transactions are those that reached the service, by their id: what the first
// token of each said.
var transactions sync.Map

// upstreamRules are what holds for each request that reaches the service.
func upstreamRules(s *seen) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	h := s.Header
	one := func(name, want string) {
		if got := h.Values(name); len(got) != 1 || want != "" && got[0] != want {
			fault("the service gets %s: %q, want one %q", name, got, want)
		}
	}
	one("X-Upstream-Key", upstreamKey)
	one("X-Request-Id", "")
	if !uuid.MatchString(h.Get("X-Request-Id")) {
		fault("the service gets the request id %q", h.Get("X-Request-Id"))
	}
	set := map[string]bool{}
	switch {
	case s.claims != nil:
		one("X-Memgate-Tenant", s.claims.Tenant)
		one("X-Memgate-Subject", s.claims.Subject)
		set = map[string]bool{"X-Memgate-Tenant": true, "X-Memgate-Subject": true}
		// A token serves a window of requests, of one caller alone.
		if first, known := transactions.LoadOrStore(s.claims.ID, *s.claims); !uuid.MatchString(s.claims.ID) || known && !reflect.DeepEqual(first, *s.claims) {
			fault("transaction %q is of %+v and of %+v", s.claims.ID, first, *s.claims)
		}
	case len(h.Values("Txn-Token")) > 0:
		fault("the service gets Txn-Token: %q", h.Values("Txn-Token"))
	case s.URL.Path != "/healthz" && s.URL.Path != "/openapi.json":
		fault("%s %s reaches the service without identity", s.Method, s.RequestURI)
	}
	for name := range h {
		n := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch {
		case n == "authorization", n == "x-api-key", n == "x-session-token",
			n == "txn-token" && name != "Txn-Token", strings.HasPrefix(n, "x-memgate-") && !set[name],
			strings.HasPrefix(n, "x-envoy-") && n != "x-envoy-external-address":
			fault("the service gets %s: %q", name, h.Values(name))
		}
	}
	for _, name := range notOurs {
		if got := h.Values(name); len(got) > 0 {
			fault("the service gets %s: %q", name, got)
		}
	}
	if te := h.Get("Te"); te != "" && te != "trailers" {
		fault("the service gets TE: %q", te)
	}
	if len(s.Trailer) > 0 {
		fault("the service gets trailers: %v", http.Header(s.Trailer))
	}
	if len(s.TransferEncoding) > 0 && h.Get("Content-Length") != "" {
		fault("the service gets two lengths")
	}
	if path := s.RequestURI; !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || slices.ContainsFunc(strings.Split(path, "/"), dots) || strings.ContainsAny(path, "\\#; ") {
		fault("the service gets the path %q", path)
	}
	return faults
}

func dots(segment string) bool { return segment == "." || segment == ".." }
