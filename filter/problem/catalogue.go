package problem

import "strconv"

// Who is asking.
var (
	// MalformedCredentials: a credential header cannot be read.
	MalformedCredentials = Problem{"malformed-credentials", "Malformed credentials", 400,
		"Send one credential: 'Authorization: Bearer <token>', 'Authorization: ApiKey <key>' or 'X-API-Key: <key>'."}
	// AmbiguousCredentials: more than one credential, or one header twice.
	AmbiguousCredentials = Problem{"ambiguous-credentials", "Ambiguous credentials", 400,
		"Send exactly one of a token and an API key, each header once. Only X-Session-Token may stand beside it."}
	// Unauthenticated: no credential was sent where one is needed.
	Unauthenticated = Problem{"unauthenticated", "Authentication required", 401,
		"Send a token or an API key in the Authorization header."}
	// InvalidCredentials: a credential was sent and is not accepted.
	InvalidCredentials = Problem{"invalid-credentials", "Invalid credentials", 401,
		"The credential is not valid, or no longer. Obtain a new one and send the request again."}
	// KeysUnavailable: credentials cannot be checked as no keys were loaded yet.
	KeysUnavailable = Problem{"keys-unavailable", "Authentication unavailable", 503,
		"Credentials cannot be checked at the moment. Try again later."}
)

// What they may do.
var (
	// Forbidden: the principal lacks a scope.
	Forbidden = Problem{"forbidden", "Insufficient permissions", 403,
		"The credential does not carry the permissions that this request needs. Use one that does."}
	// TenantMismatch: the request names a tenant that is not the principal's.
	TenantMismatch = Problem{"tenant-mismatch", "Tenant mismatch", 403,
		"The request names a tenant that the credential does not belong to. Leave the tenant out, or use a credential of that tenant."}
	// AgentMismatch: the request names another agent than its session is for, or
	// several.
	AgentMismatch = Problem{"agent-mismatch", "Agent mismatch", 403,
		"The request names another agent than its session is for, or more than one. Name one, and use a session token that was activated for it."}
	// NoRoute: no rule of the policy lets the request through.
	NoRoute = Problem{"no-route", "Request not allowed", 403,
		"No rule allows this method and path. Check both."}
	// TooEarly: a request that may change something came in early data of TLS (RFC 8470).
	TooEarly = Problem{"too-early", "Too early", 425,
		"The request came in early data, which others could send again. Send it once more when the TLS handshake is complete."}
	// OriginRefused: a preflight asks for more than the CORS policy allows.
	OriginRefused = Problem{"origin-refused", "Cross-origin request refused", 403,
		"This origin, method or set of headers is not allowed for cross-origin requests."}
	// TooManyAtOnce: the tenant has as many requests under way as it may.
	TooManyAtOnce = Problem{"too-many-at-once", "Too many requests at once", 429,
		"As many requests as may be under way at once are. Wait until one has ended, and try again no sooner than Retry-After says."}
	// RateLimited: the tenant's rate is used up.
	RateLimited = Problem{"rate-limited", "Too many requests", 429,
		"Wait as many seconds as Retry-After says, then send the request again."}
)

// What the request's body is.
var (
	// MalformedRequest: a request to memgate's own interfaces, or a form with parts,
	// cannot be read.
	MalformedRequest = Problem{"malformed-request", "Malformed request", 400,
		"The request cannot be read. Check its parameters and body against the documentation."}
	// MalformedJSON: the body is not JSON where JSON is due.
	MalformedJSON = Problem{"malformed-json", "Malformed JSON", 400,
		"The body is not valid JSON (RFC 8259). Correct it and send the request again."}
	// TooDeep: the body is nested deeper than the route allows.
	TooDeep = Problem{"too-deep", "Body nested too deeply", 400,
		"The body has too many levels of objects and arrays. Flatten it and send the request again."}
	// BodyTooLarge: the body is longer than the route allows.
	BodyTooLarge = Problem{"body-too-large", "Body too large", 413,
		"The body is longer than this route takes. Send less, or split it over several requests."}
	// FieldTooLarge: one member of the body is longer than the route allows.
	FieldTooLarge = Problem{"field-too-large", "Field too large", 413,
		"A field of the body is longer than this route takes. Shorten it, or split it over several requests."}
	// UnsupportedMediaType: the body's type is not one that the route takes.
	UnsupportedMediaType = Problem{"unsupported-media-type", "Unsupported media type", 415,
		"This route does not take a body of this Content-Type. Send it as a type that the route documents, in UTF-8."}
	// UnsupportedEncoding: the body is compressed or otherwise encoded.
	UnsupportedEncoding = Problem{"unsupported-encoding", "Unsupported content encoding", 415,
		"Send the body without Content-Encoding."}
	// BlockedPII: the body holds personal data or a secret that the policy blocks.
	BlockedPII = Problem{"blocked-pii", "Sensitive data refused", 422,
		"The body holds personal data or a secret that may not be sent here. Remove it and send the request again."}
	// SuspectedPoisoning: the body reads like instructions to a language model that were
	// planted in what is stored.
	SuspectedPoisoning = Problem{"suspected-poisoning", "Content refused", 422,
		"The body has text that reads like instructions planted for a language model, or hides what it says. Send plain statements without it."}
)

