package policy

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// Actions maps an entity, such as EMAIL_ADDRESS, a group of them, such as SECRET, or
// the word default, to what is done with it: allow, redact, mask, hash or block.
type Actions map[string]string

// defaultEntity is the key of the action for entities that have none.
const defaultEntity = "default"

// checkAction says what is wrong with one entry of the [Actions] at path; the
// rule is "" when nothing is.
func checkAction(e entry, path string) (rule, message string) {
	if rule, message := laterKey(e.name, path); rule != "" {
		return rule, message
	}
	entities := ruleNames()
	if !slices.Contains(entities, e.name) {
		return "entity", "unknown entity " + show(e.name) + in(path) + didYouMean(e.name, entities)
	}
	if e.value.Kind != yaml.ScalarNode || e.value.Tag == "!!null" {
		return "action", join(path, e.name) + " must be " + oneOf(actionNames())
	}
	if rule, message := laterKey(e.value.Value, path); rule == "later" {
		return rule, message
	}
	if !slices.Contains(actionNames(), e.value.Value) {
		return "action", "unknown action " + show(e.value.Value) + " for " + e.name + in(path) + didYouMean(e.value.Value, actionNames())
	}
	return "", ""
}
