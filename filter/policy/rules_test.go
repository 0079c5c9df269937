package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sections is a policy without findings, by top-level key.
func sections() map[string]string {
	return map[string]string{
		"version":  "1",
		"upstream": `{ address: "127.0.0.1:8081" }`,
		"identity": `
  issuers:
    - { issuer: "https://idp.example.com", audiences: [memory], tenant: org_id }`,
		"routes": `
  - { match: { path: /a }, require: { scopes: [s] } }`,
	}
}

// write makes a file of sections, with those of changes on top; "-" removes one.
func write(changes map[string]string) string {
	all := sections()
	for k, v := range changes {
		if v == "-" {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	var b strings.Builder
	for _, k := range sortedKeys(all) {
		b.WriteString(k + ": " + all[k] + "\n")
	}
	return b.String()
}

func issuer(members string) map[string]string {
	return map[string]string{"identity": "\n  issuers:\n    - { " + members + " }"}
}

func resource(members string) map[string]string {
	return map[string]string{"identity": `
  issuers: [{ issuer: "https://a.example", tenant: t, audiences: [a] }]
  resource: { ` + members + " }"}
}

// peers are those of a mesh whose Envoy verifies them.
func peers(identities string) map[string]string {
	return map[string]string{
		"identity": "{ mesh: { identities: [" + identities + "] } }",
		"envoy":    "{ tls: { certificate: c, key: k, client_ca: a, client_certificate: required } }",
	}
}

func merged(change map[string]string, key, value string) map[string]string {
	change[key] = value
	return change
}

func routes(lines ...string) map[string]string {
	return map[string]string{"routes": "\n  - " + strings.Join(lines, "\n  - ")}
}

func manyFields(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("f%d: 1", i))
	}
	return strings.Join(list, ", ")
}

// fake is text in the form of a credential, in two parts so that scanners of
// this repository do not take it for one.
func fake(prefix, rest string) string { return prefix + rest }

