package authz

import (
	"slices"
	"strconv"
	"strings"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/poison"
)

// StagePoison is the score of a request's texts, in the Wasm filter, and reasonQuarantined
// that it would have marked the request, were it enforced.
const (
	StagePoison       Stage           = "poison"
	reasonQuarantined identity.Reason = "quarantined"
)

// outcomes are what can come of a score.
var outcomes = []string{"pass", "quarantine", "refuse", "unmarked", "shadow"}

// poisonOf reads what the Wasm filter says of a score. What is not of its form, or names
// something else than rules and outcomes, is dropped as a whole, so that its words can be
// labels of metrics.
func poisonOf(text string) audit.Poison {
	fields := strings.Split(text, " ")
	if len(fields) != 3 || !slices.Contains(outcomes, fields[1]) {
		return audit.Poison{}
	}
	score, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil || score == 0 {
		return audit.Poison{}
	}
	ids := strings.Split(fields[2], ",")
	for i, id := range ids {
		if !poison.Known(id) || slices.Contains(ids[:i], id) {
			return audit.Poison{}
		}
	}
	return audit.Poison{Score: int(score), Outcome: fields[1], Rules: ids}
}

// scored counts the score of a request.
func (m *Metrics) scored(e *audit.Event) {
	if e.Poison.Score == 0 {
		return
	}
	m.scores.WithLabelValues(e.Poison.Outcome, e.Route).Inc()
	for _, id := range e.Poison.Rules {
		m.rules.WithLabelValues(id).Inc()
	}
}
