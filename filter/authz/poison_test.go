package authz

import (
	"reflect"
	"testing"

	"github.com/memgate/memgate/filter/audit"
)

// Nothing but numbers, outcomes and ids of rules gets from the filter into the log and
// into labels of metrics.
func TestPoisonOf(t *testing.T) {
	want := audit.Poison{Score: 7, Outcome: "quarantine", Rules: []string{"override", "turn"}}
	if got := poisonOf("7 quarantine override,turn"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	for _, text := range []string{
		"", "7", "7 quarantine", "7 quarantine ", "0 pass turn", "-1 pass turn", "99999999 pass turn", "7 maybe turn",
		"7 pass turn,turn", "7 pass ann@example.com", "7 pass turn x", "7  pass turn",
	} {
		if got := poisonOf(text); !reflect.DeepEqual(got, audit.Poison{}) {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
