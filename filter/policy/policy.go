// Package policy is memgate.yaml: the one file that a user edits. It decodes
// the file strictly, fills in secure defaults, reports what is wrong or unwise
// with file, line and column, matches requests to routes, and derives the
// content policy of each route.
//
// Secrets never stand in the file: where one is needed the value is a
// [Secret], a reference of the form env:NAME or file:PATH. Relative paths are
// relative to the policy file.
package policy

import (
	"net/url"
	"strings"
)

// Version is the only value of [Policy.Version] that this build reads.
const Version = 1

// Policy is the decoded memgate.yaml with its defaults filled in. The `doc`
// tags are the source of the JSON Schema and of the reference in the docs.
type Policy struct {
	Version     int         `yaml:"version" doc:"version of the file's format" required:"true" min:"1" max:"1"`
	Environment string      `yaml:"environment" doc:"development or production; a label that API keys and lint use" enum:"development,production" default:"development"`
	Server      Server      `yaml:"server" doc:"where memgate itself listens"`
	Envoy       Envoy       `yaml:"envoy" doc:"what memgate render writes for Envoy beyond what the policy implies"`
	Upstream    Upstream    `yaml:"upstream" doc:"the service that is protected" required:"true"`
	Transaction Transaction `yaml:"transaction" doc:"the signed identity (Txn-Token) that the upstream receives"`
	CORS        CORS        `yaml:"cors" doc:"cross-origin requests; nothing is allowed unless named"`
	Headers     Headers     `yaml:"headers" doc:"security headers on every response"`
	Identity    Identity    `yaml:"identity" doc:"who may make a request"`
	Tenant      Tenancy     `yaml:"tenant" doc:"the comparison of tenants"`
	Checks      Checks      `yaml:"content" doc:"the checks of request bodies, which routes[].content describes"`
	Unenforced  []string    `yaml:"unenforced" doc:"which of identity, tenant and audit may be in shadow or off although environment is production"`
	Compare     Compare     `yaml:"compare" doc:"where requests name a tenant or an agent, which must then be the caller's; in a path {tenant}, {tenant_id} and {agent_id} do so always"`
	Access      Access      `yaml:"access" doc:"what principals may do"`
	State       State       `yaml:"state" doc:"where sessions and what was revoked are kept; in memory unless a place is named"`
	Limits      Limits      `yaml:"limits" doc:"rate limits per tenant, and beside it"`
	PII         PII         `yaml:"pii" doc:"what happens to personal data and secrets in bodies"`
	Poison      Poison      `yaml:"poison" doc:"the score of texts that read like instructions planted for a language model; routes[].content.poison says which requests get one"`
	Routes      []Route     `yaml:"routes" doc:"the requests that are let through; the most specific match decides, everything else is denied"`
	Audit       Audit       `yaml:"audit" doc:"one JSON line for each request"`
	Tracing     *Tracing    `yaml:"tracing" doc:"OpenTelemetry traces of requests; none when left out"`

	dir     string           // of the file, for relative paths
	file    string           // name of the file in findings
	digest  string           // of the file's bytes
	places  map[string]place // where each member stands in the file
	failed  map[string]bool  // members that were reported already
	tree    *node            // the routes, for matching
	methods []string         // all that some route takes, sorted
}

// Server is where memgate listens.
type Server struct {
	GRPC string `yaml:"grpc" doc:"host:port of the authz service and the access log receiver" default:"127.0.0.1:9001"`
	HTTP string `yaml:"http" doc:"host:port of health, metrics, key set, content policies and sessions" default:"127.0.0.1:9002"`
	Host string `yaml:"host" doc:"host by which Envoy reaches memgate; the host of grpc and http when empty"`

	TLS *ServerTLS `yaml:"tls" doc:"TLS on memgate's own ports; plain when left out"`
}

