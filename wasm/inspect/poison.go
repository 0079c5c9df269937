package inspect

import (
	"strconv"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
	"github.com/memgate/memgate/filter/problem"
)

// suspicion is how much the texts of a request look like planted instructions.
type suspicion struct {
	scanner *poison.Scanner // nil: they are not scored
	scores  *poison.Set
	watched bool // nothing follows
	judged  bool
	verdict poison.Verdict
	outcome string // for the access log, once judged
}

// The outcomes of a score.
const (
	outcomePass       = "pass"
	outcomeQuarantine = "quarantine"
	outcomeRefuse     = "refuse"
	outcomeUnmarked   = "unmarked" // was to be quarantined, and passed
	outcomeShadow     = "shadow"
)

// texts returns who reads the texts of b, or nil.
func (r *Rules) texts(b *Body, as use) pii.Texts {
	if r.scores == nil || as.response {
		return nil
	}
	b.scanner = poison.NewScanner(r.scores)
	return b.scanner
}

// suspect prepares b for a score, if its texts get one.
func (r *Rules) suspect(b *Body) {
	if b.scanner != nil {
		b.scores, b.watched = r.scores, r.policy.Modes.Poison != content.Enforce
	}
}

// judge scores a body whose texts have all been read.
func (b *Body) judge() Refusal {
	if b.scanner == nil {
		return nil
	}
	b.judged, b.verdict, b.outcome = true, b.scanner.Verdict(), outcomePass
	switch action := b.scores.Action(b.verdict); {
	case action == poison.Off:
	case b.watched:
		b.outcome = outcomeShadow
	case action == poison.Refuse:
		b.outcome = outcomeRefuse
		return &problem.SuspectedPoisoning
	default:
		b.outcome = outcomeQuarantine
	}
	return nil
}

// Quarantined reports whether the upstream is to be told that b is suspect.
func (b *Body) Quarantined() bool { return b.outcome == outcomeQuarantine }

// QuarantineHeader is the header that the edge alone sets to tell so.
const QuarantineHeader = poison.Header

// Quarantine returns the value of [QuarantineHeader].
func (b *Body) Quarantine() string { return string(b.verdict.AppendHeader(nil)) }

// Unmarked says that the headers of a request whose body is quarantined have gone, and
// returns why it is refused, or nil where the policy lets it pass.
func (b *Body) Unmarked() Refusal {
	if b.scores.Passes() {
		b.outcome = outcomeUnmarked
		return nil
	}
	b.outcome = outcomeRefuse
	return &problem.SuspectedPoisoning
}

// Outcome is what came of the score, "" when there is none, and the ids of the rules that
// made it, appended to dst.
func (b *Body) Outcome(dst []string) (string, []string) {
	if !b.judged || b.verdict.Score == 0 {
		return "", dst
	}
	return b.outcome, b.verdict.Rules(dst)
}

// AppendScore appends the score in the form of the access log: 7 quarantine
// override,exfiltration.
func (b *Body) AppendScore(dst []byte) []byte {
	var room [32]string
	outcome, rules := b.Outcome(room[:0])
	if outcome == "" {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(b.verdict.Score), 10)
	dst = append(append(dst, ' '), outcome...)
	for i, id := range rules {
		if i == 0 {
			dst = append(dst, ' ')
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, id...)
	}
	return dst
}

// noteScore takes note in s of what would have followed from the score of b.
func (r *Rules) noteScore(s *Shadow, b *Body) {
	if b.outcome != outcomeShadow || r.policy.Modes.Poison != content.Shadow {
		return
	}
	if b.scores.Action(b.verdict) == poison.Refuse {
		s.add(stagePoison, problem.SuspectedPoisoning.Slug)
		return
	}
	s.add(stagePoison, quarantined)
}
