package content

import (
	"slices"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
)

// The encoded form, version 7. A number is an unsigned LEB128 varint in its
// shortest form, a string is its length and its bytes, a list is its length and
// its elements.
//
//	policy  = magic version modes request:body response:body cors headers custom
//	modes   = two bits for each stage: content, pii, cors, headers, poison, tenant, agent
//	body    = max_bytes+1 max_depth types fields identifiers redact tenants agents deltas
//	          other_types actions poison
//	fields  = list of (path max), identifiers, redact, tenants, agents, deltas =
//	          list of path, all in strict order of path; other_types = 0 or 1
//	actions = list of (entity action), by name, in strict order of entity,
//	          without the entities whose action is allow
//	poison  = action, and unless it is off: quarantine refuse pass disabled phrases,
//	          the lists in strict order
//	cors    = origins methods headers exposed flags max_age
//	headers = list of (name value), list of names to remove
//	custom  = list of (name words prefixes patterns), allowed
//
// There is one encoding for each policy: [Parse] takes no other, so that equal
// policies have equal digests. Entities stand by name, as their numbers depend
// on the build; an entity that the policy does not name is allowed.
const (
	magic = "mgcp"
	// Version is that of the encoding. Another one is not read.
	Version = 7

	flagCredentials    = 1 << 0
	flagPrivateNetwork = 1 << 1
	flagsKnown         = flagCredentials | flagPrivateNetwork
)

// AppendBinary appends the encoded policy to dst. It is deterministic and does
// not depend on the order of Fields and of other lists of paths. A policy that is not valid
// ([Policy.Validate]) gives bytes that [Parse] refuses.
func (p *Policy) AppendBinary(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, Version)
	dst = appendNumber(dst, p.Modes.number())
	dst = p.Request.append(dst)
	dst = p.Response.append(dst)

	dst = appendStrings(dst, p.CORS.AllowOrigins)
	dst = appendStrings(dst, p.CORS.AllowMethods)
	dst = appendStrings(dst, p.CORS.AllowHeaders)
	dst = appendStrings(dst, p.CORS.ExposeHeaders)
	flags := uint64(0)
	if p.CORS.AllowCredentials {
		flags |= flagCredentials
	}
	if p.CORS.AllowPrivateNetwork {
		flags |= flagPrivateNetwork
	}
	dst = appendNumber(dst, flags)
	dst = appendNumber(dst, uint64(p.CORS.MaxAge/time.Second))

	dst = appendNumber(dst, uint64(len(p.Headers.Set)))
	for _, h := range p.Headers.Set {
		dst = appendString(appendString(dst, h.Name), h.Value)
	}
	dst = appendStrings(dst, p.Headers.Remove)

	custom := p.Custom.Config()
	dst = appendNumber(dst, uint64(len(custom.Rules)))
	for _, r := range custom.Rules {
		dst = appendString(dst, r.Name)
		dst = appendStrings(dst, r.Words)
		dst = appendStrings(dst, r.Prefixes)
		dst = appendStrings(dst, r.Patterns)
	}
	return appendStrings(dst, custom.Allow)
}

func (b *Body) append(dst []byte) []byte {
	dst = appendNumber(dst, uint64(b.MaxBytes+1))
	dst = appendNumber(dst, uint64(b.MaxDepth))
	dst = appendStrings(dst, b.Types)

	fields := slices.Clone(b.Fields)
	slices.SortFunc(fields, func(x, y pii.FieldLimit) int { return strings.Compare(x.Path, y.Path) })
	dst = appendNumber(dst, uint64(len(fields)))
	for _, f := range fields {
		dst = appendNumber(appendString(dst, f.Path), uint64(f.Max))
	}

	for _, list := range [...][]string{b.Identifiers, b.Redact, b.Tenants, b.Agents, b.Deltas} {
		paths := slices.Clone(list)
		slices.Sort(paths)
		dst = appendStrings(dst, paths)
	}

	other := uint64(0)
	if b.OtherTypes {
		other = 1
	}
	dst = appendNumber(dst, other)

	var entities []string
	for e, a := range b.PII.Actions {
		if a != pii.Allow {
			entities = append(entities, pii.Entity(e).String())
		}
	}
	slices.Sort(entities)
	dst = appendNumber(dst, uint64(len(entities)))
	for _, name := range entities {
		e, _ := pii.ParseEntity(name)
		dst = appendString(appendString(dst, name), b.PII.Actions[e].String())
	}
	return appendPoison(dst, &b.Poison)
}

