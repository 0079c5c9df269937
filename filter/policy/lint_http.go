package policy

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
)

// longMaxAge is the longest that any browser but one keeps a preflight's answer
// (Chromium: two hours); above it a change of policy is long in coming.
const longMaxAge = Duration(2 * time.Hour)

func (l *linter) cors() {
	c := &l.p.CORS
	star := false
	for i, origin := range c.AllowOrigins {
		path := element("cors.allow_origins", i)
		if origin == "*" {
			star = true
			if c.AllowCredentials {
				l.err(path, "cors-wildcard-credentials", "* together with allow_credentials would let every website act as its visitors; name the origins")
			} else {
				l.warn(path, "cors-wildcard", "* lets every website read the answers; name the origins")
			}
			continue
		}
		l.corsEntry(path, cors.Policy{AllowOrigins: []string{origin}})
		if u, err := url.Parse(strings.Replace(origin, "*.", "", 1)); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			l.err(path, "cors-http", "must be https: anyone on the way can put a page under this origin; http is for loopback only")
		}
	}
	for i, method := range c.AllowMethods {
		l.corsEntry(element("cors.allow_methods", i), cors.Policy{AllowMethods: []string{method}})
	}
	for i, header := range c.AllowHeaders {
		l.corsEntry(element("cors.allow_headers", i), cors.Policy{AllowHeaders: []string{header}})
	}
	for i, header := range c.ExposeHeaders {
		l.corsEntry(element("cors.expose_headers", i), cors.Policy{ExposeHeaders: []string{header}})
	}
	if c.MaxAge > longMaxAge {
		l.warn("cors.max_age", "cors-max-age", "browsers would keep an answer for %s after the policy has changed; more than %s is of no use in most of them", c.MaxAge, longMaxAge)
	}
	// What is wrong only together.
	if _, err := cors.New(l.p.CORSPolicy()); err != nil && !(star && c.AllowCredentials) && !l.reported("cors.") {
		l.corsError("cors", err)
	}
}

// corsEntry reports what the matcher has against a policy of one entry.
func (l *linter) corsEntry(path string, p cors.Policy) {
	if _, err := cors.New(p); err != nil {
		l.corsError(path, err)
	}
}

func (l *linter) corsError(path string, err error) {
	var e *cors.Error
	if !errors.As(err, &e) {
		l.err(path, "cors", "%s", err)
		return
	}
	if path == "cors" {
		path += "." + e.Field
	}
	l.err(path, "cors", "%s", e.Reason)
}

// reported tells whether something below the prefix was found wrong.
func (l *linter) reported(prefix string) bool {
	for path := range l.p.failed {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	for _, f := range l.findings {
		if f.Severity == Error && strings.HasPrefix(f.Path, prefix) {
			return true
		}
	}
	return false
}

func (l *linter) headers() {
	h := &l.p.Headers
	for _, name := range sortedKeys(h.Override) {
		path := join("headers.override", name)
		if _, err := headers.New(h.Preset, map[string]string{name: h.Override[name]}); err != nil {
			l.headerError(path, err)
		}
	}
	if _, err := headers.New(h.Preset, h.Override); err != nil && !l.reported("headers.") {
		l.headerError("headers.override", err)
	}
}

func (l *linter) headerError(path string, err error) {
	var e *headers.Error
	if errors.As(err, &e) {
		l.err(path, "headers", "%s", e.Reason)
		return
	}
	l.err(path, "headers", "%s", err)
}

// CORSPolicy is the section cors as package cors takes it.
func (p *Policy) CORSPolicy() cors.Policy {
	return cors.Policy{
		AllowOrigins:        p.CORS.AllowOrigins,
		AllowMethods:        p.CORS.AllowMethods,
		AllowHeaders:        p.CORS.AllowHeaders,
		ExposeHeaders:       p.CORS.ExposeHeaders,
		AllowCredentials:    p.CORS.AllowCredentials,
		MaxAge:              time.Duration(p.CORS.MaxAge),
		AllowPrivateNetwork: p.CORS.AllowPrivateNetwork,
	}
}

// element is the path of the i-th entry of a list.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
