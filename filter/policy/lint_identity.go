package policy

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/tenant"
)

// longSession is the longest that a stolen session token should be of use.
const longSession = Duration(24 * time.Hour)

func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

func (l *linter) issuers() {
	seen := make(map[string]bool)
	for i := range l.p.Identity.Issuers {
		issuer := &l.p.Identity.Issuers[i]
		path := element("identity.issuers", i)
		l.issuerURL(path+".issuer", issuer.Issuer, "issuer-http")
		if strings.Contains(issuer.Issuer, "?") {
			l.err(path+".issuer", "issuer-url", "must not have a query (OpenID Connect Discovery 1.0, section 3)")
		}
		if seen[issuer.Issuer] && issuer.Issuer != "" {
			l.err(path+".issuer", "issuer-duplicate", "this issuer stands here twice; give one entry all its audiences")
		}
		seen[issuer.Issuer] = true

		if issuer.JWKSURI != "" {
			l.issuerURL(path+".jwks_uri", issuer.JWKSURI, "jwks-http")
			if issuer.JWKSFile != "" {
				l.err(path+".jwks_file", "issuer-keys", "stands beside jwks_uri; keys come from one place, so remove one of them")
			}
		}
		if strings.HasPrefix(issuer.JWKSFile, schemeFile) {
			l.err(path+".jwks_file", "issuer-keys", "is a path; write it without file:")
		}
		for j, audience := range issuer.Audiences {
			if audience == "" || audience == "*" {
				l.err(element(path+".audiences", j), "audience", "must be the name of this service at the issuer: without one, tokens for any other service would be taken")
			}
		}
		l.algorithms(path, issuer.Algorithms)
		for _, c := range [...]struct{ name, claim string }{
			{"subject", issuer.Subject.Claim}, {"scopes", issuer.Scopes.Claim}, {"roles", issuer.RoleClaim()},
		} {
			l.claim(path+"."+c.name, c.claim)
		}
		l.tenant(path+".tenant", &issuer.Tenant)
	}
}

func (l *linter) claim(path, claim string) {
	if strings.HasPrefix(claim, "/") && !isPointer(claim) {
		l.err(path, "claim", "is not a JSON pointer (RFC 6901): after ~ comes 0 or 1")
	}
}

// tenant reports a rule that tenant.NewMapping refuses, at the member that is
// wrong.
func (l *linter) tenant(path string, t *Tenant) {
	const names = "letters, digits, ., _ and -, at most 64 of them, with a letter or a digit first and no two dots in a row"
	first := ""
	for _, s := range [...]struct{ name, text string }{{"claim", t.Claim}, {"template", t.Template}, {"value", t.Value}} {
		member := path + "." + s.name
		switch {
		case s.text == "" && !l.inFile(member):
		case first != "":
			l.err(member, "tenant-source", "stands beside %s; a tenant comes from one of claim, template and value", first)
		case s.text == "":
			l.err(member, "tenant-source", "must not be empty")
			first = s.name
		default:
			first = s.name
		}
	}
	if first == "" && (t.Map != nil || !l.holds(path)) {
		l.err(path, "tenant-source", "says of no tenant: set one of claim, template and value")
	}
	if t.Claim != "" {
		member := path + ".claim"
		if !l.inFile(member) { // the short form
			member = path
		}
		l.claim(member, t.Claim)
	}
	if t.Map != nil && first != "" && t.Claim == "" && !l.inFile(path+".claim") {
		l.err(path+".map", "tenant-map", "stands beside %s; it translates the values of a claim", first)
	} else if t.Map != nil && len(t.Map) == 0 && !l.holds(path+".map") {
		l.err(path+".map", "tenant-map", "must not be empty: it would refuse every token; remove it where the claim holds the tenant itself")
	}
	for _, value := range sortedKeys(t.Map) {
		if !tenant.Valid(t.Map[value]) {
			l.err(join(path+".map", value), "tenant-name", "cannot name a tenant: a name is %s", names)
		}
	}
	if t.Template != "" {
		claims, err := tenant.CheckTemplate(t.Template)
		if err != nil {
			l.err(path+".template", "tenant-template", "%s", err)
		}
		for _, claim := range claims {
			l.claim(path+".template", claim)
		}
	}
	if t.Value != "" && !tenant.Valid(t.Value) {
		l.err(path+".value", "tenant-name", "cannot name a tenant: a name is %s", names)
	}
}

