package poison

import (
	"errors"
	"slices"
	"strconv"
)

// Action is what is done with text whose score is high.
type Action uint8

// The actions.
const (
	// Off: text is not scored.
	Off Action = iota
	// Quarantine: from Policy.Quarantine on a text goes on and is marked, from
	// Policy.Refuse on it is refused.
	Quarantine
	// Refuse: from Policy.Quarantine on it is refused.
	Refuse
)

var actionNames = [...]string{"off", "quarantine", "refuse"}

// String returns the name of the action, as policies have it.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// ParseAction returns the action with that name.
func ParseAction(name string) (Action, bool) {
	i := slices.Index(actionNames[:], name)
	return Action(max(i, 0)), i >= 0
}

// Limits of a [Policy].
const (
	// MaxScore is the greatest threshold.
	MaxScore = 100
	// MaxPhrases is the number of phrases, MaxPhrase the length of one in bytes, and
	// MaxWords the number of its words.
	MaxPhrases = 200
	MaxPhrase  = 200
	MaxWords   = 16
)

// Policy says what is scored and what follows. The zero value scores nothing.
type Policy struct {
	Action Action
	// Quarantine and Refuse are the scores from which on a text is quarantined, and
	// refused; see [Action].
	Quarantine, Refuse int
	// Pass lets a text that is to be quarantined go on unmarked where the headers of its
	// request have gone. Otherwise it is refused.
	Pass bool
	// Disabled are ids of rules that do not count, each once.
	Disabled []string
	// Phrases are what the rule custom holds for, each once: words that follow on each
	// other. It weighs as much as Quarantine.
	Phrases []string
}

// PolicyError says what is wrong with a [Policy].
type PolicyError struct {
	// Part is "action", "quarantine", "refuse", "disabled" or "phrases", and Index the
	// entry of a list, or -1.
	Part  string
	Index int
	// Reason says why, for operators.
	Reason string
}

func (e *PolicyError) Error() string {
	s := e.Part
	if e.Index >= 0 {
		s += "[" + strconv.Itoa(e.Index) + "]"
	}
	return s + ": " + e.Reason
}

// Equal reports whether two policies are the same.
func (p *Policy) Equal(q *Policy) bool {
	return p.Action == q.Action && p.Quarantine == q.Quarantine && p.Refuse == q.Refuse && p.Pass == q.Pass &&
		slices.Equal(p.Disabled, q.Disabled) && slices.Equal(p.Phrases, q.Phrases)
}

// Set is a [Policy], compiled. It is safe for concurrent use.
type Set struct {
	policy  Policy
	phrases *matcher // nil without
	weights [numRules]int32
}

// Compile makes a policy ready for use. The error is a [*PolicyError].
func Compile(p Policy) (*Set, error) {
	if p.Action > Refuse {
		return nil, &PolicyError{"action", -1, "is none that this build knows"}
	}
	if p.Action != Off && (p.Quarantine < 1 || p.Quarantine > MaxScore) {
		return nil, &PolicyError{"quarantine", -1, "must be at least 1 and at most " + strconv.Itoa(MaxScore)}
	}
	if p.Action != Off && (p.Refuse < p.Quarantine || p.Refuse > MaxScore) {
		return nil, &PolicyError{"refuse", -1, "must be at least the score of quarantine and at most " + strconv.Itoa(MaxScore)}
	}
	set := &Set{policy: p}
	for i := range rules {
		set.weights[i] = int32(rules[i].Weight)
	}
	set.weights[custom] = int32(p.Quarantine)
	for i, id := range p.Disabled {
		n := numberOf(id)
		if n == numRules {
			return nil, &PolicyError{"disabled", i, "is not the id of a rule"}
		}
		if slices.Contains(p.Disabled[:i], id) {
			return nil, &PolicyError{"disabled", i, "stands here twice"}
		}
		set.weights[n] = 0
	}
	return set, set.addPhrases(p.Phrases)
}

func (s *Set) addPhrases(phrases []string) error {
	if len(phrases) > MaxPhrases {
		return &PolicyError{"phrases", -1, "are more than " + strconv.Itoa(MaxPhrases)}
	}
	if len(phrases) == 0 {
		return nil
	}
	s.phrases = newMatcher()
	reader := NewScanner(&Set{})
	for i, phrase := range phrases {
		if len(phrase) > MaxPhrase {
			return &PolicyError{"phrases", i, "is longer than " + strconv.Itoa(MaxPhrase) + " bytes"}
		}
		if slices.Contains(phrases[:i], phrase) {
			return &PolicyError{"phrases", i, "stands here twice"}
		}
		words, err := reader.wordsOf(phrase)
		if err != nil {
			return &PolicyError{"phrases", i, err.Error()}
		}
		s.phrases.sequence(words, custom)
	}
	s.phrases.finish()
	return nil
}

var (
	errNoWords   = errors.New("has no word")
	errManyWords = errors.New("has more than " + strconv.Itoa(MaxWords) + " words")
)

// Verdict is the outcome for a text.
type Verdict struct {
	// Score is the sum of the weights of rules that held near each other, where it was
	// greatest.
	Score int
	rules uint32 // a bit for each of those rules
}

// Rules appends the ids of the rules that made the score.
func (v Verdict) Rules(dst []string) []string {
	for i := range rules {
		if v.rules>>i&1 != 0 {
			dst = append(dst, rules[i].ID)
		}
	}
	return dst
}

// Action says what follows from a verdict: [Off] that the text goes on.
func (s *Set) Action(v Verdict) Action {
	switch p := &s.policy; {
	case p.Action == Off || v.Score < p.Quarantine:
		return Off
	case p.Action == Refuse || v.Score >= p.Refuse:
		return Refuse
	}
	return Quarantine
}

// Passes reports whether what is to be quarantined goes on where it cannot be marked.
func (s *Set) Passes() bool { return s.policy.Pass }

// Header is the name of the header by which the edge marks a request whose body is to be
// quarantined. A client's own never gets past the edge.
const Header = "x-memgate-quarantine"

// AppendHeader appends the value of [Header]: a dictionary (RFC 9651, section 3.2) such as
// score=7, rules=("override" "exfiltration").
func (v Verdict) AppendHeader(dst []byte) []byte {
	dst = append(dst, "score="...)
	dst = strconv.AppendInt(dst, int64(v.Score), 10)
	dst = append(dst, ", rules=("...)
	var room [numRules]string
	for i, id := range v.Rules(room[:0]) {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, '"')
		dst = append(dst, id...)
		dst = append(dst, '"')
	}
	return append(dst, ')')
}
