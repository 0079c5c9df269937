package inspect

import (
	"errors"
	"strconv"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
)

// Refusal is why a message does not go on; nil means that it does.
type Refusal = *problem.Problem

// Body checks and rewrites one body, piece by piece.
type Body struct {
	rules    *content.Body
	rewriter *pii.Rewriter // nil: only the length is checked
	suspicion
	use     use
	secrets *Secrets
	shadow  bool  // what goes on is what came
	untyped bool  // a first byte is refused: the message does not say what it is
	seen    int64 // bytes taken so far
	told    bool  // by Expect
}

// begin prepares for a body.
func (r *Rules) begin(b *Body, rules *content.Body, as use, secrets *Secrets) {
	*b = Body{rules: rules, use: as, secrets: secrets, shadow: r.policy.Modes.PII != content.Enforce}
	if idle := &r.idle[as.index()]; len(*idle) > 0 {
		last := (*idle)[len(*idle)-1]
		b.rewriter, b.scanner = last.rewriter, last.scanner
		*idle = (*idle)[:len(*idle)-1]
		r.suspect(b)
		b.give(secrets)
		return
	}
	entities := rules.PII
	entities.Custom = r.policy.Custom
	if b.shadow {
		entities = unblocked(entities)
	}
	texts := r.texts(b, as)
	r.suspect(b)
	b.rewriter = pii.NewRewriter(pii.Config{
		Format:   as.format,
		Policy:   entities,
		MaxDepth: rules.MaxDepth,
		Fields:   rules.Fields,

		Identifiers: rules.Identifiers,
		Redact:      rules.Redact,
		Named:       [][]string{groupTenant: rules.Tenants, groupAgent: rules.Agents},
		Noted:       [pii.MaxNamed]bool{groupTenant: r.policy.Modes.Tenant != content.Enforce, groupAgent: r.policy.Modes.Agent != content.Enforce},
		Deltas:      rules.Deltas,
		Part:        content.PartFormat,
		OtherParts:  rules.OtherTypes || !rules.Inspects(),
		Lenient:     as.response && len(rules.Redact) == 0, // a member that cannot be told cannot be redacted
		Texts:       texts,
	})
	b.give(secrets)
}

// Secrets are what a caller's tenant has for the bodies of an exchange.
type Secrets struct {
	// HashKey is the key of its hashes.
	HashKey []byte
	// Pseudonyms are its keys of pseudonyms.
	Pseudonyms *pii.Pseudonyms
	// Reveal opens pseudonyms in the response.
	Reveal bool
}

func (b *Body) give(secrets *Secrets) {
	if secrets == nil {
		secrets = new(Secrets)
	}
	b.rewriter.SetHashKey(secrets.HashKey)
	b.rewriter.SetPseudonyms(secrets.Pseudonyms, secrets.Reveal && b.use.response && !b.shadow)
}

// needs are the keys that the actions of a policy need.
type needs struct{ hash, pseudonyms bool }

func needsOf(rules *content.Body) needs {
	return needs{hash: rules.Hashes(), pseudonyms: rules.Pseudonymizes()}
}

// lack reports whether one of them is not there.
func (n needs) lack(secrets *Secrets) bool {
	return n.hash && (secrets == nil || len(secrets.HashKey) == 0) ||
		n.pseudonyms && (secrets == nil || secrets.Pseudonyms == nil)
}

// Seen is how many bytes of the body were looked into.
func (b *Body) Seen() int64 { return b.seen }

// Opened is how many pseudonyms were opened in b.
func (b *Body) Opened() uint32 {
	if b.rewriter == nil {
		return 0
	}
	return b.rewriter.Opened()
}

// The groups of members whose values are compared.
const (
	groupTenant = iota
	groupAgent
)

// Expect says whose request it is: what a member that names a tenant, or an agent, has
// to hold. There is no agent where the request may name any. It follows on [Rules.Request];
// without it, and without a tenant where one is compared, no body goes on.
func (b *Body) Expect(tenant, agent string) {
	if b.rewriter == nil {
		return
	}
	b.told = tenant != "" || len(b.rules.Tenants) == 0
	b.rewriter.Expect(groupTenant, tenant)
	b.rewriter.Expect(groupAgent, agent)
}

// End gives back what b used. After it b counts no findings.
func (r *Rules) End(b *Body) {
	if b.rewriter == nil {
		return
	}
	if idle := &r.idle[b.use.index()]; len(*idle) < maxIdle {
		b.rewriter.Reset()
		if b.scanner != nil {
			b.scanner.Reset()
		}
		b.give(nil)
		*idle = append(*idle, reader{b.rewriter, b.scanner})
	}
	b.rewriter, b.scanner = nil, nil
}