// What the upstream answered.
var (
	// ResponseEncoded: the response is encoded though it was asked for plain.
	ResponseEncoded = Problem{"response-encoded", "Response cannot be inspected", 502,
		"The service answered in an encoding that was not asked for. Report this to its operator."}
	// ResponseUninspectable: the response's type cannot be inspected.
	ResponseUninspectable = Problem{"response-uninspectable", "Response cannot be inspected", 502,
		"The service answered with a type of content that may not pass here. Report this to its operator."}
	// ResponseTooLarge: the response is longer than the route allows.
	ResponseTooLarge = Problem{"response-too-large", "Response too large", 502,
		"The service answered with more than may pass here. Ask for less, for example with a smaller page."}
	// ResponseBlocked: the response holds what the policy blocks.
	ResponseBlocked = Problem{"response-blocked", "Response withheld", 502,
		"The service's answer holds personal data or a secret that may not be shown here. Ask for something else."}
)

// When memgate itself cannot decide: it refuses.
var (
	// NotFound: memgate's own interfaces have nothing by that name.
	NotFound = Problem{"not-found", "Not found", 404,
		"There is nothing by this name. Check the path."}
	// MethodNotAllowed: memgate's own interfaces do not take that method.
	MethodNotAllowed = Problem{"method-not-allowed", "Method not allowed", 405,
		"This path does not take this method. See the Allow header."}
	// Unavailable: an internal fault.
	Unavailable = Problem{"unavailable", "Service unavailable", 503,
		"The request cannot be handled at the moment. Try again later."}
	// NotAuthorized: the request reached the content filter without a decision
	// of the authz service, so the mesh is wired in the wrong order.
	NotAuthorized = Problem{"not-authorized", "Service unavailable", 503,
		"The request cannot be handled at the moment. Try again later, and report the request id if it stays so."}
	// ContentPolicyUnavailable: the content filter has no policy for the request.
	ContentPolicyUnavailable = Problem{"content-policy-unavailable", "Service unavailable", 503,
		"The request cannot be handled at the moment. Try again later."}
)

// What Envoy refuses before or after memgate sees it.
var (
	// BadRequest: the request line, a header or the path is not acceptable.
	BadRequest = Problem{"bad-request", "Bad request", 400,
		"The request line or a header is not valid, or the path holds an escaped slash. Correct it and send the request again."}
	// UpgradeRefused: the request asks for another protocol.
	UpgradeRefused = Problem{"upgrade-refused", "Upgrade refused", 403,
		"This service does not switch protocols. Send the request without Upgrade."}
	// RequestTimeout: the request did not arrive in time.
	RequestTimeout = Problem{"request-timeout", "Request timeout", 408,
		"The request did not arrive in time. Send it again without pauses."}
	// HeadersTooLarge: the headers are too large or too many.
	HeadersTooLarge = Problem{"headers-too-large", "Request headers too large", 431,
		"The headers of the request are too large or too many. Send less."}
	// EdgeRefused: any other answer of Envoy's own. Envoy's status stands in the
	// answer, which need not be 500.
	EdgeRefused = Problem{"edge-refused", "Request refused", 500,
		"The request could not be processed. Check it, and report the request id if it stays so."}
	// UpstreamFault: the service answered with something that is not HTTP.
	UpstreamFault = Problem{"upstream-fault", "Bad gateway", 502,
		"The service gave no answer that can be read. Try again later; the request may have taken effect."}
	// UpstreamTimeout: the service did not answer in time.
	UpstreamTimeout = Problem{"upstream-timeout", "Gateway timeout", 504,
		"The service did not answer in time. Try again later; the request may have taken effect."}
)

// All returns every problem, in the order of status codes and then of slugs.
func All() []Problem {
	return []Problem{
		AmbiguousCredentials, BadRequest, MalformedCredentials, MalformedJSON, MalformedRequest, TooDeep,
		InvalidCredentials, Unauthenticated,
		AgentMismatch, Forbidden, NoRoute, OriginRefused, TenantMismatch, UpgradeRefused,
		NotFound,
		MethodNotAllowed,
		RequestTimeout,
		BodyTooLarge, FieldTooLarge,
		UnsupportedEncoding, UnsupportedMediaType,
		BlockedPII, SuspectedPoisoning,
		TooEarly,
		RateLimited, TooManyAtOnce,
		HeadersTooLarge,
		EdgeRefused,
		ResponseBlocked, ResponseEncoded, ResponseTooLarge, ResponseUninspectable, UpstreamFault,
		ContentPolicyUnavailable, KeysUnavailable, NotAuthorized, Unavailable,
		UpstreamTimeout,
	}
}

// BySlug returns the problem with that slug.
func BySlug(slug string) (Problem, bool) {
	for _, p := range All() {
		if p.Slug == slug {
			return p, true
		}
	}
	return Problem{}, false
}

// Reference returns a Markdown table of all problems for the documentation.
func Reference() []byte {
	dst := []byte("| type | status | title | what to do |\n| --- | --- | --- | --- |\n")
	for _, p := range All() {
		dst = append(dst, "| `"+p.Type()+"` | "...)
		dst = strconv.AppendInt(dst, int64(p.Status), 10)
		dst = append(dst, " | "...)
		dst = appendCell(dst, p.Title)
		dst = append(dst, " | "...)
		dst = appendCell(dst, p.Detail)
		dst = append(dst, " |\n"...)
	}
	return dst
}

// appendCell keeps a text within its cell and its angle brackets visible.
func appendCell(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '|' || c == '<' || c == '>' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}
