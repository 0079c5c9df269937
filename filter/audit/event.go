// Package audit writes one JSON line for each request: who asked for what, how
// it was decided and why, and how it ended; and one for what operators do by
// command. The lines of a file are the leaves of
// a Merkle tree (RFC 6962, section 2.1), whose root is signed in checkpoints
// beside the log, so that [Verify] finds what was changed, taken out or put in
// later.
//
// A line never holds content, and not the path or the query either: the route's
// name stands for them. The address of the caller is left out on purpose: it is
// personal data that the trail does not need, as the principal says who it was
// and the request id leads to the access log of the edge, which has it under
// the operator's own retention. The subject is in it, since "who" is what an
// audit trail is for; where the issuer puts an email address there, so does the
// trail.
package audit

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decisions of an [Event].
const (
	// Allow: the request went to the upstream, unless Refusal says otherwise.
	Allow = "allow"
	// Deny: the authz service refused it.
	Deny = "deny"
	// Failure: it could not be decided, and was refused.
	Failure = "error"
)

// Event is one request. Strings are cut to [MaxString] bytes and lists to
// [MaxList] entries when it is written.
type Event struct {
	// Time is when the request arrived.
	Time time.Time
	// RequestID is the x-request-id that the caller got too.
	RequestID string
	// Route is the name of the route that matched, empty when none did.
	Route string
	// Method is the request's method.
	Method string
	// Tenant, Subject and Kind are the principal's; Kind is jwt, api_key,
	// session or anonymous.
	Tenant, Subject, Kind string
	// Principal identifies the credential (a token's jti, a key's or session's
	// id) and is not a secret.
	Principal string
	// Decision is one of [Allow], [Deny] and [Failure].
	Decision string
	// Stage and Reason are the stage of the authz service that refused, and its
	// typed reason.
	Stage, Reason string
	// Shadow is what would have refused the request if it were enforced, as
	// stage:reason.
	Shadow []string
	// Opened is how many pseudonyms were opened in the response.
	Opened uint64
	// Status is the HTTP status that the caller got; zero when there was none.
	Status int
	// Duration is the time from the first byte of the request to the last of
	// the response.
	Duration time.Duration
	// Received and Sent are the bytes of the request's and the response's body.
	Received, Sent int64
	// Findings are the entities that were found in both bodies.
	Findings []Finding
	// Poison is how the texts of the request were scored; the zero value for a score of
	// none.
	Poison Poison
	// Refusal is the slug of the problem with which the content filter refused.
	Refusal string
	// Spoofed are the names of reserved headers that the caller sent and that
	// were taken off.
	Spoofed []string
	// Flags are Envoy's response flags (UF, UT, DC, ...).
	Flags []string
	// Details are Envoy's response code details.
	Details string
}

// Poison is the score of a request's texts.
type Poison struct {
	// Score is the sum of the weights of Rules, which are ids.
	Score int
	Rules []string
	// Outcome is pass, quarantine, refuse, unmarked (it was to be quarantined, and passed
	// as the policy says) or shadow.
	Outcome string
}

// Finding is how often an entity was found.
type Finding struct {
	// Entity is its name, such as EMAIL_ADDRESS.
	Entity string
	Count  uint64
}

// maxFindings bounds the text that [ParseFindings] takes.
const maxFindings = 4096

// ParseFindings reads "EMAIL_ADDRESS=2,CREDIT_CARD=1", which the content filter
// leaves for the access log, and returns it in the order of names. Empty text
// has no findings. False means that it is not of that form, has an entity twice,
// or is out of bounds.
func ParseFindings(s string) ([]Finding, bool) {
	if s == "" {
		return nil, true
	}
	if len(s) > maxFindings {
		return nil, false
	}
	list := make([]Finding, 0, 1+strings.Count(s, ","))
	for part := range strings.SplitSeq(s, ",") {
		name, count, found := strings.Cut(part, "=")
		if !found || !validEntity(name) || !isDigits(count) || len(list) == MaxList {
			return nil, false
		}
		n, err := strconv.ParseUint(count, 10, 64)
		if err != nil {
			return nil, false
		}
		list = append(list, Finding{name, n})
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.Entity, b.Entity) })
	for i := 1; i < len(list); i++ {
		if list[i].Entity == list[i-1].Entity {
			return nil, false
		}
	}
	return list, true
}

// validEntity takes upper-case names with digits and underscores.
func validEntity(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
