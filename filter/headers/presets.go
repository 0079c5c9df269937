package headers

import "slices"

// The presets follow the OWASP Secure Headers Project (ci/headers_add.json) and
// the OWASP REST Security Cheat Sheet, section "Security Headers". What is left
// out on purpose, in both:
//
//   - Strict-Transport-Security (RFC 6797): a browser must ignore it over plain
//     HTTP (section 8.1), and over TLS it binds the whole host for its max-age.
//     Only the policy knows whether clients come by TLS; it adds [HSTS] then.
//   - upgrade-insecure-requests in the CSP: for the same reason.
//   - Clear-Site-Data: belongs to a logout, not to every response.
//   - X-XSS-Protection, Expect-CT, Public-Key-Pins: withdrawn by browsers, and
//     the first one made some pages less safe.

// Shared by both presets.
var (
	// X-Content-Type-Options (Fetch standard, section 3.6): no guessing of
	// media types, so JSON with markup in it is never run as a page.
	noSniff = Header{"x-content-type-options", "nosniff"}
	// X-Frame-Options (HTML standard, section 7.6): for browsers that do not
	// read frame-ancestors.
	noFrames = Header{"x-frame-options", "DENY"}
	// Referrer-Policy (W3C Referrer Policy): paths carry agent and memory
	// identifiers; none of them may reach another site.
	noReferrer = Header{"referrer-policy", "no-referrer"}
	// Cross-Origin-Resource-Policy (Fetch standard, section 3.7): other origins
	// cannot load a response without CORS (Spectre, XSSI). A CORS request is
	// not affected, so it does not stand in the way of allowed origins.
	ownResources = Header{"cross-origin-resource-policy", "same-origin"}
	// Cross-Origin-Opener-Policy (HTML standard, section 7.1.3): a response
	// opened as a page shares no browsing context group with its opener.
	ownOpener = Header{"cross-origin-opener-policy", "same-origin"}
	// X-Permitted-Cross-Domain-Policies (OWASP Secure Headers): no policy
	// files for PDF and Flash clients.
	noCrossDomain = Header{"x-permitted-cross-domain-policies", "none"}
)

// api is for services that answer data and never pages.
var api = []Header{
	// Cache-Control (RFC 9111, section 5.2.2.5; OWASP REST): answers hold one
	// tenant's data; no cache, shared or private, may keep them.
	{"cache-control", "no-store"},
	// Content-Security-Policy (CSP Level 3; OWASP REST): should a browser show
	// a response as a page after all, nothing in it loads, runs, or is framed.
	{"content-security-policy", "default-src 'none'; frame-ancestors 'none'"},
	ownOpener,
	ownResources,
	// Permissions-Policy (W3C Permissions Policy; OWASP REST): the features
	// that reach sensors or money. Short, as each response carries it and the
	// CSP already stops every script.
	{"permissions-policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
	noReferrer,
	noSniff,
	noFrames,
	noCrossDomain,
}

// web is for services that also answer pages of their own. Caching is left to
// the upstream, as assets need it.
var web = []Header{
	// Content-Security-Policy (CSP Level 3; OWASP Secure Headers): everything
	// from the own origin, no plug-ins, no frames around, no foreign base or
	// form target.
	{"content-security-policy", "default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'none'"},
	// Cross-Origin-Embedder-Policy (HTML standard, section 7.1.4; OWASP Secure
	// Headers): what the page embeds must agree to it. Whoever opens the CSP to
	// other origins must look at this one too.
	{"cross-origin-embedder-policy", "require-corp"},
	ownOpener,
	ownResources,
	// Permissions-Policy (W3C Permissions Policy; OWASP Secure Headers).
	{"permissions-policy", "accelerometer=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(), " +
		"gamepad=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), keyboard-map=(), magnetometer=(), " +
		"microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), " +
		"web-share=(), xr-spatial-tracking=()"},
	noReferrer,
	noSniff,
	noFrames,
	noCrossDomain,
}

// disclosing are the headers that tell what runs behind the edge (OWASP Secure
// Headers, ci/headers_remove.json), sorted. Left out are names that need not
// disclose anything (Product, SourceMap, Host-Header).
var disclosing = sorted(
	"$wsep", "k-proxy-request", "liferay-portal", "oraclecommercecloud-version", "pega-host",
	"powered-by", "server", "via",
	"x-aspnet-version", "x-aspnetmvc-version", "x-atmosphere-error", "x-atmosphere-first-request",
	"x-atmosphere-tracking-id",
	"x-b3-parentspanid", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid",
	"x-backend-server", "x-beserver", "x-calculatedbetarget", "x-cf-powered-by", "x-cms", "x-cocoon-version",
	"x-content-encoded-by", "x-diaginfo", "x-dtagentid", "x-dthealthcheck", "x-dtinjectedservlet",
	"x-envoy-attempt-count", "x-envoy-external-address", "x-envoy-internal", "x-envoy-original-dst-host",
	"x-envoy-upstream-service-time",
	"x-feserver", "x-framework", "x-generated-by", "x-generator", "x-jitsi-release",
	"x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid",
	"x-litespeed-cache", "x-mod-pagespeed", "x-nextjs-cache", "x-nextjs-matched-path", "x-nextjs-page",
	"x-oneagent-js-injection", "x-owa-version", "x-page-speed", "x-php-version",
	"x-powered-by", "x-powered-by-plesk", "x-powered-cms", "x-redirect-by", "x-runtime", "x-ruxit-js-agent",
	"x-server-powered-by", "x-sourcefiles", "x-turbo-charged-by", "x-umbraco-version",
	"x-varnish", "x-varnish-backend", "x-varnish-server",
)

func sorted(names ...string) []string {
	slices.Sort(names)
	return names
}

// reserved are the headers that no override may touch, grouped by the reason.
var reserved = map[string]bool{
	// Framing and connections (RFC 9110 and 9112): a wrong one splits messages.
	"connection": true, "content-length": true, "keep-alive": true, "proxy-connection": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "host": true,
	"http2-settings": true, "alt-svc": true,
	// What the body is: only who wrote it knows.
	"content-encoding": true, "content-location": true, "content-range": true, "content-type": true,
	"accept-ranges": true, "age": true, "date": true, "etag": true, "last-modified": true, "location": true,
	// One value for all callers would be someone else's.
	"set-cookie": true, "authorization": true,
	// Other parts of the edge set these.
	"vary": true, "www-authenticate": true, "proxy-authenticate": true, "retry-after": true,
	"ratelimit": true, "ratelimit-policy": true, "txn-token": true, "x-request-id": true, "status": true,
}

// IsReserved reports whether a header, named in lower case, may neither be set
// nor removed by a policy: the ones of framing, of content, of cookies, and
// those that other parts of the edge decide (CORS, rate limits, challenges,
// x-memgate-*).
func IsReserved(name string) bool {
	return reserved[name] || hasPrefix(name, "access-control-") || hasPrefix(name, "x-memgate-")
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }
