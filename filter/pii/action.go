package pii

// Action is what is done with a finding.
type Action uint8

// The actions, from doing nothing to refusing the body.
const (
	// Allow leaves the value as it is. It is the zero value.
	Allow Action = iota
	// Redact replaces the value by its entity's name in brackets.
	Redact
	// Mask keeps a little of the value, such as a card's last four digits.
	Mask
	// Hash replaces the value by a keyed hash, so that equal values stay equal.
	Hash
	// Pseudonymize replaces the value by a pseudonym, which the tenant's key opens.
	Pseudonymize
	// Block refuses the whole body.
	Block
	numActions
)

var actionNames = [numActions]string{Allow: "allow", Redact: "redact", Mask: "mask", Hash: "hash", Pseudonymize: "pseudonymize", Block: "block"}

// String returns the action's name in a policy, such as "redact", or "unknown".
func (a Action) String() string {
	if a >= numActions {
		return "unknown"
	}
	return actionNames[a]
}

// ParseAction returns the action that has exactly this name.
func ParseAction(name string) (Action, bool) {
	for a, n := range actionNames {
		if n == name {
			return Action(a), true
		}
	}
	return Allow, false
}

// Policy says what to do with each entity. The zero value allows everything.
type Policy struct {
	// Actions has one action for each entity, by its number.
	Actions [NumEntities]Action
	// Custom are the policy's own rules, and the values that it allows; nil for none.
	Custom *CustomRules
}

// Searches reports whether any entity has an action other than Allow.
func (p *Policy) Searches() bool {
	for _, a := range p.Actions {
		if a != Allow {
			return true
		}
	}
	return false
}

// name returns what stands in place of a finding that is redacted.
func (p *Policy) name(f Finding) string {
	if f.Entity == Custom {
		return p.Custom.name(f.Rule)
	}
	return f.Entity.String()
}

// action is what is done with an entity. A pseudonym that is to be opened is no
// entity, and never allowed.
func (p *Policy) action(e Entity) Action {
	if e == opened {
		return Redact
	}
	return p.Actions[e]
}