func appendPoison(dst []byte, p *poison.Policy) []byte {
	dst = appendNumber(dst, uint64(p.Action))
	if p.Action == poison.Off {
		return dst
	}
	dst = appendNumber(appendNumber(dst, uint64(p.Quarantine)), uint64(p.Refuse))
	pass := uint64(0)
	if p.Pass {
		pass = 1
	}
	dst = appendNumber(dst, pass)
	for _, list := range [...][]string{p.Disabled, p.Phrases} {
		ordered := slices.Clone(list)
		slices.Sort(ordered)
		dst = appendStrings(dst, ordered)
	}
	return dst
}

func appendNumber(dst []byte, n uint64) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func appendString(dst []byte, s string) []byte {
	return append(appendNumber(dst, uint64(len(s))), s...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = appendNumber(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return dst
}

// Parse decodes what [Policy.AppendBinary] made. It takes nothing else: a
// policy of another version, with an entity or an action that this build does
// not know, out of its limits, or with bytes left over is an [*Error]. The
// policy keeps no reference to b.
func Parse(b []byte) (*Policy, error) {
	if len(b) > MaxWire {
		return nil, &Error{TooLarge, "", nil}
	}
	head := len(magic) + 1
	if len(b) < head || string(b[:len(magic)]) != magic || b[len(magic)] != Version {
		return nil, &Error{UnknownVersion, "", nil}
	}
	r := reader{rest: b[head:]}
	p := new(Policy)
	p.Modes = modesOf(r.number(modesMost))
	r.body(&p.Request)
	r.body(&p.Response)
	r.cors(&p.CORS)
	r.headers(&p.Headers)
	r.custom(&p.Custom)
	if r.err == nil && len(r.rest) > 0 {
		r.fail(Malformed, "bytes left over")
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// reader decodes from the front of rest. After the first fault every method
// returns zero values, so that callers need not check each.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(reason Reason, what string) {
	if r.err == nil {
		r.err = &Error{reason, what, nil}
	}
	r.rest = nil
}

// number reads a varint of at most max, in its shortest form.
func (r *reader) number(max uint64) uint64 {
	var n uint64
	for i, c := range r.rest {
		if i == 9 && c > 1 || i > 9 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 || n > max {
			break
		}
		r.rest = r.rest[i+1:]
		return n
	}
	r.fail(Malformed, "number")
	return 0
}

func (r *reader) string(max int) string {
	n := int(r.number(uint64(max)))
	if n > len(r.rest) {
		r.fail(Malformed, "string")
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// count reads a list's length. An element takes a byte at least, so a count
// never makes a caller allocate more than a small multiple of the input.
func (r *reader) count(max int) int {
	n := int(r.number(uint64(max)))
	if n > len(r.rest) {
		r.fail(Malformed, "list")
		return 0
	}
	return n
}

func (r *reader) strings(maxCount, maxLength int) []string {
	n := r.count(maxCount)
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.string(maxLength))
	}
	return list
}

func (r *reader) body(b *Body) {
	b.MaxBytes = int64(r.number(MaxBody+1)) - 1
	b.MaxDepth = int(r.number(MaxDepth))
	b.Types = r.strings(MaxTypes, maxMediaType)

	last := ""
	for range r.count(MaxFields) {
		f := pii.FieldLimit{Path: r.string(MaxPath), Max: int(r.number(MaxField))}
		if f.Path <= last {
			r.fail(Malformed, "order of fields")
			return
		}
		last = f.Path
		b.Fields = append(b.Fields, f)
	}

	b.Identifiers = r.paths()
	b.Redact = r.paths()
	b.Tenants = r.paths()
	b.Agents = r.paths()

	b.Deltas = r.paths()
	b.OtherTypes = r.number(1) == 1

	last = ""
	for range r.count(maxEntities) {
		name, action := r.string(maxEntityName), r.string(maxEntityName)
		if r.err != nil {
			return
		}
		e, ok := pii.ParseEntity(name)
		if !ok {
			r.fail(UnknownEntity, name)
			return
		}
		a, ok := pii.ParseAction(action)
		if !ok {
			r.fail(UnknownAction, action)
			return
		}
		// A second spelling of the same policy would have another digest.
		if name <= last || a == pii.Allow || e.String() != name || a.String() != action {
			r.fail(Malformed, "actions")
			return
		}
		last = name
		b.PII.Actions[e] = a
	}
	r.poison(&b.Poison)
}

func (r *reader) poison(p *poison.Policy) {
	p.Action = poison.Action(r.number(uint64(poison.Refuse)))
	if p.Action == poison.Off {
		return
	}
	p.Quarantine = int(r.number(poison.MaxScore))
	p.Refuse = int(r.number(poison.MaxScore))
	p.Pass = r.number(1) == 1
	p.Disabled = r.ordered(maxRules, maxEntityName)
	p.Phrases = r.ordered(poison.MaxPhrases, poison.MaxPhrase)
}

// paths reads a list of paths in their order.
func (r *reader) paths() []string { return r.ordered(MaxFields, MaxPath) }

// ordered reads a list in strict order.
func (r *reader) ordered(maxCount, maxLength int) []string {
	list := r.strings(maxCount, maxLength)
	for i := 1; i < len(list); i++ {
		if list[i] <= list[i-1] {
			r.fail(Malformed, "order of a list")
			return nil
		}
	}
	return list
}

// Bounds of the list of actions, for any build's entities.
const (
	maxEntities   = 256
	maxRules      = 256
	maxEntityName = 64
)

func (r *reader) cors(p *cors.Policy) {
	p.AllowOrigins = r.strings(cors.MaxList, cors.MaxOrigin)
	p.AllowMethods = r.strings(cors.MaxList, headers.MaxName)
	p.AllowHeaders = r.strings(cors.MaxList, headers.MaxName)
	p.ExposeHeaders = r.strings(cors.MaxList, headers.MaxName)
	flags := r.number(flagsKnown)
	p.AllowCredentials = flags&flagCredentials != 0
	p.AllowPrivateNetwork = flags&flagPrivateNetwork != 0
	p.MaxAge = time.Duration(r.number(uint64(cors.MaxAge/time.Second))) * time.Second
}

func (r *reader) headers(p *headers.Policy) {
	for range r.count(headers.MaxHeaders) {
		p.Set = append(p.Set, headers.Header{Name: r.string(headers.MaxName), Value: r.string(headers.MaxValue)})
	}
	p.Remove = r.strings(headers.MaxHeaders, headers.MaxName)
}

func (r *reader) custom(out **pii.CustomRules) {
	var cfg pii.CustomConfig
	for range r.count(pii.MaxRules) {
		cfg.Rules = append(cfg.Rules, pii.CustomRule{
			Name: r.string(pii.MaxName), Words: r.strings(pii.MaxWords, pii.MaxWord),
			Prefixes: r.strings(pii.MaxWords, pii.MaxWord), Patterns: r.strings(pii.MaxPatterns, pii.MaxPattern),
		})
	}
	cfg.Allow = r.strings(pii.MaxWords, pii.MaxWord)
	if r.err != nil || len(cfg.Rules)+len(cfg.Allow) == 0 {
		return
	}
	c, err := pii.NewCustom(cfg)
	if err != nil {
		r.err = invalid("custom", err)
		return
	}
	*out = c
}
