# What memgate's policy of the benchmark decides, for OPA's Envoy plugin.
package check

import rego.v1

default answer := {"allowed": false, "http_status": 401}

request := input.attributes.request.http

bearer := substring(request.headers.authorization, 7, -1) if startswith(request.headers.authorization, "Bearer ")

claims := payload if {
	[_, unverified, _] := io.jwt.decode(bearer)
	keys := data.bench.jwks[unverified.iss]
	[valid, _, payload] := io.jwt.decode_verify(bearer, {"cert": keys, "iss": unverified.iss, "aud": "memory"})
	valid
	payload.exp
}

caller := {"tenant": claims.org_id, "subject": claims.sub, "scopes": split(claims.scope, " ")}

caller := data.bench.keys[crypto.hmac.sha256(request.headers["x-api-key"], data.bench.pepper)]

answer := {
	"allowed": true,
	"headers": {"x-memgate-tenant": caller.tenant, "x-memgate-subject": caller.subject},
	"request_headers_to_remove": ["authorization", "x-api-key", "x-session-token", "dpop"],
} if {
	request.method == "POST"
	["agents", _, "remember"] = input.parsed_path
	"memory:write" in caller.scopes
	regex.match(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, caller.tenant)
	caller.subject != ""
}
