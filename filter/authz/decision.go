package authz

import (
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/problem"
)

// Stage names a step of a decision, in metrics, audit lines and explanations.
type Stage string

// The stages, in the order in which they run.
const (
	StagePreflight  Stage = "preflight"
	StageRoute      Stage = "route"
	StageCredential Stage = "credential"
	StageVerify     Stage = "verify"
	StageTenant     Stage = "tenant"
	StageAccess     Stage = "access"
	StageQuota      Stage = "quota"
	StageAllow      Stage = "allow"
)

// Reasons that belong to no concern package. Those of a credential are
// [identity.Reason] values of the packages that verify it.
const (
	ReasonAllowed     identity.Reason = "allowed"
	ReasonPreflight   identity.Reason = "preflight_answered"
	ReasonOrigin      identity.Reason = "preflight_refused"
	ReasonHost        identity.Reason = "malformed_host"
	ReasonUpgrade     identity.Reason = "upgrade_refused"
	ReasonNoRoute     identity.Reason = "no_route"
	ReasonEarly       identity.Reason = "early_data"
	ReasonQuota       identity.Reason = "rate_limited"
	ReasonConcurrency identity.Reason = "too_many_at_once"
	ReasonLimiter     identity.Reason = "limiter_failed"
	ReasonSigning     identity.Reason = "signing_failed"
	ReasonCancelled   identity.Reason = "cancelled"
	ReasonNotAccepted identity.Reason = "credential_kind_not_accepted"
)

// Decision is the outcome of one request.
type Decision struct {
	Allowed   bool
	Stage     Stage           // the stage that decided
	Reason    identity.Reason // why, for operators only
	Err       error           // detail for the operator's log, or nil
	Route     string          // the route's name, or ""
	Principal *identity.Principal
	Spoofed   []string // reserved headers that the client sent
	Shadow    []Denial // what stages that are not enforced would have refused

	// When allowed.
	Upstream []headers.Header // set on the request, replacing what was there
	Remove   []string         // removed from the request
	Content  string           // digest of the content policy
	HashKey  string           // key of the tenant's hashes, base64url, or ""
	// PseudonymKeys are the tenant's, each in base64url, by commas, or ""; Reveal
	// says that pseudonyms in the response are opened.
	PseudonymKeys string
	Reveal        bool
	Agent         string // that the body may name, where it is compared; "" for any

	// Response headers to the client: all of a denial's, or those added to
	// the upstream's response.
	Response []headers.Header

	// When not allowed.
	Status  int
	Problem problem.Problem // zero for a preflight's 204

	asSent bool   // the caller's credentials go on to the upstream
	tenant string // whose place the request has
	lease  string // of that place, or ""

	upstreamRoom [6]headers.Header // for Upstream
	removeRoom   [8]string         // for Remove
	responseRoom [4]headers.Header // for an allowed request's Response

	wanted string // the route's scopes, for a challenge
	sender string // how the route wants tokens to be bound, likewise
	proven bool   // the credential came with the scheme DPoP, likewise
}

// Step is what one stage decided, for [Chain.Explain].
type Step struct {
	Stage   Stage
	Verdict Verdict
	Note    string // for the operator; holds no credential
}

// Verdict is what a stage says of a request.
type Verdict string

// The verdicts. After all but Deny the request goes on.
const (
	Pass      Verdict = "pass"
	Deny      Verdict = "deny"
	WouldDeny Verdict = "would deny" // in shadow
	Off       Verdict = "off"        // not looked at
)