// Envoy is what the rendered Envoy configuration needs to know.
type Envoy struct {
	Listen         string `yaml:"listen" doc:"host:port of the edge" default:"127.0.0.1:8080"`
	Admin          string `yaml:"admin" doc:"host:port of Envoy's admin interface; loopback only" default:"127.0.0.1:9901"`
	TrustedHops    int    `yaml:"trusted_hops" doc:"proxies in front whose X-Forwarded-For is believed" default:"0" min:"0" max:"16"`
	Wasm           string `yaml:"wasm" doc:"path of the filter as Envoy sees it" default:"build/memgate.wasm"`
	MaxConnections int    `yaml:"max_connections" doc:"downstream connections that Envoy accepts" default:"10000" min:"1"`

	TLS        *EnvoyTLS      `yaml:"tls" doc:"TLS to clients; without it the edge speaks plain HTTP"`
	TLSInFront bool           `yaml:"tls_in_front" doc:"something in front of Envoy ends TLS for the clients, such as a load balancer or a mesh: plain HTTP is then accepted in production, and Strict-Transport-Security is sent"`
	Identity   *EnvoyIdentity `yaml:"identity" doc:"the certificate by which Envoy shows itself to memgate and the upstream, and whose certificates it believes"`
}

// Upstream is the protected service.
type Upstream struct {
	Address    string              `yaml:"address" doc:"host:port of the service" required:"true"`
	Audience   string              `yaml:"audience" doc:"audience of the Txn-Token" default:"upstream"`
	Timeout    Duration            `yaml:"timeout" doc:"time for a whole response; 0s for none (streams)" default:"60s"`
	TLS        *UpstreamTLS        `yaml:"tls" doc:"TLS to the service, by envoy.identity; plain when left out"`
	Credential *UpstreamCredential `yaml:"credential" doc:"the service's own key, added by the edge so that no client ever holds it"`
}

// UpstreamCredential is the key that the edge adds to each request.
type UpstreamCredential struct {
	Header string `yaml:"header" doc:"header that carries it" default:"authorization"`
	Prefix string `yaml:"prefix" doc:"text before the key, such as 'Bearer '"`
	Value  Secret `yaml:"value" doc:"the key: env:NAME or file:PATH; required at start" required:"true"`
}

// Transaction configures the Txn-Token.
type Transaction struct {
	Issuer string   `yaml:"issuer" doc:"iss of the Txn-Token" default:"memgate"`
	TTL    Duration `yaml:"ttl" doc:"lifetime of a Txn-Token" default:"30s" min:"1s" max:"5m"`
	Reuse  Duration `yaml:"reuse" doc:"for how long one Txn-Token serves all requests of a credential to an audience, whose txn is then that of the first; at most half of ttl; 0s signs one for each request" default:"5s" min:"0s" max:"1m"`
	Key    Secret   `yaml:"key" doc:"Ed25519 signing key as a JWK; a file that does not exist is created with mode 0600" default:"file:txn-key.json"`
}

// CORS is the cross-origin policy (Fetch standard, section 3.2).
type CORS struct {
	Mode                string   `yaml:"mode" doc:"enforce answers preflights and sets the headers of all responses; shadow sends preflights on to the upstream, leaves its headers as they are, and audits which preflights would be refused; off does so without a trace" enum:"enforce,shadow,off" default:"enforce"`
	AllowOrigins        []string `yaml:"allow_origins" doc:"exact origins, https://*.example.com, or *"`
	AllowMethods        []string `yaml:"allow_methods" doc:"methods of a cross-origin request" default:"GET,HEAD,POST,PUT,PATCH,DELETE"`
	AllowHeaders        []string `yaml:"allow_headers" doc:"request headers of a cross-origin request" default:"authorization,content-type,x-api-key,x-session-token,x-request-id"`
	ExposeHeaders       []string `yaml:"expose_headers" doc:"response headers that a page may read" default:"x-request-id,ratelimit,ratelimit-policy,retry-after"`
	AllowCredentials    bool     `yaml:"allow_credentials" doc:"whether a page may send cookies and HTTP authentication"`
	MaxAge              Duration `yaml:"max_age" doc:"how long a browser keeps a preflight's answer" default:"600s" min:"0s" max:"24h"`
	AllowPrivateNetwork bool     `yaml:"allow_private_network" doc:"whether public pages may reach this service on a private network"`
}

