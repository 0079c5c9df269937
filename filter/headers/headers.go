// Package headers decides which response headers every answer of the edge
// carries and which ones never leave it.
//
// It is pure: a [Policy] is two lists, built once from a preset and the
// overrides of the policy file. The authz service puts them on the responses
// that it creates, the Wasm filter on all others.
package headers

import (
	"slices"
	"strings"
)

// Header is one header field. Name is in lower case, as HTTP/2 wants it
// (RFC 9113, section 8.2.1).
type Header struct{ Name, Value string }

// Policy is what each response must carry and must not carry. Build it with
// [New]; both lists are then sorted by name and have no name twice.
type Policy struct {
	// Set are the headers that replace whatever the upstream sent by that name.
	Set []Header
	// Remove are the names, in lower case, that are taken off each response.
	Remove []string
}

// HSTS is the value of Strict-Transport-Security where an operator says nothing:
// a year, for this host alone (RFC 6797, section 6.1).
const HSTS = "max-age=31536000"

// Limits of what [New] takes and [Policy.Validate] accepts.
const (
	// MaxHeaders is the number of headers that a policy sets, and also the
	// number of names that it removes.
	MaxHeaders = 128
	// MaxName is the length of a header's name in bytes.
	MaxName = 64
	// MaxValue is the length of a header's value in bytes.
	MaxValue = 4096
)

// Reason says why a header was refused.
type Reason string

// The reasons of an [Error].
const (
	UnknownPreset Reason = "no such preset; the presets are api and web"
	BadName       Reason = "not a header name: RFC 9110 tokens of at most 64 bytes"
	BadValue      Reason = "not a header value: visible ASCII, inner spaces and tabs, at most 4096 bytes"
	Reserved      Reason = "this header belongs to HTTP framing, to the upstream, or to another part of the edge"
	Duplicate     Reason = "named twice"
	TooMany       Reason = "too many headers"
	NotSorted     Reason = "not in the order of names"
)

// Error names the header, or the preset, that [New] or [Policy.Validate]
// refused. It holds no value, so it can be logged.
type Error struct {
	Name   string
	Reason Reason
}

func (e *Error) Error() string { return "header " + quote(e.Name) + ": " + string(e.Reason) }

// New returns the policy of a preset, "api" or "web", with overrides applied.
// An override sets the header it names; one with an empty value drops that
// header from the preset, so that the upstream's own passes as it is. Names are
// taken without regard to case. The error is an [*Error].
func New(preset string, overrides map[string]string) (Policy, error) {
	var set []Header
	switch preset {
	case "api":
		set = slices.Clone(api)
	case "web":
		set = slices.Clone(web)
	default:
		return Policy{}, &Error{preset, UnknownPreset}
	}
	if len(overrides) > MaxHeaders {
		return Policy{}, &Error{"", TooMany}
	}
	remove := slices.Clone(disclosing)

	// In the order of names, so that of several faults the same one is told.
	names := make([]string, 0, len(overrides))
	for name := range overrides {
		names = append(names, name)
	}
	slices.Sort(names)
	seen := make(map[string]bool, len(names))
	for _, given := range names {
		name, value := strings.ToLower(given), overrides[given]
		switch {
		case !ValidName(name):
			return Policy{}, &Error{given, BadName}
		case seen[name]:
			return Policy{}, &Error{given, Duplicate}
		case IsReserved(name):
			return Policy{}, &Error{given, Reserved}
		case !ValidValue(value):
			return Policy{}, &Error{given, BadValue}
		}
		seen[name] = true
		set = slices.DeleteFunc(set, func(h Header) bool { return h.Name == name })
		remove = slices.DeleteFunc(remove, func(n string) bool { return n == name })
		if value != "" {
			set = append(set, Header{name, value})
		}
	}
	slices.SortFunc(set, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	p := Policy{Set: set, Remove: remove}
	return p, p.Validate()
}

// Without is the policy with a header, named in lower case, taken off each
// response, whoever set it.
func (p Policy) Without(name string) Policy {
	p.Set = slices.DeleteFunc(slices.Clone(p.Set), func(h Header) bool { return h.Name == name })
	if at, ok := slices.BinarySearch(p.Remove, name); !ok {
		p.Remove = slices.Insert(slices.Clone(p.Remove), at, name)
	}
	return p
}

// Validate reports whether the policy is one that [New] could have built: valid
// lower-case names that are not reserved, valid values, both lists strictly in
// order. A policy that came over a wire is validated before it is used. The
// error is an [*Error].
func (p *Policy) Validate() error {
	if len(p.Set) > MaxHeaders || len(p.Remove) > MaxHeaders {
		return &Error{"", TooMany}
	}
	last := ""
	for _, h := range p.Set {
		if err := validate(h.Name, last); err != nil {
			return err
		}
		if h.Value == "" || !ValidValue(h.Value) {
			return &Error{h.Name, BadValue}
		}
		last = h.Name
	}
	last = ""
	for _, name := range p.Remove {
		if err := validate(name, last); err != nil {
			return err
		}
		last = name
	}
	return nil
}

func validate(name, last string) error {
	switch {
	case !ValidName(name) || hasUpper(name):
		return &Error{name, BadName}
	case IsReserved(name):
		return &Error{name, Reserved}
	case name == last:
		return &Error{name, Duplicate}
	case name < last:
		return &Error{name, NotSorted}
	}
	return nil
}

// Removes reports whether the policy takes the header off a response. The name
// must be in lower case. It is a binary search: a host that lists a response's
// headers once asks this for each instead of calling to remove every name.
func (p *Policy) Removes(name string) bool {
	_, found := slices.BinarySearch(p.Remove, name)
	return found
}

// ValidName reports whether s is a field name (RFC 9110, section 5.1: a token)
// of at most [MaxName] bytes.
func ValidName(s string) bool { return len(s) <= MaxName && IsToken(s) }

// IsToken reports whether s is a token (RFC 9110, section 5.6.2).
func IsToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// ValidValue reports whether s can stand as a field value (RFC 9110, section
// 5.5) without changing its meaning on the way: visible ASCII, spaces and tabs
// inside, none at the ends, at most [MaxValue] bytes. Bytes above ASCII
// (obs-text) are refused. The empty string is valid.
func ValidValue(s string) bool {
	if len(s) > MaxValue {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == ' ' || c == '\t' {
			if i == 0 || i == len(s)-1 {
				return false
			}
			continue
		}
		if c < 0x21 || c > 0x7e {
			return false
		}
	}
	return true
}

// tokenByte marks tchar of RFC 9110, section 5.6.2.
var tokenByte = func() (t [256]bool) {
	const tchar = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for i := 0; i < len(tchar); i++ {
		t[tchar[i]] = true
	}
	return t
}()

func hasUpper(s string) bool {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// quote puts s between quotation marks for an operator, shortened, with every
// byte that a terminal could take amiss replaced.
func quote(s string) string {
	b := make([]byte, 0, MaxName+2)
	b = append(b, '"')
	for i := 0; i < len(s) && i < MaxName; i++ {
		if c := s[i]; c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			b = append(b, c)
		} else {
			b = append(b, '?')
		}
	}
	return string(append(b, '"'))
}