// Next takes the next piece of a body, and says with last that no other
// follows. It appends to dst what can go on already and returns it. After a
// refusal nothing that dst holds may go on.
//
// These are the stages of a body, in order. The length comes first, so that an
// oversized body costs nothing more; well-formedness, depth, field limits, the
// tenant and agent that it names, and personal data are one pass over the bytes, and the
// score of its texts is another over what that one decodes.
func (b *Body) Next(dst, piece []byte, last bool) ([]byte, Refusal) {
	// 1. Length.
	b.seen += int64(len(piece))
	if !b.rules.Fits(b.seen) {
		return dst, b.tooLarge()
	}
	// 2. No body at all is not a malformed one.
	if last && b.seen == 0 {
		return dst, nil
	}
	// 3. A body of which nobody says what it is.
	if b.untyped && b.seen > 0 {
		if b.use.response {
			return dst, &problem.ResponseUninspectable
		}
		return dst, &problem.UnsupportedMediaType
	}
	// 4. A body that is not looked into.
	if b.rewriter == nil {
		return append(dst, piece...), nil
	}
	if b.rules.Compares() && !b.told {
		return dst, &problem.Unavailable
	}
	// 5. Form, depth, fields, whom they name, personal data.
	before := len(dst)
	dst, err := b.rewriter.Write(dst, piece)
	// 6. What was held back because it could have become a finding, and the
	// check that the body is complete.
	if err == nil && last {
		dst, err = b.rewriter.Close(dst)
	}
	if b.shadow {
		dst = append(dst[:before], piece...)
	}
	if err != nil {
		return dst, b.refusal(err)
	}
	// 7. What its texts look like, once all have been read.
	if last {
		return dst, b.judge()
	}
	return dst, nil
}

// Rewrites reports whether Next may return other bytes than it took.
func (b *Body) Rewrites() bool { return b.rewriter != nil && !b.shadow }

// Found reports whether anything was found in b.
func (b *Body) Found() bool {
	return b.rewriter != nil && *b.rewriter.Counts() != [pii.NumEntities]uint32{}
}

// Changed reports whether what Next returned may differ from what it took.
func (b *Body) Changed() bool {
	if !b.Rewrites() {
		return false
	}
	if b.rewriter.Opened() > 0 {
		return true
	}
	if !b.Found() {
		return false
	}
	counts := b.rewriter.Counts()
	if counts[pii.Custom] > 0 && len(b.rules.Redact) > 0 {
		return true
	}
	for entity, n := range counts {
		if n > 0 && b.rules.PII.Actions[entity] != pii.Allow {
			return true
		}
	}
	return false
}

func (b *Body) tooLarge() Refusal {
	if b.use.response {
		return &problem.ResponseTooLarge
	}
	return &problem.BodyTooLarge
}

// refusal maps an error of the rewriter. An unknown one refuses too.
func (b *Body) refusal(err error) Refusal {
	if b.use.response {
		if blocked := (*pii.BlockedError)(nil); errors.As(err, &blocked) {
			return &problem.ResponseBlocked
		}
		return &problem.ResponseUninspectable
	}
	var field *pii.FieldError
	var blocked *pii.BlockedError
	var named *pii.MismatchError
	switch {
	case errors.Is(err, pii.ErrMalformed):
		if b.use.format == pii.Multipart {
			return &problem.MalformedRequest
		}
		return &problem.MalformedJSON
	case errors.Is(err, pii.ErrUninspectable):
		return &problem.UnsupportedMediaType
	case errors.Is(err, pii.ErrTooDeep):
		return &problem.TooDeep
	case errors.As(err, &field):
		return &problem.FieldTooLarge
	case errors.Is(err, pii.ErrEventTooLong):
		return &problem.BodyTooLarge
	case errors.As(err, &named) && named.Group == groupTenant:
		return &problem.TenantMismatch
	case errors.As(err, &named):
		return &problem.AgentMismatch
	case errors.As(err, &blocked):
		return &problem.BlockedPII
	}
	return &problem.Unavailable
}

// Findings are how many of each entity were found in an exchange.
type Findings [pii.NumEntities]uint32

// Add adds what was found in b.
func (f *Findings) Add(b *Body) {
	if b.rewriter == nil {
		return
	}
	for i, n := range b.rewriter.Counts() {
		f[i] += n
	}
}

// Total is the number of findings.
func (f *Findings) Total() (n uint64) {
	for _, c := range f {
		n += uint64(c)
	}
	return n
}

// Append appends the findings in the form of the access log:
// EMAIL_ADDRESS=2,CREDIT_CARD=1.
func (f *Findings) Append(dst []byte) []byte {
	for i, n := range f {
		if n == 0 {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, pii.Entity(i).String()...)
		dst = append(dst, '=')
		dst = strconv.AppendUint(dst, uint64(n), 10)
	}
	return dst
}