// Headers are the security headers of every response.
type Headers struct {
	Mode     string            `yaml:"mode" doc:"enforce sets and removes headers; shadow leaves the upstream's as they are and audits where they are not these; off leaves them" enum:"enforce,shadow,off" default:"enforce"`
	Preset   string            `yaml:"preset" doc:"api for JSON services, web for pages" enum:"api,web" default:"api"`
	Override map[string]string `yaml:"override" doc:"header name to value; an empty value leaves that header out"`
}

// Identity says who may make a request.
type Identity struct {
	Mode     string    `yaml:"mode" doc:"enforce refuses a request without a valid credential; shadow lets it pass as anonymous, without a Txn-Token and without upstream.credential, and audits why it would be refused; off does not look at credentials; in both the client's credential goes on to the upstream, and memgate's own routes are enforced" enum:"enforce,shadow,off" default:"enforce"`
	Issuers  []Issuer  `yaml:"issuers" doc:"issuers of JSON Web Tokens"`
	APIKeys  *APIKeys  `yaml:"api_keys" doc:"keys that memgate issued"`
	DPoP     DPoP      `yaml:"dpop" doc:"proofs that the sender of a token holds the key that it is bound to (RFC 9449)"`
	Sessions *Sessions `yaml:"sessions" doc:"session tokens that memgate issues for an agent"`
	Mesh     *Mesh     `yaml:"mesh" doc:"peers that Envoy verified by mutual TLS, by their SPIFFE IDs"`
	Resource *Resource `yaml:"resource" doc:"how OAuth clients find the issuers by themselves (RFC 9728)"`
}

// Issuer is one issuer of JWTs. Without JWKSURI and JWKSFile its keys are
// found by OpenID Connect Discovery 1.0, section 4.
type Issuer struct {
	Issuer            string   `yaml:"issuer" doc:"exact value of iss; an https URL (http on loopback only)" required:"true"`
	JWKSURI           string   `yaml:"jwks_uri" doc:"where its keys are; found by discovery when empty"`
	JWKSFile          string   `yaml:"jwks_file" doc:"file that holds its keys, instead of a URL"`
	Audiences         []string `yaml:"audiences" doc:"a token must name one of them" required:"true"`
	Algorithms        []string `yaml:"algorithms" doc:"signature algorithms that are accepted" default:"RS256,ES256,EdDSA"`
	Typ               string   `yaml:"typ" doc:"required typ of the token's header, such as at+jwt"`
	Leeway            Duration `yaml:"leeway" doc:"clock difference that is forgiven" default:"30s" min:"0s" max:"5m"`
	Refresh           Duration `yaml:"refresh" doc:"after how long its keys are fetched again, or sooner if its Cache-Control says so: a key that it withdraws works that long at most" default:"5m" min:"1s" max:"1h"`
	SenderConstrained string   `yaml:"sender_constrained" doc:"dpop (RFC 9449) or mtls (RFC 8705): its tokens must be bound to their sender in this way; a token that is bound needs the proof in any case" enum:"dpop,mtls"`
	DPoPNonce         bool     `yaml:"dpop_nonce" doc:"a DPoP proof of its tokens must have a nonce that memgate gave out lately (RFC 9449, section 9): a proof that was made ahead, or long ago, is of no use; clients get one with a 401 and with each answer"`
	Tenant            Tenant   `yaml:"tenant" doc:"which tenant a token is of: a claim, a template or a value; a claim alone may stand here by itself, as in tenant: org_id" required:"true"`
	Subject           Claim    `yaml:"subject" doc:"where the subject stands" default:"sub"`
	Roles             *Claim   `yaml:"roles" doc:"where the names of roles stand, which access.roles turns into scopes: a list, or one string with spaces"`
	Scopes            Claim    `yaml:"scopes" doc:"where the scopes stand: a list, or one string with spaces" default:"scope"`
	Trust             string   `yaml:"trust" doc:"trusted or unconfirmed: how far what its principals say is believed, which the Txn-Token tells the upstream (tctx.trust); the Txn-Token says nothing of it when empty" enum:"trusted,unconfirmed"`
}

