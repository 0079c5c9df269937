// Package content is what the Wasm filter has to know about one route: what a
// request's and a response's body may be, and which headers go on the response.
//
// memgate compiles a [Policy] for each route, encodes it
// ([Policy.AppendBinary]) and serves it under its [Digest]. The authz service
// names the digest with each decision, the filter fetches what it does not know
// yet, checks it against the digest and decodes it ([Parse]). As the name is the
// content, a policy never changes under a filter's feet and can be kept for good.
package content

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
)

// Policy is the content policy of one route.
type Policy struct {
	Modes    Modes
	Request  Body
	Response Body
	CORS     cors.Policy
	Headers  headers.Policy
	// Custom are the policy's own rules and allowed values, for both directions;
	// nil for none.
	Custom *pii.CustomRules
}

// NoLimit as [Body.MaxBytes] lets a body be of any length.
const NoLimit = -1

// Body is what one direction's body may be and what is done with it. The zero
// value takes only an empty body.
type Body struct {
	// MaxBytes is the greatest length in bytes, or [NoLimit].
	MaxBytes int64
	// Types are the media types that are accepted: "application/json",
	// "text/*", "application/*+json" or "*/*", in lower case and without
	// parameters. Empty means each one that can be inspected.
	Types []string
	// MaxDepth is how deep JSON may be nested, at most [MaxDepth]. Zero leaves
	// it to the rewriter.
	MaxDepth int
	// Fields are limits of single members of a JSON body, each path once.
	Fields []pii.FieldLimit
	// Identifiers are the paths of members that are left as they are, each once;
	// see [pii.Config].
	Identifiers []string
	// Redact are the paths of members whose values are always redacted, each once; see
	// [pii.Config].
	Redact []string
	// Tenants and Agents are the paths of members that name the tenant, and the
	// agent, of a request, each once in both; see [pii.Config]. They are compared
	// with those of the caller.
	Tenants, Agents []string
	// Deltas are the paths of strings of an event stream that are fragments of a
	// text, each once; see [pii.Config].
	Deltas []string
	// OtherTypes lets bodies, and parts of multipart bodies, go on as they are when
	// their type is accepted and cannot be inspected.
	OtherTypes bool
	// PII is what is done with each entity that is found.
	PII pii.Policy
	// Poison says how the texts of a request are scored. A response's are not.
	Poison poison.Policy
}

// Limits of a valid [Policy].
const (
	// MaxBody is the greatest limit of a body in bytes: 1 TiB.
	MaxBody = 1 << 40
	// MaxWire is the length of an encoded policy in bytes.
	MaxWire = 64 << 10
	// MaxTypes is the number of media types of a body.
	MaxTypes = 32
	// MaxFields is the number of field limits of a body, of its identifiers, of
	// the members that are always redacted, and of the members that name a tenant, or an agent.
	MaxFields = 128
	// MaxPath is the length of a field's path in bytes.
	MaxPath = 256
	// MaxDepth is the greatest nesting that a policy may allow.
	MaxDepth = 1024
	// MaxField is the greatest limit of a field in bytes.
	MaxField = 1<<31 - 1
)

// Reason says why a policy was refused. It is a stable label for metrics.
type Reason string

// The reasons of an [Error].
const (
	// TooLarge: the encoded policy is longer than [MaxWire].
	TooLarge Reason = "too_large"
	// UnknownVersion: not a policy, or one of a version that this build does
	// not read.
	UnknownVersion Reason = "unknown_version"
	// Malformed: cut off, with bytes left over, or not in the one canonical
	// form.
	Malformed Reason = "malformed"
	// UnknownEntity: an entity that this build does not detect has an action.
	UnknownEntity Reason = "unknown_entity"
	// UnknownAction: an action that this build does not know.
	UnknownAction Reason = "unknown_action"
	// Invalid: a value is out of its limits.
	Invalid Reason = "invalid"
)

// Error is why [Parse] or [Policy.Validate] refused a policy. It is for
// operators.
type Error struct {
	Reason Reason
	// What names the part, such as "request.types" or an entity.
	What string
	// Err is the error of the package that the part belongs to, or nil.
	Err error
}