// senders reports bindings that nobody can prove.
func (l *linter) senders() {
	l.algorithms("identity.dpop", l.p.Identity.DPoP.Algorithms)
	dpop := &l.p.Identity.DPoP
	nonces := slices.ContainsFunc(l.p.Identity.Issuers, func(i Issuer) bool { return i.DPoPNonce })
	if several := l.p.State.Redis != "" || l.p.Limits.Store == "redis"; nonces && several && dpop.NonceKey == "" && !l.holds("identity.dpop.nonce_key") && !l.inFile("identity.dpop.nonce_key") {
		l.warn("identity.dpop.nonce_key", "nonce-key", "each instance gives out nonces of its own, which the others refuse: name one key for all")
	}
	for i := range l.p.Identity.Issuers {
		if issuer := &l.p.Identity.Issuers[i]; issuer.DPoPNonce && issuer.SenderConstrained == "mtls" {
			l.err(element("identity.issuers", i)+".dpop_nonce", "sender", "is of proofs by DPoP, and its tokens are bound by mtls")
		}
		l.mtls(element("identity.issuers", i), l.p.Identity.Issuers[i].SenderConstrained)
	}
	for i := range l.p.Routes {
		want := l.p.Routes[i].Require.SenderConstrained
		path := routePath(i) + ".require"
		if want != "" && len(l.p.Identity.Issuers) == 0 && !l.inFile("identity.issuers") {
			l.err(path+".sender_constrained", "sender", "wants a token, and identity.issuers has none")
		}
		l.mtls(path, want)
	}
}

func (l *linter) mtls(path, want string) {
	if want == "mtls" && !l.p.AsksForCertificates() {
		l.warn(path+".sender_constrained", "sender-mtls", "needs an Envoy that asks its clients for certificates, and refuses every request here without: set envoy.tls.client_certificate, or envoy.tls_in_front in a mesh that passes certificates on")
	}
}

// RoleClaim is where the names of roles stand, or "".
func (i *Issuer) RoleClaim() string {
	if i.Roles == nil {
		return ""
	}
	return i.Roles.Claim
}

// roles reports roles that bring nothing or that no token can name.
func (l *linter) roles() {
	named := false
	for i := range l.p.Identity.Issuers {
		if l.p.Identity.Issuers[i].Roles != nil {
			named = true
			if len(l.p.Access.Roles) == 0 {
				l.err(element("identity.issuers", i)+".roles", "role", "names roles, and access.roles says of none what it brings")
			}
		}
	}
	for _, name := range sortedKeys(l.p.Access.Roles) {
		path := join("access.roles", name)
		if !isScope(name) {
			l.err(path, "role", "the name of a role is printable ASCII without spaces, quotes and backslashes")
		}
		for j, scope := range l.p.Access.Roles[name] {
			if !isScope(scope) {
				l.err(element(path, j), "scope", "a scope is printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)")
			}
		}
	}
	if m := l.p.Identity.Mesh; m != nil {
		for i := range m.Identities {
			named = named || len(m.Identities[i].Roles) > 0
		}
	}
	if len(l.p.Access.Roles) > 0 && !named {
		l.err("access.roles", "role", "no issuer says where the roles of a token stand; set roles: { claim: … } for one")
	}
}

// resource reports what is wrong with the URL of the protected resource: RFC
// 9728, section 1.2, wants https and no fragment, and no query where it can be.
func (l *linter) resource() {
	r := l.p.Identity.Resource
	if r == nil {
		return
	}
	l.issuerURL("identity.resource.url", r.URL, "resource-http")
	if strings.ContainsAny(r.URL, "?#") {
		l.err("identity.resource.url", "resource-url", "must not have a query or a fragment (RFC 9728, section 1.2)")
	} else if _, err := parseTemplate(r.MetadataPath()); err != nil {
		l.err("identity.resource.url", "resource-url", "the path %s", err)
	}
	if r.Documentation != "" {
		l.issuerURL("identity.resource.documentation", r.Documentation, "resource-http")
	}
	if len(l.p.Identity.Issuers) == 0 {
		l.err("identity.resource", "resource-issuers", "tells clients of issuers, and identity.issuers has none")
	}
}