// Claim names a member of a token's claims.
type Claim struct {
	Claim string `yaml:"claim" doc:"a claim's name, or a JSON pointer (RFC 6901) that starts with /" required:"true"`
}

// Tenant says of which tenant the tokens of an issuer are: exactly one of
// Claim, Template and Value is set. It is a tenant.Rule with the tags of the
// file.
type Tenant struct {
	Claim    string            `yaml:"claim" doc:"the claim that holds the tenant: a name, or a JSON pointer (RFC 6901) that starts with /"`
	Map      map[string]string `yaml:"map" doc:"value of the claim to tenant; tokens with a value that is not here are refused. Without it the value is the tenant"`
	Template string            `yaml:"template" doc:"several claims as one tenant, such as {org}-{region} or {/realm/org}.{region}; a claim that is followed by another must not hold the character behind it in the template, so that different claims never make the same tenant"`
	Value    string            `yaml:"value" doc:"the tenant of all tokens, for an issuer that serves one"`
}

// APIKeys is where the hashes of API keys are: in a file, or in a Redis.
type APIKeys struct {
	File     Secret   `yaml:"file" doc:"file of key hashes, written by memgate key; mode 0600"`
	Redis    Secret   `yaml:"redis" doc:"the Redis that has the key hashes, instead of a file: redis://[user:password@]host:port, or rediss:// for TLS; it may hold a password, so it is env:NAME or file:PATH"`
	Cluster  bool     `yaml:"cluster" doc:"whether it is a Redis Cluster; more of its nodes stand in the URL as ?addr=host:port"`
	Prefix   string   `yaml:"prefix" doc:"what the names of all keys in Redis start with; instances with the same one share their API keys" default:"memgate"`
	MaxKeys  int      `yaml:"max_keys" doc:"API keys of the Redis that one instance holds at once" default:"10000" min:"64"`
	MaxStale Duration `yaml:"max_stale" doc:"for how long an instance goes on with the keys that it holds when the Redis does not answer; after that, and for other keys at once, requests get 503" default:"60s" min:"1s" max:"24h"`
	Timeout  Duration `yaml:"timeout" doc:"how long a request waits for the Redis when it brings a key that is not held" default:"100ms" min:"1ms" max:"500ms"`
	Pepper   Secret   `yaml:"pepper" doc:"key of the hashes; beside the file, created by the first memgate key create, when empty; required with redis"`
	Trust    string   `yaml:"trust" doc:"the same for principals with an API key: trusted, unconfirmed, or nothing" enum:"trusted,unconfirmed"`
}

// DPoP says which proofs are accepted.
type DPoP struct {
	Algorithms []string `yaml:"algorithms" doc:"signature algorithms of proofs" default:"RS256,ES256,EdDSA"`
	MaxAge     Duration `yaml:"max_age" doc:"how long a proof can be used after it was made, once" default:"60s" min:"1s" max:"10m"`
	NonceKey   Secret   `yaml:"nonce_key" doc:"key of the nonces where an issuer has dpop_nonce, at least 32 bytes, the same for all instances; a new one at each start when empty"`
	NonceTTL   Duration `yaml:"nonce_ttl" doc:"how long a nonce is accepted at most; at half of it a new one is given out" default:"5m" min:"10s" max:"1h"`
	MaxProofs  int      `yaml:"max_proofs" doc:"proofs that are remembered at once; beyond that tokens that need one are answered with 503" default:"100000" min:"1"`
}