// rows has a policy for each rule, and what is found in it: "severity rule path".
var rows = []struct {
	name    string
	change  map[string]string
	text    string // instead of change: the whole file
	finding string
}{
	{name: "empty file", text: " \n", finding: "error empty "},
	{name: "only a comment", text: "# nothing\n", finding: "error empty "},
	{name: "null document", text: "~\n", finding: "error empty "},
	{name: "bad syntax", text: "a: [\n", finding: "error syntax "},
	{name: "not a mapping", text: "- a\n", finding: "error type "},
	{name: "two documents", text: write(nil) + "---\na: 1\n", finding: "error documents "},
	{name: "too large", text: write(nil) + "#" + strings.Repeat("x", MaxFile), finding: "error too-large "},
	{name: "alias", change: map[string]string{"cors": "{ allow_origins: &a [] }"}, finding: "error alias "},
	{name: "tag", change: map[string]string{"environment": "!!str production"}, finding: "error tag "},
	{name: "too deep", change: map[string]string{"cors": strings.Repeat("[", 40) + strings.Repeat("]", 40)}, finding: "error too-deep "},
	{name: "duplicate key", text: write(nil) + "version: 1\n", finding: "error duplicate-key version"},
	{name: "no value", change: map[string]string{"cors": ""}, finding: "error no-value cors"},
	{name: "list entry without a value", change: map[string]string{"cors": "{ allow_origins: [~] }"}, finding: "error no-value cors.allow_origins[0]"},
	{name: "unknown key", change: map[string]string{"cors": "{ alow_origins: [] }"}, finding: "error unknown-key cors.alow_origins"},
	{name: "unknown key at the top", change: map[string]string{"corse": "{}"}, finding: "error unknown-key corse"},
	{name: "merge key", change: map[string]string{"cors": "{ <<: { max_age: 1s } }"}, finding: "error unknown-key cors.<<"},
	{name: "mode", change: map[string]string{"mode": "shadow"}, finding: "error later mode"},
	{name: "mode of a section without one", change: map[string]string{"transaction": "{ mode: shadow }"}, finding: "error later transaction.mode"},
	{name: "mode of Redis", change: map[string]string{"limits": "{ store: redis, redis: { url: env:R, mode: off } }"}, finding: "error later limits.redis.mode"},
	{name: "identity in shadow before an upstream that wants a key", change: map[string]string{"identity": "{ mode: off, api_keys: { file: file:k } }", "upstream": `{ address: "127.0.0.1:3", credential: { value: env:K } }`}, finding: "warning mode-identity identity.mode"},
	{name: "mode in capitals", change: map[string]string{"access": "{ Mode: shadow }"}, finding: "error unknown-key access.Mode"},
	{name: "access in no mode", change: map[string]string{"access": "{ mode: audit }"}, finding: "error enum access.mode"},
	{name: "limits in no mode", change: map[string]string{"limits": "{ mode: false }"}, finding: "error type limits.mode"},
	{name: "access enforced", change: map[string]string{"access": "{ mode: enforce }", "limits": "{ mode: enforce }"}},
	{name: "access in shadow", change: map[string]string{"access": "{ mode: shadow }"}, finding: "warning mode-shadow access.mode"},
	{name: "access off", change: map[string]string{"access": "{ mode: off }"}, finding: "warning mode-off access.mode"},
	{name: "cors in shadow", change: map[string]string{"cors": "{ mode: shadow }"}, finding: "warning mode-shadow cors.mode"},
	{name: "headers off", change: map[string]string{"headers": "{ mode: off }"}, finding: "warning mode-off headers.mode"},
	{name: "tenant in shadow", change: map[string]string{"tenant": "{ mode: shadow }"}, finding: "warning mode-shadow tenant.mode"},
	{name: "audit off", change: map[string]string{"audit": "{ mode: off }"}, finding: "warning mode-off audit.mode"},
	{name: "pii in shadow", change: map[string]string{"pii": "{ mode: shadow }"}, finding: "warning mode-shadow pii.mode"},
	{name: "bodies searched and not checked", change: map[string]string{"content": "{ mode: shadow }"}, finding: "error mode-content content.mode"},
	{name: "identity in shadow", change: map[string]string{"identity": "{ mode: shadow, api_keys: { file: file:k } }"}, finding: "warning mode-shadow identity.mode"},
	{name: "identity in shadow in production", change: map[string]string{"environment": "production", "identity": "{ mode: shadow, api_keys: { file: file:k } }"}, finding: "error mode-production identity.mode"},
	{name: "identity in shadow in production on purpose", change: map[string]string{"environment": "production", "unenforced": "[identity]", "identity": "{ mode: shadow, api_keys: { file: file:k } }"}, finding: "warning mode-shadow identity.mode"},
	{name: "audit off in production", change: map[string]string{"environment": "production", "audit": "{ mode: off }"}, finding: "error mode-production audit.mode"},
	{name: "limits in shadow in production", change: map[string]string{"environment": "production", "limits": "{ mode: shadow }"}, finding: "warning mode-shadow limits.mode"},
	{name: "nothing that can be unenforced", change: map[string]string{"unenforced": "[acess]"}, finding: "error mode-production unenforced[0]"},
	{name: "limits in shadow", change: map[string]string{"limits": "{ mode: shadow }"}, finding: "warning mode-shadow limits.mode"},
	{name: "limits off", change: map[string]string{"limits": "{ mode: off }"}, finding: "warning mode-off limits.mode"},
	{name: "poison", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { poison: quarantine } }")},
	{name: "poison word", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { poison: maybe } }"), finding: "error enum routes[0].content.poison"},
	{name: "poison rule", change: map[string]string{"poison": "{ disable: [overide] }"}, finding: "error poison poison.disable[0]"},
	{name: "poison phrase", change: map[string]string{"poison": "{ phrases: [\"...\"] }"}, finding: "error poison poison.phrases[0]"},
	{name: "poison thresholds", change: map[string]string{"poison": "{ quarantine: 5, refuse: 4 }"}, finding: "error poison poison.refuse"},
	{name: "redis as a word", change: map[string]string{"limits": "{ redis: env:REDIS_URL }"}, finding: "error type limits.redis"},
	{name: "redis without an address", change: map[string]string{"limits": "{ store: redis }"}, finding: "error redis limits.store"},
	{name: "redis without its store", change: map[string]string{"limits": "{ redis: { url: env:REDIS_URL } }"}, finding: "error redis limits.redis"},
	{name: "redis as a literal", change: map[string]string{"limits": "{ store: redis, redis: { url: 'redis://h:1' } }"}, finding: "error secret limits.redis.url"},
	{name: "redis with patience", change: map[string]string{"limits": "{ store: redis, redis: { url: env:REDIS_URL, timeout: 2s } }"}, finding: "error range limits.redis.timeout"},
	{name: "redis with a prefix", change: map[string]string{"limits": "{ store: redis, redis: { url: env:REDIS_URL, prefix: 'a{b' } }"}, finding: "error redis limits.redis.prefix"},
	{name: "per_principal of no class", change: map[string]string{"limits": "{ per_principal: { wirte: 1/m } }"}, finding: "error class limits.per_principal.wirte"},
	{name: "per_agent of zero", change: map[string]string{"limits": "{ per_agent: { write: 0/m } }"}, finding: "error limit-zero limits.per_agent.write"},
	{name: "per_address of no class", change: map[string]string{"limits": "{ per_address: { all: 1/m } }"}, finding: "error class limits.per_address.all"},
	{name: "requests at once", change: map[string]string{"limits": "{ concurrency: { tenant: 50, classes: { write: 5 }, hold: 3m } }"}},
	{name: "requests at once of no class", change: map[string]string{"limits": "{ concurrency: { tenant: 50, classes: { wrote: 5 } } }"}, finding: "error class limits.concurrency.classes.wrote"},
	{name: "no requests at once", change: map[string]string{"limits": "{ concurrency: { tenant: 0 } }"}, finding: "error range limits.concurrency.tenant"},
	{name: "no requests of a class at once", change: map[string]string{"limits": "{ concurrency: { tenant: 5, classes: { read: 0 } } }"}, finding: "error range limits.concurrency.classes.read"},
	{name: "requests at once of nobody", change: map[string]string{"limits": "{ concurrency: { hold: 3m } }"}, finding: "error required limits.concurrency.tenant"},
	{name: "a hold that is short", change: map[string]string{"limits": "{ concurrency: { tenant: 5, hold: 10s } }"}, finding: "warning hold limits.concurrency.hold"},
	{name: "before_auth of zero", change: map[string]string{"limits": "{ before_auth: 0/m }"}, finding: "error limit-zero limits.before_auth"},
	{name: "weight above the class", change: map[string]string{"limits": "{ classes: { read: 100/m burst 4, write: 100/m burst 4 } }", "routes": "[{ match: { path: /a }, require: { scopes: [a] }, weight: 5 }]"}, finding: "error weight routes[0].weight"},
	{name: "weight above an agent's", change: map[string]string{"limits": "{ per_agent: { write: 4/m } }", "routes": "[{ match: { path: /a, methods: [POST] }, require: { scopes: [a] }, weight: 5 }]"}, finding: "error weight routes[0].weight"},
	{name: "reveal", change: map[string]string{"pii": `{ response: { reveal: "memory:pii" } }`}, finding: "error unknown-key pii.response.reveal"},
	{name: "pseudonymize", change: map[string]string{"pii": "{ request: { EMAIL_ADDRESS: pseudonymize } }"}, finding: "error pseudonym-key pii.request.EMAIL_ADDRESS"},
	{name: "pseudonyms", change: map[string]string{"pii": `{ request: { EMAIL_ADDRESS: pseudonymize }, pseudonyms: { keys: [file:new, file:old], reveal: "memory:pii" } }`}},
	{name: "pseudonyms without keys", change: map[string]string{"pii": "{ pseudonyms: { reveal: a } }"}, finding: "error required pii.pseudonyms.keys"},
	{name: "a key of pseudonyms twice", change: map[string]string{"pii": "{ pseudonyms: { keys: [file:a, file:a] } }"}, finding: "error pseudonym-key pii.pseudonyms.keys[1]"},
	{name: "too many keys of pseudonyms", change: map[string]string{"pii": "{ pseudonyms: { keys: [file:1, file:2, file:3, file:4, file:5, file:6, file:7, file:8, file:9] } }"}, finding: "error range pii.pseudonyms.keys"},
	{name: "reveal to no scope", change: map[string]string{"pii": `{ pseudonyms: { keys: [file:a], reveal: "a b" } }`}, finding: "error scope pii.pseudonyms.reveal"},
	{name: "mesh identity", change: map[string]string{"identity": "{ mtls: {}, api_keys: { file: file:k } }"}, finding: "error later identity.mtls"},
	{name: "custom entities", change: map[string]string{"pii": "{ entities: {} }"}, finding: "error later pii.entities"},
	{name: "fail open", change: map[string]string{"failure_mode_allow": "true"}, finding: "error fail-open failure_mode_allow"},
	{name: "fail open of a section", change: map[string]string{"upstream": `{ address: "a:1", failure: open }`}, finding: "error fail-open upstream.failure"},
	{name: "no upstream", change: map[string]string{"upstream": "-"}, finding: "error required upstream"},
	{name: "no version", change: map[string]string{"version": "-"}, finding: "error required version"},
	{name: "no audience", change: issuer(`issuer: "https://a.example", tenant: t`), finding: "error required identity.issuers[0].audiences"},
	{name: "empty audiences", change: issuer(`issuer: "https://a.example", tenant: t, audiences: []`), finding: "error required identity.issuers[0].audiences"},
	{name: "empty upstream address", change: map[string]string{"upstream": `{ address: "" }`}, finding: "error required upstream.address"},
	{name: "no path", change: routes("{ match: {}, require: { scopes: [s] } }"), finding: "error required routes[0].match.path"},
	{name: "text for a list", change: map[string]string{"cors": "{ allow_origins: a }"}, finding: "error type cors.allow_origins"},
	{name: "list for a mapping", change: map[string]string{"cors": "[]"}, finding: "error type cors"},
	{name: "text for a boolean", change: map[string]string{"cors": "{ allow_credentials: yes }"}, finding: "error type cors.allow_credentials"},
	{name: "text for a number", change: map[string]string{"envoy": "{ trusted_hops: one }"}, finding: "error type envoy.trusted_hops"},
	{name: "number for a text", change: map[string]string{"transaction": "{ issuer: 12 }"}, finding: "error type transaction.issuer"},
	{name: "mapping for a text", change: map[string]string{"transaction": "{ issuer: {} }"}, finding: "error type transaction.issuer"},
	{name: "list for a rate", change: map[string]string{"limits": "{ classes: { write: [1] } }"}, finding: "error type limits.classes.write"},
	{name: "bad duration", change: map[string]string{"cors": "{ max_age: 600 }"}, finding: "error value cors.max_age"},
	{name: "bad rate", change: map[string]string{"limits": "{ classes: { write: 60/min } }"}, finding: "error value limits.classes.write"},
	{name: "bad size", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { max_body: 64KB } }"), finding: "error value routes[0].content.max_body"},
	{name: "enum", change: map[string]string{"headers": "{ preset: apii }"}, finding: "error enum headers.preset"},
	{name: "other version", change: map[string]string{"version": "2"}, finding: "error range version"},
	{name: "session too short", change: map[string]string{"identity": "{ api_keys: { file: file:k }, sessions: { ttl: 1s } }"}, finding: "error range identity.sessions.ttl"},
	{name: "unknown entity", change: map[string]string{"pii": "{ request: { EMAIL: redact } }"}, finding: "error entity pii.request.EMAIL"},
	{name: "unknown action", change: map[string]string{"pii": "{ request: { EMAIL_ADDRESS: redcat } }"}, finding: "error action pii.request.EMAIL_ADDRESS"},
	{name: "literal for a reference", change: map[string]string{"pii": "{ key: hunter2 }"}, finding: "error secret pii.key"},
	{name: "known credential in a comment", text: write(nil) + "# " + fake("AK", "IAIOSFODNN7EXAMPLE") + "\n", finding: "error secret "},
	{name: "password in a URL", text: write(nil) + "# https://bob:pw@example.com\n", finding: "error secret "},
	{name: "random text", change: map[string]string{"upstream": `{ address: "a:1", credential: { prefix: "` + fake("q8Zx3LmP0v", "Rk7TnY2cWd5HsB9f") + `", value: env:K } }`}, finding: "error secret upstream.credential.prefix"},

	{name: "address without a port", change: map[string]string{"upstream": "{ address: localhost }"}, finding: "error address upstream.address"},
	{name: "address with a scheme", change: map[string]string{"upstream": `{ address: "http://localhost:80" }`}, finding: "error address upstream.address"},
	{name: "address without a host", change: map[string]string{"server": `{ grpc: ":9001" }`}, finding: "error address server.grpc"},
	{name: "address twice", change: map[string]string{"server": `{ grpc: "127.0.0.1:9002" }`}, finding: "error address server.http"},
	{name: "host that is no name", change: map[string]string{"upstream": `{ address: "a..b:1" }`}, finding: "error address upstream.address"},
	{name: "host with a scheme", change: map[string]string{"server": `{ host: "http://a" }`}, finding: "error address server.host"},
	{name: "issuer with a password", change: issuer(`issuer: "https://a@a.example", tenant: t, audiences: [a]`), finding: "error issuer-url identity.issuers[0].issuer"},
	{name: "issuer with a fragment", change: issuer(`issuer: "https://a.example#b", tenant: t, audiences: [a]`), finding: "error issuer-url identity.issuers[0].issuer"},
	{name: "issuer of another scheme", change: issuer(`issuer: "ftp://a.example", tenant: t, audiences: [a]`), finding: "error issuer-url identity.issuers[0].issuer"},
	{name: "upstream credential in a header that is none", change: map[string]string{"upstream": `{ address: "a:1", credential: { header: "a b", value: env:K } }`}, finding: "error upstream-header upstream.credential.header"},
	{name: "upstream credential in a header of the edge", change: map[string]string{"upstream": `{ address: "a:1", credential: { header: X-Memgate-Key, value: env:K } }`}, finding: "error upstream-header upstream.credential.header"},
	{name: "upstream credential with a line end", change: map[string]string{"upstream": `{ address: "a:1", credential: { prefix: "a\n", value: env:K } }`}, finding: "error upstream-header upstream.credential.prefix"},
	{name: "empty claim", change: issuer(`issuer: "https://a.example", tenant: "", audiences: [a]`), finding: "error value identity.issuers[0].tenant"},
	{name: "key that is no word", change: map[string]string{"cors": "{ [a]: b }"}, finding: "error type cors"},
	{name: "bad port", change: map[string]string{"envoy": `{ listen: "127.0.0.1:0" }`}, finding: "error address envoy.listen"},
	{name: "admin for all", change: map[string]string{"envoy": `{ admin: "0.0.0.0:9901" }`}, finding: "error envoy-admin envoy.admin"},
	{name: "audit key not in a file", change: map[string]string{"audit": `{ file: a.log, key: env:KEY }`}, finding: "error file-reference audit.key"},
	{name: "requests pass unaudited", change: map[string]string{"audit": `{ file: a.log, on_failure: continue }`}, finding: "warning audit-continue audit.on_failure"},
	{name: "unknown sync policy", change: map[string]string{"audit": `{ file: a.log, fsync: sometimes }`}, finding: "error enum audit.fsync"},
	{name: "no audit file", change: map[string]string{"audit": `{ file: "" }`}, finding: "error audit-file audit.file"},
	{name: "upstream audience", change: map[string]string{"upstream": `{ address: "a:1", audience: "" }`}, finding: "error audience upstream.audience"},
	{name: "any audience", change: issuer(`issuer: "https://a.example", tenant: t, audiences: ["*"]`), finding: "error audience identity.issuers[0].audiences[0]"},
	{name: "no Txn-Token issuer", change: map[string]string{"transaction": `{ issuer: "" }`}, finding: "error issuer transaction.issuer"},
	{name: "signing key in the environment", change: map[string]string{"transaction": "{ key: env:KEY }"}, finding: "error file-reference transaction.key"},
	{name: "key file in the environment", change: map[string]string{"identity": "{ api_keys: { file: env:KEYS } }"}, finding: "error file-reference identity.api_keys.file"},
	{name: "upstream credential in a reserved header", change: map[string]string{"upstream": `{ address: "a:1", credential: { header: Txn-Token, value: env:K } }`}, finding: "error upstream-header upstream.credential.header"},

	{name: "origin with a path", change: map[string]string{"cors": `{ allow_origins: ["https://a.example/"] }`}, finding: "error cors cors.allow_origins[0]"},
	{name: "bad method", change: map[string]string{"cors": "{ allow_methods: [get] }"}, finding: "error cors cors.allow_methods[0]"},
	{name: "bad request header", change: map[string]string{"cors": `{ allow_headers: ["a b"] }`}, finding: "error cors cors.allow_headers[0]"},
	{name: "bad response header", change: map[string]string{"cors": `{ expose_headers: ["a b"] }`}, finding: "error cors cors.expose_headers[0]"},
	{name: "wrong only together", change: map[string]string{"cors": `{ allow_methods: [GET, "*"] }`}, finding: "error cors cors.allow_methods"},
	{name: "plain origin", change: map[string]string{"cors": `{ allow_origins: ["http://a.example"] }`}, finding: "error cors-http cors.allow_origins[0]"},
	{name: "plain wildcard", change: map[string]string{"cors": `{ allow_origins: ["http://*.a.example"] }`}, finding: "error cors-http cors.allow_origins[0]"},
	{name: "plain origin on loopback", change: map[string]string{"cors": `{ allow_origins: ["http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000"] }`}},
	{name: "everyone with credentials", change: map[string]string{"cors": `{ allow_origins: ["*"], allow_credentials: true }`}, finding: "error cors-wildcard-credentials cors.allow_origins[0]"},
	{name: "everyone", change: map[string]string{"cors": `{ allow_origins: ["*"] }`}, finding: "warning cors-wildcard cors.allow_origins[0]"},
	{name: "long preflights", change: map[string]string{"cors": "{ max_age: 3h }"}, finding: "warning cors-max-age cors.max_age"},
	{name: "bad header", change: map[string]string{"headers": `{ override: { "a b": c } }`}, finding: "error headers headers.override.a b"},
	{name: "header in two cases", change: map[string]string{"headers": `{ override: { X-A: b, x-a: c } }`}, finding: "error headers headers.override"},

	{name: "plain issuer", change: issuer(`issuer: "http://a.example", tenant: t, audiences: [a]`), finding: "error issuer-http identity.issuers[0].issuer"},
	{name: "plain issuer on loopback", change: issuer(`issuer: "http://127.0.0.1:9010", tenant: t, audiences: [a]`)},
	{name: "issuer without a URL", change: issuer("issuer: idp, tenant: t, audiences: [a]"), finding: "error issuer-url identity.issuers[0].issuer"},
	{name: "issuer with a query", change: issuer(`issuer: "https://a.example?b", tenant: t, audiences: [a]`), finding: "error issuer-url identity.issuers[0].issuer"},
	{name: "plain keys", change: issuer(`issuer: "https://a.example", jwks_uri: "http://a.example", tenant: t, audiences: [a]`), finding: "error jwks-http identity.issuers[0].jwks_uri"},
	{name: "two places for keys", change: issuer(`issuer: "https://a.example", jwks_uri: "https://a.example", jwks_file: f, tenant: t, audiences: [a]`), finding: "error issuer-keys identity.issuers[0].jwks_file"},
	{name: "reference for keys", change: issuer(`issuer: "https://a.example", jwks_file: "file:f", tenant: t, audiences: [a]`), finding: "error issuer-keys identity.issuers[0].jwks_file"},
	{name: "issuer twice", change: map[string]string{"identity": `
  issuers:
    - { issuer: "https://a.example", audiences: [a], tenant: t }
    - { issuer: "https://a.example", audiences: [b], tenant: t }`}, finding: "error issuer-duplicate identity.issuers[1].issuer"},
	{name: "not signed", change: issuer(`issuer: "https://a.example", algorithms: [none], tenant: t, audiences: [a]`), finding: "error algorithm-none identity.issuers[0].algorithms[0]"},
	{name: "shared secret", change: issuer(`issuer: "https://a.example", algorithms: [RS256, HS256], tenant: t, audiences: [a]`), finding: "error algorithm-hmac identity.issuers[0].algorithms[1]"},
	{name: "unknown algorithm", change: issuer(`issuer: "https://a.example", algorithms: [rs256], tenant: t, audiences: [a]`), finding: "error algorithm identity.issuers[0].algorithms[0]"},
	{name: "no algorithms", change: issuer(`issuer: "https://a.example", algorithms: [], tenant: t, audiences: [a]`), finding: "error algorithm identity.issuers[0].algorithms"},
	{name: "bad pointer", change: issuer(`issuer: "https://a.example", tenant: "/a~2", audiences: [a]`), finding: "error claim identity.issuers[0].tenant"},
	{name: "no tenant", change: issuer(`issuer: "https://a.example", audiences: [a]`), finding: "error required identity.issuers[0].tenant"},
	{name: "tenant of nothing", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: {}`), finding: "error tenant-source identity.issuers[0].tenant"},
	{name: "tenant of a claim", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: /org/id }`)},
	{name: "tenant of an empty claim", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: "" }`), finding: "error tenant-source identity.issuers[0].tenant.claim"},
	{name: "tenant of a bad pointer", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: /a~2 }`), finding: "error claim identity.issuers[0].tenant.claim"},
	{name: "tenant of a list", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: [org_id]`), finding: "error type identity.issuers[0].tenant"},
	{name: "tenant of a claim that is a list", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: [org_id] }`), finding: "error type identity.issuers[0].tenant.claim"},
	{name: "tenant of a claim and a value", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, value: b }`), finding: "error tenant-source identity.issuers[0].tenant.value"},
	{name: "tenant of a claim and a template", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, template: "{b}" }`), finding: "error tenant-source identity.issuers[0].tenant.template"},
	{name: "tenant of a template and a value", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{a}", value: b }`), finding: "error tenant-source identity.issuers[0].tenant.value"},
	{name: "tenant of an empty value", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { value: "" }`), finding: "error tenant-source identity.issuers[0].tenant.value"},
	{name: "map of tenants", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, map: { "org-123": acme, org.2: acme, "https://c d": beta } }`)},
	{name: "map of tenants alone", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { map: { a: b } }`), finding: "error tenant-source identity.issuers[0].tenant"},
	{name: "map of tenants and a template", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{a}", map: { a: b } }`), finding: "error tenant-map identity.issuers[0].tenant.map"},
	{name: "map of tenants and a value", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { value: a, map: { a: b } }`), finding: "error tenant-map identity.issuers[0].tenant.map"},
	{name: "empty map of tenants", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, map: {} }`), finding: "error tenant-map identity.issuers[0].tenant.map"},
	{name: "map of no names", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, map: { x: acme, y: a/b } }`), finding: "error tenant-name identity.issuers[0].tenant.map.y"},
	{name: "map to an empty name", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, map: { x: "" } }`), finding: "error tenant-name identity.issuers[0].tenant.map.x"},
	{name: "map to a number", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, map: { x: 1 } }`), finding: "error type identity.issuers[0].tenant.map.x"},
	{name: "map to nothing", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claim: a, map: { x: } }`), finding: "error no-value identity.issuers[0].tenant.map.x"},
	{name: "value of a tenant", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { value: acme-1.eu }`)},
	{name: "value that is no name", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { value: a..b }`), finding: "error tenant-name identity.issuers[0].tenant.value"},
	{name: "template of a tenant", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "t-{org}-{/realm/a~1b}.x" }`)},
	{name: "template without a claim", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: acme }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template that is open", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{org}-{region" }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template that closes", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{org}-region}" }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template with empty braces", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{org}-{}" }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template in a template", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{a{b}}" }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template without a separator", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{org}{region}" }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template that makes no name", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{org}/{region}" }`), finding: "error tenant-template identity.issuers[0].tenant.template"},
	{name: "template with a bad pointer", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { template: "{org}-{/a~2}" }`), finding: "error claim identity.issuers[0].tenant.template"},
	{name: "unknown source of a tenant", change: issuer(`issuer: "https://a.example", audiences: [a], tenant: { claims: a }`), finding: "error unknown-key identity.issuers[0].tenant.claims"},
	{name: "development issuer in production", text: "environment: production\n" + write(issuer(`issuer: "http://localhost:9010", tenant: t, audiences: [a]`)), finding: "warning production-loopback identity.issuers[0].issuer"},
	{name: "bad redacted member", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { redact: ["a[0]"] } }`), finding: "error field routes[0].content.redact[0]"},
	{name: "redacted twice", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { redact: [ssn, ssn] } }`), finding: "error field routes[0].content.redact[1]"},
	{name: "an identifier that is redacted", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { redact: [user_id], identifiers: [user_id] } }`), finding: "error field routes[0].content.redact[0]"},
	{name: "a delta that is redacted", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { redact: [token.text], deltas: [token.text] } }`), finding: "error field routes[0].content.redact[0]"},
	{name: "redacted members", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { redact: [ssn, "results[].card"] } }`)},
	{name: "bad identifier", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { identifiers: ["a[0]"] } }`), finding: "error field routes[0].content.identifiers[0]"},
	{name: "identifier twice", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { identifiers: [user_id, user_id] } }`), finding: "error field routes[0].content.identifiers[1]"},
	{name: "bad delta", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { deltas: ["a[0]"] } }`), finding: "error field routes[0].content.deltas[0]"},
	{name: "delta twice", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { deltas: [., .] } }`), finding: "error field routes[0].content.deltas[1]"},
	{name: "deltas", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { deltas: [., token.text, "choices[].text"] } }`)},
	{name: "other types", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { other_types: pass } }`), finding: "warning other-types routes[0].content.other_types"},
	{name: "identifiers", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { identifiers: [user_id, filters, "results[].user_id"] } }`)},
	{name: "role without scopes", change: map[string]string{"identity": issuer(`issuer: "https://a.example", tenant: t, audiences: [a], roles: groups`)["identity"]}, finding: "error role identity.issuers[0].roles"},
	{name: "roles that no token names", change: map[string]string{"access": "{ roles: { reader: [a] } }"}, finding: "error role access.roles"},
	{name: "bad role", change: map[string]string{"access": `{ roles: { "a b": [a] } }`, "identity": issuer(`issuer: "https://a.example", tenant: t, audiences: [a], roles: groups`)["identity"]}, finding: "error role access.roles.a b"},
	{name: "bad scope of a role", change: map[string]string{"access": `{ roles: { a: ["b c"] } }`, "identity": issuer(`issuer: "https://a.example", tenant: t, audiences: [a], roles: groups`)["identity"]}, finding: "error scope access.roles.a[0]"},
	{name: "roles", change: map[string]string{"access": `{ roles: { reader: ["memory:read"] } }`, "identity": issuer(`issuer: "https://a.example", tenant: t, audiences: [a], roles: /realm/roles`)["identity"]}},
	{name: "condition", change: routes(`{ match: { path: /a }, require: { condition: 'principal.tenant == "a"' } }`)},
	{name: "condition of another type", change: routes(`{ match: { path: /a }, require: { condition: 'principal.tenant == 1' } }`), finding: "error condition routes[0].require.condition"},
	{name: "condition that is misspelt", change: routes(`{ match: { path: /a }, require: { condition: 'principle.tenant == "a"' } }`), finding: "error condition routes[0].require.condition"},
	{name: "condition on nobody", change: routes(`{ match: { path: /a }, anonymous: true, require: { condition: 'true' } }`), finding: "error anonymous-scopes routes[0].require.condition"},
	{name: "resource with a query", change: resource(`url: "https://a.example/?b"`), finding: "error resource-url identity.resource.url"},
	{name: "resource with a path that cannot be", change: resource(`url: "https://a.example/a//b"`), finding: "error resource-url identity.resource.url"},
	{name: "resource without a URL", change: resource("url: edge"), finding: "error issuer-url identity.resource.url"},
	{name: "plain resource", change: resource(`url: "http://a.example"`), finding: "error resource-http identity.resource.url"},
	{name: "resource without issuers", change: map[string]string{"identity": `{ api_keys: { file: file:k }, resource: { url: "https://a.example" } }`}, finding: "error resource-issuers identity.resource"},
	{name: "resource", change: resource(`url: "https://a.example/mcp", documentation: "https://a.example/docs"`)},
	{name: "route in the way of the resource", change: map[string]string{
		"identity": resource(`url: "https://a.example/"`)["identity"],
		"routes":   routes("{ match: { methods: [GET], path: /.well-known/oauth-protected-resource }, require: { scopes: [s] } }")["routes"],
	}, finding: "error route-own routes[0].match.path"},
	{name: "nobody", change: map[string]string{"identity": "-"}, finding: "error identity identity"},
	{name: "nobody but anonymous", change: map[string]string{"identity": "-", "routes": "\n  - { match: { path: /a }, anonymous: true }"}},
	{name: "sessions alone", change: map[string]string{"identity": "{ sessions: {} }"}, finding: "error identity identity.sessions"},
	{name: "long sessions", change: map[string]string{"identity": "{ api_keys: { file: file:k }, sessions: { ttl: 48h } }"}, finding: "warning session-ttl identity.sessions.ttl"},

	{name: "state in two places", change: map[string]string{"state": "{ file: s.db, redis: env:R }"}, finding: "error state state.redis"},
	{name: "state file as a reference", change: map[string]string{"state": "{ file: file:s.db }"}, finding: "error state state.file"},
	{name: "state of a cluster in a file", change: map[string]string{"state": "{ file: s.db, cluster: true }"}, finding: "error state state.cluster"},
	{name: "state with a prefix", change: map[string]string{"state": "{ redis: env:R, prefix: 'a{b' }"}, finding: "error state state.prefix"},
	{name: "tracing", change: map[string]string{"tracing": "{ otlp: 'localhost:4317', sample: 0.0001, service: edge.eu-1 }"}},
	{name: "all is traced", change: map[string]string{"tracing": "{ otlp: '127.0.0.1:4317', sample: 1 }"}},
	{name: "tracing to nowhere", change: map[string]string{"tracing": "{}"}, finding: "error required tracing.otlp"},
	{name: "tracing to a URL", change: map[string]string{"tracing": "{ otlp: 'http://localhost:4317' }"}, finding: "error address tracing.otlp"},
	{name: "more than all is traced", change: map[string]string{"tracing": "{ otlp: 'localhost:4317', sample: 1.5 }"}, finding: "error value tracing.sample"},
	{name: "a negative sample", change: map[string]string{"tracing": "{ otlp: 'localhost:4317', sample: -0.1 }"}, finding: "error value tracing.sample"},
	{name: "a service that cannot be", change: map[string]string{"tracing": "{ otlp: 'localhost:4317', service: 'a b' }"}, finding: "error trace-service tracing.service"},
	{name: "clients choose traces", change: map[string]string{"tracing": "{ otlp: 'localhost:4317', trust_client: true }"}, finding: "warning trace-client tracing.trust_client"},
	{name: "plain traces in production", change: map[string]string{"environment": "production", "tracing": "{ otlp: 'collector:4317' }"}, finding: "error trace-plain tracing.otlp"},
	{name: "traces by TLS from nobody", change: map[string]string{"tracing": "{ otlp: 'collector:4317', tls: {} }"}, finding: "error tls tracing.tls"},
	{name: "traces by TLS", change: map[string]string{"environment": "production", "tracing": "{ otlp: 'collector:4317', tls: { ca: file:ca.crt } }", "envoy": "{ identity: { sds: /tls } }"}},
	{name: "authorities that cannot be followed", change: map[string]string{"tracing": "{ otlp: 'collector:4317', tls: { ca: env:CA } }", "envoy": "{ identity: { sds: /tls } }"}, finding: "error file-reference tracing.tls.ca"},
	{name: "state as a literal", change: map[string]string{"state": "{ redis: 'redis://h:1' }"}, finding: "error secret state.redis"},
	{name: "stale state", change: map[string]string{"state": "{ file: s.db, max_stale: 1s }"}, finding: "error range state.max_stale"},
	{name: "state in a file", change: map[string]string{"state": "{ file: s.db }", "identity": "{ api_keys: { file: file:k }, sessions: {} }", "environment": "production"}},
	{name: "shared sessions without a key", change: map[string]string{"state": "{ redis: env:R }", "identity": "{ api_keys: { file: file:k }, sessions: {} }"}, finding: "error session-key identity.sessions"},
	{name: "shared sessions", change: map[string]string{"state": "{ redis: env:R }", "identity": "{ api_keys: { file: file:k }, sessions: { key: env:K } }"}},
	{name: "sessions in memory", change: map[string]string{"identity": "{ api_keys: { file: file:k }, sessions: {} }", "environment": "production"}, finding: "warning sessions-in-memory identity.sessions"},
	{name: "sessions in memory, for development", change: map[string]string{"identity": "{ api_keys: { file: file:k }, sessions: {} }"}},

	{name: "zero rate", change: map[string]string{"limits": "{ classes: { write: 0/m } }"}, finding: "error limit-zero limits.classes.write"},
	{name: "zero rate of a route", change: routes("{ match: { path: /a }, require: { scopes: [s] }, limit: 0/s }"), finding: "error limit-zero routes[0].limit"},
	{name: "zero body", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { max_body: 0 } }"), finding: "error limit-zero routes[0].content.max_body"},
	{name: "zero field", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { fields: { a: 0 } } }"), finding: "error limit-zero routes[0].content.fields.a"},
	{name: "class name", change: map[string]string{"limits": "{ classes: { A: 1/s } }"}, finding: "error class limits.classes.A"},
	{name: "unknown class", change: routes("{ match: { path: /a }, require: { scopes: [s] }, class: wriet }"), finding: "error class routes[0].class"},
	{name: "custom pattern", change: map[string]string{"pii": `{ custom: [ { name: A, words: [ab], patterns: [ 'x\d', 'EMP-\d+' ] } ] }`}, finding: "error custom pii.custom[0].patterns[1]"},
	{name: "custom name", change: map[string]string{"pii": "{ custom: [ { name: a, words: [ab] } ] }"}, finding: "error custom pii.custom[0].name"},
	{name: "custom word", change: map[string]string{"pii": "{ custom: [ { name: A, words: [ab, a] } ] }"}, finding: "error custom pii.custom[0].words[1]"},
	{name: "allowed value", change: map[string]string{"pii": "{ allow: [ a, '' ] }"}, finding: "error custom pii.allow[1]"},
	{name: "hash without a key", change: map[string]string{"pii": "{ request: { default: hash } }"}, finding: "error pii-key pii.request.default"},
	{name: "hash without a key in a route", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { response: { EMAIL_ADDRESS: hash } } }"), finding: "error pii-key routes[0].content.response.EMAIL_ADDRESS"},
	{name: "hash with a key", change: map[string]string{"pii": "{ request: { default: hash }, key: env:K }"}},
	{name: "allow by default", change: map[string]string{"pii": "{ request: { default: allow } }"}, finding: "warning pii-allow pii.request.default"},
	{name: "allow addresses", change: map[string]string{"pii": "{ request: { EMAIL_ADDRESS: allow } }"}},

	{name: "no routes", change: map[string]string{"routes": "-"}, finding: "warning routes routes"},
	{name: "too many routes", change: routes(slices.Repeat([]string{"{ match: { path: /a } }"}, MaxRoutes+1)...), finding: "error routes routes"},
	{name: "bad path", change: routes("{ match: { path: /a/* }, require: { scopes: [s] } }"), finding: "error route-path routes[0].match.path"},
	{name: "method in lower case", change: routes("{ match: { path: /a, methods: [post] }, require: { scopes: [s] } }"), finding: "error route-method routes[0].match.methods[0]"},
	{name: "CONNECT", change: routes("{ match: { path: /a, methods: [CONNECT] }, require: { scopes: [s] } }"), finding: "error route-method routes[0].match.methods[0]"},
	{name: "bad name", change: routes("{ name: a b, match: { path: /a }, require: { scopes: [s] } }"), finding: "error route-name routes[0].name"},
	{name: "name twice", change: routes("{ name: a, match: { path: /a }, require: { scopes: [s] } }", "{ name: a, match: { path: /b }, require: { scopes: [s] } }"), finding: "error route-name routes[1].name"},
	{name: "duplicate route", change: routes(`{ match: { path: "/a/{x}" }, require: { scopes: [s] } }`, `{ match: { path: "/a/{y}" }, require: { scopes: [s] } }`), finding: "error route-duplicate routes[1].match.path"},
	{name: "ambiguous routes", change: routes(`{ match: { path: "/{x}/b" }, require: { scopes: [s] } }`, `{ match: { path: "/a/{y}" }, require: { scopes: [s] } }`), finding: "error route-ambiguous routes[1].match.path"},
	{name: "ambiguous but for the methods", change: routes(`{ match: { methods: [GET], path: "/{x}/b" }, require: { scopes: [s] } }`, `{ match: { methods: [POST], path: "/a/{y}" }, require: { scopes: [s] } }`)},
	{name: "unreachable route", change: routes("{ match: { path: /a }, anonymous: true }", "{ match: { methods: [GET], path: /a }, require: { scopes: [s] } }"), finding: "error route-unreachable routes[0].match.path"},
	{name: "bound tokens of no issuer", change: map[string]string{
		"identity": "{ api_keys: { file: file:k } }",
		"routes":   "\n  - { match: { path: /a }, require: { scopes: [s], sender_constrained: dpop } }",
	}, finding: "error sender routes[0].require.sender_constrained"},
	{name: "bound to a certificate", change: issuer(`issuer: "https://a.example", tenant: t, audiences: [a], sender_constrained: mtls`), finding: "warning sender-mtls identity.issuers[0].sender_constrained"},
	{name: "bound to a certificate that is asked for", text: "envoy: { tls: { certificate: c, key: k, client_certificate: any } }\n" + write(issuer(`issuer: "https://a.example", tenant: t, audiences: [a], sender_constrained: mtls`))},
	{name: "plain HTTP in production", text: "environment: production\n" + write(map[string]string{"envoy": `{ listen: "0.0.0.0:8080" }`}), finding: "error plain-http envoy.listen"},
	{name: "plain HTTP in production, behind TLS", text: "environment: production\n" + write(map[string]string{"envoy": `{ listen: "0.0.0.0:8080", tls_in_front: true }`})},
	{name: "TLS in production", text: "environment: production\n" + write(map[string]string{"envoy": `{ listen: "0.0.0.0:8443", tls: { sds: /tls } }`})},
	{name: "a certificate without its key", change: map[string]string{"envoy": "{ tls: { certificate: c } }"}, finding: "error tls envoy.tls"},
	{name: "two certificates", change: map[string]string{"envoy": "{ tls: { certificate: c, key: k, sds: s } }"}, finding: "error tls envoy.tls.sds"},
	{name: "clients of no authority", change: map[string]string{"envoy": "{ tls: { certificate: c, key: k, client_certificate: required } }"}, finding: "error tls envoy.tls.client_certificate"},
	{name: "an authority for nobody", change: map[string]string{"envoy": "{ tls: { certificate: c, key: k, client_ca: a } }"}, finding: "error tls envoy.tls.client_ca"},
	{name: "an authority twice", change: map[string]string{"envoy": "{ tls: { sds: s, client_ca: a, client_certificate: optional } }"}, finding: "error tls envoy.tls.client_ca"},
	{name: "a redirect to itself", change: map[string]string{"envoy": `{ tls: { sds: s, redirect: "127.0.0.1:8080" } }`}, finding: "error address envoy.tls.redirect"},
	{name: "a redirect from nowhere", change: map[string]string{"envoy": `{ tls: { sds: s, redirect: "8080" } }`}, finding: "error address envoy.tls.redirect"},
	{name: "memgate by TLS, believed by nobody", change: map[string]string{"server": "{ tls: { certificate: file:c, key: file:k } }"}, finding: "error tls server.tls"},
	{name: "memgate's certificate from the environment", change: map[string]string{
		"server": "{ tls: { certificate: env:C, key: file:k } }", "envoy": "{ identity: { ca: a, sds: \"\", certificate: c, key: k } }",
	}, finding: "error file-reference server.tls.certificate"},
	{name: "an upstream by TLS, believed by nobody", change: map[string]string{"upstream": `{ address: "127.0.0.1:8081", tls: {} }`}, finding: "error tls upstream.tls"},
	{name: "an identity that believes nobody", change: map[string]string{"envoy": "{ identity: { certificate: c, key: k } }"}, finding: "error tls envoy.identity"},
	{name: "an identity that believes twice", change: map[string]string{"envoy": "{ identity: { sds: s, ca: a } }"}, finding: "error tls envoy.identity.ca"},
	{name: "HSTS over plain HTTP", change: map[string]string{"headers": "{ override: { Strict-Transport-Security: max-age=60 } }"}, finding: "warning hsts-plain headers.override.Strict-Transport-Security"},
	{name: "HSTS over TLS in front", change: map[string]string{"headers": "{ override: { Strict-Transport-Security: max-age=60 } }", "envoy": "{ tls_in_front: true }"}},
	{name: "bound to a key", change: issuer(`issuer: "https://a.example", tenant: t, audiences: [a], sender_constrained: dpop`)},
	{name: "bound to something else", change: issuer(`issuer: "https://a.example", tenant: t, audiences: [a], sender_constrained: cookie`), finding: "error enum identity.issuers[0].sender_constrained"},
	{name: "bound tokens of nobody", change: routes("{ match: { path: /a }, anonymous: true, require: { sender_constrained: dpop } }"), finding: "error anonymous-scopes routes[0].require.sender_constrained"},
	{name: "proofs that are not signed", change: map[string]string{"identity": `
  dpop: { algorithms: [none] }
  issuers: [{ issuer: "https://a.example", tenant: t, audiences: [a] }]`}, finding: "error algorithm-none identity.dpop.algorithms[0]"},
	{name: "no scopes", change: routes("{ match: { path: /a } }"), finding: "warning route-scopes routes[0]"},
	{name: "comparing nobody", change: routes(`{ match: { path: /a }, anonymous: true, compare: { tenant: { headers: [X-Org] } } }`), finding: "error anonymous-scopes routes[0].compare"},
	{name: "comparing a header of the edge", change: map[string]string{"compare": "{ tenant: { headers: [X-Memgate-Tenant] } }"}, finding: "error compare compare.tenant.headers[0]"},
	{name: "comparing a credential", change: map[string]string{"compare": "{ agent: { headers: [Authorization] } }"}, finding: "error compare compare.agent.headers[0]"},
	{name: "comparing what is no header", change: map[string]string{"compare": `{ tenant: { headers: ["X Org"] } }`}, finding: "error compare compare.tenant.headers[0]"},
	{name: "comparing a header with an underscore", change: map[string]string{"compare": `{ tenant: { headers: [X_Org] } }`}, finding: "error compare compare.tenant.headers[0]"},
	{name: "comparing what is no parameter", change: map[string]string{"compare": `{ tenant: { query: ["org[]"] } }`}, finding: "error compare compare.tenant.query[0]"},
	{name: "comparing what is no member", change: map[string]string{"compare": `{ agent: { body: ["a..b"] } }`}, finding: "error compare compare.agent.body[0]"},
	{name: "comparing one thing as two", change: map[string]string{"compare": `{ tenant: { query: [org] }, agent: { query: [Org] } }`}, finding: "error compare compare.agent.query[0]"},
	{name: "comparing too much", change: map[string]string{"compare": `{ tenant: { query: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] } }`}, finding: "error compare compare.tenant.query"},
	{name: "comparing in a route", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, compare: { agent: { body: [""] } } }`), finding: "error compare routes[0].compare.agent.body[0]"},
	{name: "a peer without a tenant", change: peers(`{ id: "spiffe://e.org/a" }`), finding: "error mesh identity.mesh.identities[0]"},
	{name: "a peer with two tenants", change: peers(`{ id: "spiffe://e.org/{tenant}", tenant: t }`), finding: "error mesh identity.mesh.identities[0]"},
	{name: "a peer that is no SPIFFE ID", change: peers(`{ id: "https://e.org/a", tenant: t }`), finding: "error mesh identity.mesh.identities[0]"},
	{name: "a peer twice", change: peers(`{ id: "spiffe://e.org/{tenant}" }, { id: "spiffe://e.org/{x}", tenant: t }`), finding: "error mesh identity.mesh.identities"},
	{name: "no peer", change: peers(``), finding: "error required identity.mesh.identities"},
	{name: "a peer with an unknown role", change: peers(`{ id: "spiffe://e.org/a", tenant: t, roles: [x] }`), finding: "error role identity.mesh.identities[0].roles[0]"},
	{name: "a peer with a role", change: merged(peers(`{ id: "spiffe://e.org/a", tenant: t, roles: [x] }`), "access", "{ roles: { x: [s] } }")},
	{name: "peers that nobody verifies", change: merged(peers(`{ id: "spiffe://e.org/a", tenant: t }`), "envoy", "{ tls: { certificate: c, key: k, client_certificate: any } }"), finding: "error mesh-unverified identity.mesh"},
	{name: "peers that are not asked", change: merged(peers(`{ id: "spiffe://e.org/a", tenant: t }`), "envoy", "{}"), finding: "warning mesh-peer identity.mesh"},
	{name: "peers of a mesh alone", change: merged(peers(`{ id: "spiffe://e.org/a", tenant: t }`), "envoy", "{ tls_in_front: true }")},
	{name: "keys nowhere", change: map[string]string{"identity": "{ api_keys: {} }"}, finding: "error api-keys identity.api_keys"},
	{name: "keys in two places", change: map[string]string{"identity": "{ api_keys: { file: file:k, redis: env:R, pepper: env:P } }"}, finding: "error api-keys identity.api_keys.redis"},
	{name: "keys without a pepper", change: map[string]string{"identity": "{ api_keys: { redis: env:R } }"}, finding: "error api-keys identity.api_keys.redis"},
	{name: "keys of a cluster without it", change: map[string]string{"identity": "{ api_keys: { file: file:k, cluster: true } }"}, finding: "error api-keys identity.api_keys.cluster"},
	{name: "keys under no name", change: map[string]string{"identity": `{ api_keys: { redis: env:R, pepper: env:P, prefix: "a b" } }`}, finding: "error api-keys identity.api_keys.prefix"},
	{name: "keys in a Redis", change: map[string]string{"identity": "{ api_keys: { redis: env:R, pepper: env:P } }"}},
	{name: "scopes for nobody", change: routes("{ match: { path: /a }, anonymous: true, require: { scopes: [s] } }"), finding: "error anonymous-scopes routes[0].require"},
	{name: "anyone writes", change: routes("{ match: { methods: [GET, POST], path: /a }, anonymous: true }"), finding: "warning anonymous-write routes[0].match.methods[1]"},
	{name: "bad scope", change: routes("{ match: { path: /a }, require: { scopes: [a b] } }"), finding: "error scope routes[0].require.scopes[0]"},
	{name: "large body", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { max_body: 8MiB } }"), finding: "warning body-large routes[0].content.max_body"},
	{name: "bad field", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { fields: { "a..b": 1 } } }`), finding: "error field routes[0].content.fields.a..b"},
	{name: "field larger than the body", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { fields: { a: 1MiB } } }"), finding: "warning field-large routes[0].content.fields.a"},
	{name: "many fields", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { fields: { " + manyFields(129) + " } } }"), finding: "error content routes[0].content"},
	{name: "root of a list", change: routes(`{ match: { path: /a }, require: { scopes: [s] }, content: { fields: { "[].id": 1 } } }`)},
	{name: "allow secrets", change: map[string]string{"pii": "{ response: { AWS_ACCESS_KEY: allow } }"}, finding: "warning pii-allow pii.response.AWS_ACCESS_KEY"},
	{name: "allow all in a route", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { request: { default: allow } } }"), finding: "warning pii-allow routes[0].content.request.default"},
	{name: "bad type", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { types: [json] } }"), finding: "error media-type routes[0].content.types[0]"},
	{name: "no types", change: routes("{ match: { path: /a }, require: { scopes: [s] }, content: { types: [] } }"), finding: "error media-type routes[0].content.types"},
	{name: "anonymous sessions", change: map[string]string{
		"identity": "{ api_keys: { file: file:k }, sessions: {} }",
		"routes":   "\n  - { match: { methods: [GET], path: /api/v2/status }, anonymous: true }",
	}, finding: "error route-own routes[0].anonymous"},
	{name: "route in the way of sessions", change: map[string]string{
		"identity": "{ api_keys: { file: file:k }, sessions: {} }",
		"routes":   "\n  - { match: { path: /api/v2/status }, require: { scopes: [s] } }",
	}, finding: "error route-own routes[0].match.path"},
}

func TestRules(t *testing.T) {
	if _, warnings, err := Parse([]byte(write(nil)), "base", ""); err != nil || len(warnings) > 0 {
		t.Fatalf("the policy that the rows change has findings: %v %v", warnings, err)
	}
	seen := map[string]bool{"error file": true, "error more": true} // tests of their own
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			text := row.text
			if text == "" {
				text = write(row.change)
			}
			p, warnings, err := Parse([]byte(text), "memgate.yaml", "")
			if (p == nil) != (err != nil) {
				t.Errorf("policy %v with error %v", p, err)
			}
			var got []string
			for _, f := range append(Findings(err), warnings...) {
				got = append(got, string(f.Severity)+" "+f.Rule+" "+f.Path)
				seen[string(f.Severity)+" "+f.Rule] = true
				if f.Line == 0 || f.Column == 0 || f.File != "memgate.yaml" {
					t.Errorf("no position: %+v", f)
				}
			}
			var want []string
			if row.finding != "" {
				want = []string{row.finding}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q\n%v %v\n%s", got, want, err, warnings, text[:min(len(text), 2000)])
			}
		})
	}
	for _, r := range Rules() {
		if key := string(r.Severity) + " " + r.Name; !seen[key] {
			t.Errorf("no row finds %q", key)
		}
		delete(seen, string(r.Severity)+" "+r.Name)
	}
	if len(seen) > 0 {
		t.Errorf("rules that are not listed: %v", sortedKeys(seen))
	}
}

func TestNoFindingsInShippedPolicies(t *testing.T) {
	for _, path := range []string{"../../memgate.yaml"} {
		_, warnings, err := Load(path)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", path, err, warnings)
		}
	}
}

func TestManyErrorsAreCut(t *testing.T) {
	var b strings.Builder
	b.WriteString(write(nil))
	for i := range 1000 {
		b.WriteString("x" + strings.Repeat("y", i%50) + string(rune('a'+i%26)) + strings.Repeat("z", i/50) + ": 1\n")
	}
	_, _, err := Parse([]byte(b.String()), "f", "")
	found := Findings(err)
	if len(found) != maxFindings || found[maxFindings-1].Rule != "more" {
		t.Errorf("%d findings, last %+v", len(found), found[len(found)-1])
	}
}

func TestLoadReportsFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.yaml"), dir} {
		p, _, err := Load(path)
		found := Findings(err)
		if p != nil || len(found) != 1 || found[0].Rule != "file" || found[0].File != path {
			t.Errorf("%s: %v %v", path, p, err)
		}
	}
	path := filepath.Join(dir, "memgate.yaml")
	if err := os.WriteFile(path, []byte(write(nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Path("a/b"); got != filepath.Join(dir, "a/b") {
		t.Errorf("Path = %s", got)
	}
	if got := p.Path("/a/b"); got != "/a/b" {
		t.Errorf("absolute Path = %s", got)
	}
	if len(p.Digest()) != 64 {
		t.Errorf("Digest = %q", p.Digest())
	}
}

// A file without modes enforces, and where there is none it is said where there
// is.
func TestModes(t *testing.T) {
	p, _, err := Parse([]byte(write(nil)), "memgate.yaml", "")
	if err != nil || p.Access.Mode != ModeEnforce || p.Limits.Mode != ModeEnforce {
		t.Errorf("%v: %+v %+v", err, p.Access, p.Limits)
	}
	_, _, err = Parse([]byte(write(map[string]string{"transaction": "{ mode: shadow }"})), "memgate.yaml", "")
	if err == nil || !strings.Contains(err.Error(), "in transaction") || !strings.Contains(err.Error(), "access, limits") {
		t.Errorf("%v", err)
	}
}
