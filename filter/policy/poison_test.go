package policy

import (
	"slices"
	"testing"

	"github.com/memgate/memgate/filter/poison"
)

// What is not checked is not scored: the policy has to say so.
func TestPoisonNeedsChecks(t *testing.T) {
	change := routes("{ match: { path: /a }, require: { scopes: [s] }, content: { poison: refuse } }")
	change["content"], change["pii"] = "{ mode: shadow }", "{ mode: shadow }"
	for mode, want := range map[string]bool{"enforce": true, "shadow": false, "off": false} {
		change["poison"] = "{ mode: " + mode + " }"
		_, _, err := Parse([]byte(write(change)), "memgate.yaml", "")
		found := slices.ContainsFunc(Findings(err), func(f Finding) bool { return f.Rule == "mode-content" })
		if found != want {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// A route gets what the section says, and a route without the key nothing.
func TestPoisonOfRoutes(t *testing.T) {
	change := routes(
		"{ name: marks, match: { path: /a }, require: { scopes: [s] }, content: { poison: quarantine } }",
		"{ name: refuses, match: { path: /b }, require: { scopes: [s] }, content: { poison: refuse } }",
		"{ name: neither, match: { path: /c }, require: { scopes: [s] } }")
	section := "quarantine: 3, refuse: 7, quarantine_unavailable: pass, disable: [turn], phrases: [blue heron]"
	for mode, score := range map[string]bool{"enforce": true, "shadow": true, "off": false} {
		change["poison"] = "{ mode: " + mode + ", " + section + " }"
		p, _, err := Parse([]byte(write(change)), "memgate.yaml", "")
		if err != nil {
			t.Fatal(err)
		}
		for i, action := range []poison.Action{poison.Quarantine, poison.Refuse, poison.Off} {
			body, err := p.Content(&p.Routes[i])
			if err != nil {
				t.Fatal(err)
			}
			want := poison.Policy{}
			if score && action != poison.Off {
				want = poison.Policy{Action: action, Quarantine: 3, Refuse: 7, Pass: true, Disabled: []string{"turn"}, Phrases: []string{"blue heron"}}
			}
			if !body.Request.Poison.Equal(&want) || !body.Response.Poison.Equal(&poison.Policy{}) {
				t.Errorf("%s, %s: %+v", mode, p.Routes[i].Name, body.Request.Poison)
			}
			if want := contentMode(mode); body.Modes.Poison != want {
				t.Errorf("%s: mode %d", mode, body.Modes.Poison)
			}
		}
	}
}