// Sessions configures X-Session-Token.
type Sessions struct {
	TTL   Duration `yaml:"ttl" doc:"lifetime of a session" default:"6h" min:"1m" max:"168h"`
	Max   int      `yaml:"max" doc:"sessions that are held at once" default:"100000" min:"1"`
	Trust string   `yaml:"trust" doc:"the same for requests with a session, which are those of agents; as for the credential that the session was issued to when empty" enum:"trusted,unconfirmed"`
	Key   Secret   `yaml:"key" doc:"key of the session tokens, at least 32 bytes, not to be kept with the state; beside state.file, made at the first start, when empty; the same for all instances that share state.redis"`
}

// Resource is the protected resource that the edge tells OAuth clients of, MCP
// clients among them (RFC 9728). memgate serves its metadata to everyone.
type Resource struct {
	URL           string `yaml:"url" doc:"the resource identifier: the https URL by which clients reach the edge (http on loopback only), without query and fragment" required:"true"`
	Documentation string `yaml:"documentation" doc:"URL of a page for developers of clients"`
}

// MetadataPath is where the metadata of the resource is served: the well-known
// path in front of the path of the URL (RFC 9728, section 3.1). It is "" for a
// URL that cannot be parsed.
func (r *Resource) MetadataPath() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	return "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
}

// MetadataURL is the URL of the metadata, for a challenge (RFC 9728, section
// 5.1).
func (r *Resource) MetadataURL() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + r.MetadataPath()
}

// Access says what principals may do.
type Access struct {
	Mode  string              `yaml:"mode" doc:"enforce refuses a request without the scopes of its route, of a session for another agent, or against the condition; shadow lets it pass and counts and audits that it would be refused; off does not look" enum:"enforce,shadow,off" default:"enforce"`
	Roles map[string][]string `yaml:"roles" doc:"name of a role to the scopes that it brings"`
}

// Tenancy says how tenants are compared.
type Tenancy struct {
	Mode string `yaml:"mode" doc:"enforce refuses a request that names another tenant than its credential is of, in the path or where compare says; shadow lets it pass and audits that it would be refused, apart from what a body names, which is not looked at; off does not look; the upstream gets the tenant of the credential in any case" enum:"enforce,shadow,off" default:"enforce"`
}

// Checks says how request bodies are checked.
type Checks struct {
	Mode string `yaml:"mode" doc:"enforce refuses a body against the rules of its route: encoding, type, length, form, depth, fields; shadow lets it pass and audits that it would be refused; off does not look; pii.mode must then be shadow or off, too" enum:"enforce,shadow,off" default:"enforce"`
}

// Compare says where requests name a tenant or an agent.
type Compare struct {
	Tenant *Named `yaml:"tenant" doc:"where a tenant is named; another than the credential's is refused with 403"`
	Agent  *Named `yaml:"agent" doc:"where an agent is named; another than the session's is refused with 403, and so are two different ones"`
}

// Named are the places of a request that name one thing.
type Named struct {
	Headers []string `yaml:"headers" doc:"names of headers, such as X-Tenant-ID"`
	Query   []string `yaml:"query" doc:"names of parameters of the query, such as tenant_id; where there are any, a query that cannot be decoded in one way only is refused"`
	Body    []string `yaml:"body" doc:"member paths of a JSON body, such as tenant_id or metadata.tenant, or names of a form; the value has to be a string, or null for none"`
}

