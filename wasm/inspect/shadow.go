package inspect

import (
	"slices"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
)

// Stages of the filter, as the access log names them beside those of the authz
// service.
const (
	stageContent = "content"
	stagePII     = "pii"
	stageHeaders = "headers"
	stagePoison  = "poison"
	stageTenant  = "tenant"
	stageAccess  = "access"
)

// What a stage in shadow would have done other than to refuse.
const (
	notRewritten = "not_rewritten"
	notSet       = "not_set"
	quarantined  = "quarantined"
)

// Shadow is what stages that are not enforced would have done in an exchange.
type Shadow struct{ list []string }

func (s *Shadow) add(stage, reason string) {
	// A stage says one thing of a direction, so the list is short.
	if entry := stage + ":" + reason; !slices.Contains(s.list, entry) {
		s.list = append(s.list, entry)
	}
}

// Watches reports whether a stage is not enforced: only then there is something to note.
func (r *Rules) Watches() bool { return r.watches }

// Append appends the list in the form of the access log: stage:reason, by
// commas.
func (s *Shadow) Append(dst []byte) []byte {
	for i, entry := range s.list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, entry...)
	}
	return dst
}

// Len is the number of entries.
func (s *Shadow) Len() int { return len(s.list) }

// Tolerates reports whether a request, or a response, that was found to be
// refused goes on all the same, and takes note of it in s where the stage is in
// shadow.
func (r *Rules) Tolerates(s *Shadow, response bool, p Refusal) bool {
	mode, stage := r.policy.Modes.Content, stageContent
	if response || p.Slug == problem.BlockedPII.Slug {
		mode, stage = r.policy.Modes.PII, stagePII
	}
	if mode == content.Shadow {
		s.add(stage, p.Slug)
	}
	return mode != content.Enforce
}

// watched is the plan for a body when its direction is not enforced: it goes on
// as it comes.
func (r *Rules) watched(plan Plan, response bool) Plan {
	mode := r.policy.Modes.Content
	if response {
		mode = r.policy.Modes.PII
	}
	if mode == content.Enforce || plan == Pass {
		return plan
	}
	return Watch
}

// Note takes note in s of what would have been done with the entities in b, and because
// of whom it names, where the policy has that in shadow.
func (r *Rules) Note(s *Shadow, b *Body) {
	r.noteScore(s, b)
	if b.rewriter != nil && b.rewriter.Differs(groupTenant) {
		s.add(stageTenant, problem.TenantMismatch.Slug)
	}
	if b.rewriter != nil && b.rewriter.Differs(groupAgent) {
		s.add(stageAccess, problem.AgentMismatch.Slug)
	}
	if b.rewriter == nil || !b.shadow {
		return
	}
	rewritten := false
	for entity, n := range b.rewriter.Counts() {
		if n == 0 {
			continue
		}
		switch b.rules.PII.Actions[entity] {
		case pii.Allow:
		case pii.Block:
			blocked := problem.BlockedPII.Slug
			if b.use.response {
				blocked = problem.ResponseBlocked.Slug
			}
			s.add(stagePII, blocked)
			return
		default:
			rewritten = true
		}
	}
	if rewritten {
		s.add(stagePII, notRewritten)
	}
}

// unblocked is a policy by which a rewriter finds all entities and goes on after
// each of them.
func unblocked(p pii.Policy) pii.Policy {
	for e, a := range p.Actions {
		if a == pii.Block {
			p.Actions[e] = pii.Redact
		}
	}
	return p
}

// NoteHeaders takes note in s when a response lacks a security header or has one
// that is taken off, where the policy has that in shadow.
func (r *Rules) NoteHeaders(s *Shadow, h Header) {
	if r.policy.Modes.Headers != content.Shadow {
		return
	}
	for _, name := range r.policy.Headers.Remove {
		if h.Has(name) {
			s.add(stageHeaders, notSet)
			return
		}
	}
	for i := range r.policy.Headers.Set {
		if h.Get(r.policy.Headers.Set[i].Name) != r.policy.Headers.Set[i].Value {
			s.add(stageHeaders, notSet)
			return
		}
	}
}
