package authz

import (
	"strings"

	"github.com/memgate/memgate/filter/identity"
)

// Denial is a refusal by a stage that the policy does not enforce: the request
// goes on.
type Denial struct {
	Stage  Stage
	Reason identity.Reason
	Err    error // detail for the operator's log, or nil
}

// wouldDeny notes what a stage in shadow found, and is the step that tells of it.
func (d *Decision) wouldDeny(stage Stage, reason identity.Reason, err error) Step {
	d.Shadow = append(d.Shadow, Denial{stage, reason, err})
	return Step{Stage: stage, Verdict: WouldDeny, Note: noteOf(reason, err)}
}

// entry is a denial as the audit log has it.
func (d *Denial) entry() string { return string(d.Stage) + ":" + string(d.Reason) }

// shadow is d.Shadow as the access log gets it: stage:reason, by commas.
func (d *Decision) shadow() string {
	if len(d.Shadow) == 0 {
		return ""
	}
	var b strings.Builder
	for i := range d.Shadow {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.Shadow[i].entry())
	}
	return b.String()
}

func noteOf(reason identity.Reason, err error) string {
	if err == nil {
		return string(reason)
	}
	return string(reason) + ": " + err.Error()
}