// PII says what is done with each entity in each direction.
type PII struct {
	Mode     string  `yaml:"mode" doc:"enforce acts; shadow counts and audits what is found and leaves bodies as they are, of whatever type and encoding responses are; off does not search" enum:"enforce,shadow,off" default:"enforce"`
	Request  Actions `yaml:"request" doc:"entity, or default, to action: allow, redact, mask, hash, pseudonymize, block" default:"default=redact"`
	Response Actions `yaml:"response" doc:"entity, or default, to action: allow, redact, mask, hash, pseudonymize, block" default:"default=redact"`
	Key      Secret  `yaml:"key" doc:"key of the action hash; required when a rule uses it"`
	// Custom and Allow hold for all routes, in both directions.
	Custom []CustomEntity `yaml:"custom" doc:"values beside the entities, as words, prefixes or patterns; what is done with them is the action of CUSTOM"`
	Allow  []string       `yaml:"allow" doc:"values that pass as they are, whatever entity they are of, such as an address of your own support; ASCII letters are equal in both cases"`
	// Pseudonyms are needed by the action pseudonymize.
	Pseudonyms *Pseudonyms `yaml:"pseudonyms" doc:"keys of the action pseudonymize, and who may see what is behind pseudonyms; required when a rule uses it"`
}

// CustomEntity is a kind of value that the policy adds.
type CustomEntity struct {
	Name     string   `yaml:"name" doc:"what stands in place of a value, in brackets: capitals, digits and underscores" required:"true"`
	Words    []string `yaml:"words" doc:"whole values, such as names of projects; ASCII letters are equal in both cases"`
	Prefixes []string `yaml:"prefixes" doc:"how values begin that go on with at least four letters, digits, hyphens or underscores"`
	Patterns []string `yaml:"patterns" doc:"patterns of values, such as EMP-\\d{6}: characters, classes as in [A-F0-9], . for any, \\d, \\w, (one|other), and the repeats ?, {3} and {2,5}; without *, + and anchors, as a value is bounded and stands where words begin and end; at most 128 characters, repeats written out"`
}

// Pseudonyms are the master keys of pseudonyms.
type Pseudonyms struct {
	Keys   []Secret `yaml:"keys" doc:"master keys of 32 bytes or more, as 'memgate pii key' makes them: the first makes pseudonyms, all open those that they made" required:"true"`
	Reveal string   `yaml:"reveal" doc:"scope, such as memory:pii, of principals for whom the pseudonyms of their tenant in responses are opened; nobody when empty"`
}

// Route is one rule. A request that matches no route is denied.
type Route struct {
	Name      string  `yaml:"name" doc:"name in logs and metrics, unique; the path when empty"`
	Match     Match   `yaml:"match" doc:"which requests" required:"true"`
	Anonymous bool    `yaml:"anonymous" doc:"whether no credential is needed"`
	Require   Require `yaml:"require" doc:"what the principal must hold"`
	Class     string  `yaml:"class" doc:"rate class; read for GET, HEAD and OPTIONS and write for others when empty"`
	Limit     *Rate   `yaml:"limit" doc:"a rate of this route's own instead of its class's"`
	Weight    int     `yaml:"weight" doc:"how many requests a request counts as" default:"1" min:"1" max:"1000000"`
	Compare   Compare `yaml:"compare" doc:"where requests of this route name a tenant, or an agent, instead of the general places; {} for nowhere but the path"`
	Content   Content `yaml:"content" doc:"rules for the bodies"`

	// Own is set on the routes that memgate serves itself: the sessions API and
	// the metadata of the resource. They come with identity.sessions and
	// identity.resource and not from the file, though a route of the file for
	// the same requests may set what the sessions API requires.
	Own bool `yaml:"-"`
}

// Match selects requests. Path segments in braces match one segment, a last
// segment {name...} matches the rest.
type Match struct {
	Methods []string `yaml:"methods" doc:"methods; when empty GET, HEAD, POST, PUT, PATCH and DELETE, or on an anonymous route GET and HEAD; GET brings HEAD along, OPTIONS must be named"`
	Path    string   `yaml:"path" doc:"path template, such as /api/v2/agents/{agent_id}/remember" required:"true"`
}