func (e *Error) Error() string {
	s := "content policy: " + string(e.Reason)
	if e.What != "" {
		s += ": " + strconv.Quote(e.What)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error of the package that the part belongs to.
func (e *Error) Unwrap() error { return e.Err }

func invalid(what string, err error) error { return &Error{Invalid, what, err} }

// Validate reports whether the policy is within all limits, so that [Parse]
// takes what [Policy.AppendBinary] makes of it. The error is an [*Error].
func (p *Policy) Validate() error {
	if err := p.validate(); err != nil {
		return err
	}
	if len(p.AppendBinary(nil)) > MaxWire {
		return &Error{TooLarge, "", nil}
	}
	return nil
}

func (p *Policy) validate() error {
	if err := p.Modes.validate(); err != nil {
		return err
	}
	if err := p.Request.validate("request"); err != nil {
		return err
	}
	if err := p.Response.validate("response"); err != nil {
		return err
	}
	if !p.Response.Poison.Equal(&poison.Policy{}) {
		return invalid("response.poison", nil)
	}
	if p.Modes.Content != Enforce && p.Modes.Poison == Enforce && p.Request.Poison.Action != poison.Off {
		return invalid("modes: poison", nil)
	}
	if _, err := cors.New(p.CORS); err != nil {
		return invalid("cors", err)
	}
	if err := p.Headers.Validate(); err != nil {
		return invalid("headers", err)
	}
	return nil
}

func (b *Body) validate(name string) error {
	if b.MaxBytes < NoLimit || b.MaxBytes > MaxBody {
		return invalid(name+".max_bytes", nil)
	}
	if b.MaxDepth < 0 || b.MaxDepth > MaxDepth {
		return invalid(name+".max_depth", nil)
	}
	if len(b.Types) > MaxTypes {
		return invalid(name+".types", nil)
	}
	for _, t := range b.Types {
		if !validPattern(t) {
			return invalid(name+".types: "+t, nil)
		}
	}
	if len(b.Fields) > MaxFields {
		return invalid(name+".fields", nil)
	}
	for i, f := range b.Fields {
		if !validPath(f.Path) || f.Max < 0 || f.Max > MaxField {
			return invalid(name+".fields: "+f.Path, nil)
		}
		for _, earlier := range b.Fields[:i] {
			if earlier.Path == f.Path {
				return invalid(name+".fields: "+f.Path, nil)
			}
		}
	}
	for what, paths := range map[string][]string{"identifiers": b.Identifiers, "redact": b.Redact} {
		if len(paths) > MaxFields {
			return invalid(name+"."+what, nil)
		}
		for i, path := range paths {
			if !validPath(path) || slices.Contains(paths[:i], path) {
				return invalid(name+"."+what+": "+path, nil)
			}
		}
	}
	if len(b.Tenants) > MaxFields || len(b.Agents) > MaxFields {
		return invalid(name+".compare", nil)
	}
	named := slices.Concat(b.Tenants, b.Agents)
	for i, path := range named {
		if !validPath(path) || slices.Contains(named[:i], path) {
			return invalid(name+".compare: "+path, nil)
		}
	}
	if len(b.Deltas) > MaxFields {
		return invalid(name+".deltas", nil)
	}
	for i, path := range b.Deltas {
		if !validPath(path) || slices.Contains(b.Deltas[:i], path) {
			return invalid(name+".deltas: "+path, nil)
		}
	}
	if _, err := poison.Compile(b.Poison); err != nil {
		return invalid(name+".poison", err)
	}
	for e, a := range b.PII.Actions {
		if known, ok := pii.ParseAction(a.String()); !ok || known != a {
			return &Error{UnknownAction, pii.Entity(e).String(), nil}
		}
	}
	return nil
}

func validPath(s string) bool {
	if s == "" || len(s) > MaxPath || !utf8.ValidString(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// Fits reports whether a body of n bytes is within the limit.
func (b *Body) Fits(n int64) bool { return b.MaxBytes < 0 || n <= b.MaxBytes }

// Inspects reports whether the policy asks to look into the body at all: an
// entity has an action other than allow, a field has a limit, a member is
// redacted or compared, or texts are scored.
func (b *Body) Inspects() bool {
	if len(b.Fields) > 0 || len(b.Redact) > 0 || b.Compares() || b.Poison.Action != poison.Off {
		return true
	}
	for _, a := range b.PII.Actions {
		if a != pii.Allow {
			return true
		}
	}
	return false
}

// Compares reports whether members are compared with the caller's tenant or
// agent.
func (b *Body) Compares() bool { return len(b.Tenants) > 0 || len(b.Agents) > 0 }

// Hashes reports whether an entity's action needs the tenant's hash key.
func (b *Body) Hashes() bool { return slices.Contains(b.PII.Actions[:], pii.Hash) }

// Pseudonymizes reports whether one needs the tenant's key of pseudonyms.
func (b *Body) Pseudonymizes() bool { return slices.Contains(b.PII.Actions[:], pii.Pseudonymize) }

// Digest returns the name of an encoded policy: the SHA-256 of b in lower-case
// hexadecimal, 64 characters.
func Digest(b []byte) string {
	const hex = "0123456789abcdef"
	sum := sha256.Sum256(b)
	var out [2 * sha256.Size]byte
	for i, c := range sum {
		out[2*i], out[2*i+1] = hex[c>>4], hex[c&15]
	}
	return string(out[:])
}