// issuerURL reports what is wrong with the URL of an issuer or of its keys.
func (l *linter) issuerURL(path, text, plainRule string) {
	problem, plain := urlProblem(text)
	switch {
	case plain:
		l.err(path, plainRule, "%s", problem)
	case problem != "":
		l.err(path, "issuer-url", "%s", problem)
	case l.p.Environment == "production":
		if u, err := url.Parse(text); err == nil && isLoopback(u.Hostname()) {
			l.warn(path, "production-loopback", "environment is production, but this is on loopback, where a development issuer runs")
		}
	}
}

func (l *linter) algorithms(path string, list []string) {
	path += ".algorithms"
	if len(list) == 0 {
		l.err(path, "algorithm", "must not be empty; remove it for %s", "RS256, ES256 and EdDSA")
	}
	for i, alg := range list {
		switch {
		case strings.EqualFold(alg, "none"):
			l.err(element(path, i), "algorithm-none", "tokens with the algorithm none are not signed: anyone can make one")
		case strings.HasPrefix(strings.ToUpper(alg), "HS"):
			l.err(element(path, i), "algorithm-hmac", "%s is signed with a shared secret: with public keys, anyone could sign; use RS256, ES256 or EdDSA", show(alg))
		case !slices.Contains(algorithms(), alg):
			l.err(element(path, i), "algorithm", "unknown algorithm %s%s", show(alg), didYouMean(alg, algorithms()))
		}
	}
}

// isPointer reports whether s is a JSON pointer (RFC 6901, section 3).
func isPointer(s string) bool {
	for i := range len(s) {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

func (l *linter) identity() {
	id := &l.p.Identity
	if keys := id.APIKeys; keys != nil && strings.HasPrefix(string(keys.File), schemeEnv) {
		l.err("identity.api_keys.file", "file-reference", "must be file:PATH: memgate key writes the hashes there")
	}
	if id.APIKeys != nil {
		l.apiKeys(id.APIKeys)
	}
	if s := id.Sessions; s != nil && s.TTL > longSession {
		l.warn("identity.sessions.ttl", "session-ttl", "a session token that is lost is of use for %s; %s or less is enough for most, as sessions are renewed", s.TTL, longSession)
	}
	if len(id.Issuers) > 0 || id.APIKeys != nil || id.Mesh != nil || l.inFile("identity.mesh") || l.inFile("identity.issuers") || l.inFile("identity.api_keys") {
		return
	}
	if id.Sessions != nil {
		l.err("identity.sessions", "identity", "sessions are issued to those who have another credential, and there is none: name issuers, api_keys or mesh as well")
		return
	}
	for i := range l.p.Routes {
		if !l.p.Routes[i].Anonymous {
			l.err("identity", "identity", "names no issuers, api_keys or mesh, so nobody can ever call the routes that are not anonymous, such as %s", l.p.routeLabel(i))
			return
		}
	}
}

// routeLabel is how a message names route i.
func (p *Policy) routeLabel(i int) string {
	if name := p.Routes[i].Name; name != "" {
		return show(name)
	}
	return routePath(i)
}

// apiKeys reports keys of which nobody can say where they are.
func (l *linter) apiKeys(k *APIKeys) {
	const path = "identity.api_keys"
	switch {
	case k.File == "" && k.Redis == "" && !l.inFile(path+".file") && !l.inFile(path+".redis"):
		l.err(path, "api-keys", "says nowhere where the keys are: set file, or redis for several machines")
	case k.File != "" && k.Redis != "":
		l.err(path+".redis", "api-keys", "stands beside file; keys are in one place, so remove one of them")
	case k.Redis != "" && k.Pepper == "" && !l.holds(path+".pepper") && !l.inFile(path+".pepper"):
		l.err(path+".redis", "api-keys", "needs a pepper that is the same for all instances; add one, such as pepper: env:API_KEY_PEPPER, of 32 bytes or more")
	case k.Redis == "" && k.Cluster:
		l.err(path+".cluster", "api-keys", "has no effect without redis")
	case k.Prefix == "" || len(k.Prefix) > 64 || !isRouteName(k.Prefix):
		l.err(path+".prefix", "api-keys", "is made of letters, digits, '.', '_' and '-', 1 to 64 of them")
	}
}