// Require is what a principal must hold.
type Require struct {
	Scopes            []string `yaml:"scopes" doc:"scopes that must all be held"`
	SenderConstrained string   `yaml:"sender_constrained" doc:"dpop or mtls: only a token that is bound to its sender in this way will do, and no API key or session alone" enum:"dpop,mtls"`
	Condition         string   `yaml:"condition" doc:"a rule in CEL that must be true, over principal (kind, subject, tenant, scopes, issuer, id, agent), request (method, params) and route (name), such as request.params.agent_id.startsWith(principal.tenant)"`
}

// Content are the rules for the bodies of a route.
type Content struct {
	MaxBody  Size            `yaml:"max_body" doc:"bytes of a request's body" default:"64KiB" max:"1GiB"`
	MaxDepth int             `yaml:"max_depth" doc:"nesting of a JSON body" default:"32" min:"1" max:"256"`
	Types    []string        `yaml:"types" doc:"media types of a request's body" default:"application/json"`
	Fields   map[string]Size `yaml:"fields" doc:"member path (content, memories[].content) to its limit in bytes"`
	// Identifiers hold in both directions.
	Identifiers []string `yaml:"identifiers" doc:"member paths (user_id, results[].user_id, filters) of ids by which callers find things again: they pass as they are in requests and responses, with all that is in them, even where an id is an e-mail address"`
	Redact      []string `yaml:"redact" doc:"member paths (ssn, card.number, results[].metadata.phone), and names of forms, that nobody gets to see: in requests and responses each string, number, true and false in them is replaced by [REDACTED], whatever it is; a body that cannot be read is then refused in both directions"`
	Deltas      []string `yaml:"deltas" doc:"member paths (token.text, message.content) of strings in the events of an event stream that are pieces of one text, which is then searched across events; . stands for events whose data is text. Those of OpenAI, Anthropic, Gemini and others that call them delta are known without it"`
	OtherTypes  string   `yaml:"other_types" doc:"what happens to bodies, and to files in forms, of types that are not text and cannot be inspected (pictures, archives, PDF): refuse, or pass them as they are in requests (with a type that types names) and responses" enum:"refuse,pass" default:"refuse"`
	Poison      string   `yaml:"poison" doc:"what happens to requests whose texts have the score of poison.quarantine or more: off does not look, quarantine marks them for the upstream in X-Memgate-Quarantine and refuses them from poison.refuse on, refuse refuses them" enum:"off,quarantine,refuse" default:"off"`
	Request     Actions  `yaml:"request" doc:"this route's own pii.request rules; one that names an entity wins over the general rules, default only over the general default"`
	Response    Actions  `yaml:"response" doc:"this route's own pii.response rules; one that names an entity wins over the general rules, default only over the general default"`
}

// Audit is where the audit lines go, and what happens when they cannot be written.
type Audit struct {
	Mode       string   `yaml:"mode" doc:"enforce writes a line for each request; shadow writes them, refuses nothing while they cannot be written whatever on_failure says, and counts what would be refused; off writes none" enum:"enforce,shadow,off" default:"enforce"`
	File       string   `yaml:"file" doc:"path of the log; - for standard output, which has no checkpoints" default:"-"`
	Key        Secret   `yaml:"key" doc:"Ed25519 key that signs the log's checkpoints; a file that does not exist is created with mode 0600" default:"file:audit.key"`
	OnFailure  string   `yaml:"on_failure" doc:"what happens to requests while audit lines cannot be written: deny refuses them with 503, continue lets them pass without a trace" enum:"deny,continue" default:"deny"`
	Fsync      string   `yaml:"fsync" doc:"when lines are synced to the disk: interval once a second and before each checkpoint, always after each write, never by the operating system alone" enum:"interval,always,never" default:"interval"`
	Checkpoint Duration `yaml:"checkpoint" doc:"time after which new lines are signed" default:"10s" min:"1s" max:"1h"`
	Entries    int      `yaml:"entries" doc:"number of new lines after which they are signed" default:"1000" min:"1" max:"1000000"`
	MaxSize    Size     `yaml:"max_size" doc:"size from which on a file is rotated; 0 for never" default:"100MiB"`
}
