package policy

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Lint reports what is wrong or unwise in a policy that could be decoded, in
// the order of the file. [Parse] has run it already and returns a policy only
// when it found no error, so on such a policy it repeats the warnings.
func (p *Policy) Lint() []Finding {
	l := &linter{p: p, report: report{file: p.file}}
	l.listeners()
	l.upstream()
	l.tls()
	l.cors()
	l.headers()
	l.issuers()
	l.resource()
	l.roles()
	l.senders()
	l.mesh()
	l.identity()
	l.state()
	l.tracing()
	l.limits()
	l.modes()
	l.compare("compare", &p.Compare)
	l.pii()
	l.poison()
	for i := range p.Routes {
		if !p.Routes[i].Own || l.inFile(routePath(i)) {
			l.route(i)
		}
	}
	l.routes()
	sortFindings(l.findings)
	return l.findings
}

// linter collects what is to be said about one policy.
type linter struct {
	report
	p *Policy
}

// err and warn report the member at path, unless decoding has reported it, or
// what it stands in, already.
func (l *linter) err(path, rule, format string, args ...any) {
	l.say(Error, path, rule, fmt.Sprintf(format, args...))
}

func (l *linter) warn(path, rule, format string, args ...any) {
	l.say(Warning, path, rule, fmt.Sprintf(format, args...))
}

func (l *linter) say(severity Severity, path, rule, message string) {
	for at := path; at != ""; at = parent(at) {
		if l.p.failed[at] {
			return
		}
	}
	l.add(l.p.at(path), severity, rule, path, path+": "+message)
}

// inFile reports whether the file has the member at path.
func (l *linter) inFile(path string) bool {
	_, ok := l.p.places[path]
	return ok
}

// holds reports whether the mapping at path has a member in the file, be it one
// that decoding refused.
func (l *linter) holds(path string) bool {
	for member := range l.p.places {
		if strings.HasPrefix(member, path+".") {
			return true
		}
	}
	return false
}

func (l *linter) listeners() {
	p := l.p
	used := make(map[string]string)
	for _, a := range [...]struct{ path, address string }{
		{"server.grpc", p.Server.GRPC}, {"server.http", p.Server.HTTP},
		{"envoy.listen", p.Envoy.Listen}, {"envoy.admin", p.Envoy.Admin},
	} {
		if problem := addressProblem(a.address); problem != "" {
			l.err(a.path, "address", "%s", problem)
		} else if other, ok := used[a.address]; ok {
			l.err(a.path, "address", "%s has this address already", other)
		} else {
			used[a.address] = a.path
		}
	}
	if host, _, err := net.SplitHostPort(p.Envoy.Admin); err == nil && !isLoopback(host) {
		l.err("envoy.admin", "envoy-admin", "the admin interface can stop Envoy and shows its memory; it must be on loopback, such as 127.0.0.1:9901")
	}
	if strings.ContainsAny(p.Server.Host, ":/ ") {
		l.err("server.host", "address", "must be a host without scheme and port")
	}
	if p.Audit.File == "" {
		l.err("audit.file", "audit-file", "must be a path, or - for standard output")
	}
	if strings.HasPrefix(string(p.Audit.Key), schemeEnv) {
		l.err("audit.key", "file-reference", "must be file:PATH: a key that does not exist is created there")
	}
	if p.Audit.OnFailure == "continue" {
		l.warn("audit.on_failure", "audit-continue", "requests pass without a trace while the log cannot be written")
	}
}

func (l *linter) upstream() {
	u := &l.p.Upstream
	if problem := addressProblem(u.Address); problem != "" {
		l.err("upstream.address", "address", "%s", problem)
	}
	if u.Audience == "" {
		l.err("upstream.audience", "audience", "must not be empty: the upstream has to know that a Txn-Token is meant for it")
	}
	if l.p.Transaction.Issuer == "" {
		l.err("transaction.issuer", "issuer", "must not be empty: the upstream has to know who signed a Txn-Token")
	}
	if key := l.p.Transaction.Key; strings.HasPrefix(string(key), schemeEnv) {
		l.err("transaction.key", "file-reference", "must be file:PATH: a key that does not exist is created there")
	}
	if c := u.Credential; c != nil {
		if problem := credentialHeaderProblem(c.Header); problem != "" {
			l.err("upstream.credential.header", "upstream-header", "%s", problem)
		}
		if strings.ContainsFunc(c.Prefix, func(r rune) bool { return r < ' ' || r > '~' }) {
			l.err("upstream.credential.prefix", "upstream-header", "must be printable ASCII")
		}
	}
}

// addressProblem says what is wrong with a host:port, or "".
func addressProblem(address string) string {
	if strings.Contains(address, "://") {
		return "must be host:port, without a scheme"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "must be host:port, such as 127.0.0.1:8081"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "must have a port from 1 to 65535"
	}
	if host == "" {
		return "must name the host; 0.0.0.0 or [::] stand for all addresses"
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return r > 'z' || !isWord(byte(r)) }) {
			return "must have a host that is a name or an IP address"
		}
	}
	return ""
}

// isLoopback reports whether host, a name or an address, is this machine.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// urlProblem says what is wrong with the URL of an issuer or of its keys, or
// "". plain is set when the fault is that it is not encrypted.
func urlProblem(text string) (problem string, plain bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "must be a URL, such as https://idp.example.com", false
	case u.User != nil:
		return "must not hold a user or password", false
	case u.Fragment != "" || strings.Contains(text, "#"):
		return "must not have a fragment", false
	case u.Scheme == "https":
		return "", false
	case u.Scheme != "http":
		return "must be an https URL", false
	case !isLoopback(u.Hostname()):
		return "must be https: over plain HTTP anyone on the way can replace the keys; http is for loopback only", true
	}
	return "", false
}

// credentialHeaderProblem says why the edge cannot add its credential in a
// header of that name, or "".
func credentialHeaderProblem(name string) string {
	lower := strings.ToLower(name)
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r > '~' || !isWord(byte(r)) }) {
		return "must be a header's name"
	}
	switch lower {
	case "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "upgrade", "te", "trailer",
		"keep-alive", "proxy-connection", "txn-token", "x-request-id", "x-session-token":
		return show(lower) + " belongs to HTTP or to memgate itself"
	}
	if strings.HasPrefix(lower, "x-memgate-") || strings.HasPrefix(lower, "x-envoy-") || strings.HasPrefix(lower, "x-forwarded-") {
		return "headers that start with x-memgate-, x-envoy- and x-forwarded- belong to the edge"
	}
	return ""
}
