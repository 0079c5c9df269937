package authz

import (
	"strings"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/problem"
)

// The stages of the Wasm filter, as its part of an event's shadow names them, beside
// [StageTenant] and [StageAccess] for whom a body names.
const (
	StageContent Stage = "content" // the checks of a request's body
	StagePII     Stage = "pii"     // the search for entities
	StageHeaders Stage = "headers" // the security headers of a response
)

// What a stage of the Wasm filter in shadow would have done other than to refuse
// with a problem.
const (
	reasonNotRewritten identity.Reason = "not_rewritten" // entities went on as they were
	reasonNotSet       identity.Reason = "not_set"       // headers did
)

// maxFilterShadow bounds what is read of the filter's list: a stage says one
// thing of each direction.
const maxFilterShadow = 8

// filterShadow reads what the Wasm filter would have done, were it enforced. A
// list that says something else than the filter can is dropped as a whole, so
// that its words can be labels of a metric.
func filterShadow(list string) []Denial {
	if list == "" {
		return nil
	}
	var out []Denial
	for entry := range strings.SplitSeq(list, ",") {
		stage, reason, _ := strings.Cut(entry, ":")
		d := Denial{Stage: Stage(stage), Reason: identity.Reason(reason)}
		if len(out) == maxFilterShadow || !d.ofFilter() {
			return nil
		}
		out = append(out, d)
	}
	return out
}

func (d *Denial) ofFilter() bool {
	switch d.Stage {
	case StageHeaders:
		return d.Reason == reasonNotSet
	case StagePII:
		return d.Reason == reasonNotRewritten || isProblem(d.Reason)
	case StagePoison:
		return d.Reason == reasonQuarantined || isProblem(d.Reason)
	case StageContent:
		return isProblem(d.Reason)
	case StageTenant:
		return d.Reason == identity.Reason(problem.TenantMismatch.Slug)
	case StageAccess:
		return d.Reason == identity.Reason(problem.AgentMismatch.Slug)
	}
	return false
}

func isProblem(slug identity.Reason) bool {
	for _, p := range problem.All() {
		if p.Slug == string(slug) {
			return true
		}
	}
	return false
}
