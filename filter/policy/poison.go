package policy

import (
	"errors"
	"strconv"

	"github.com/memgate/memgate/filter/poison"
)

// Poison says how texts are scored, and what a score means.
type Poison struct {
	Mode        string   `yaml:"mode" doc:"enforce acts; shadow scores, counts and audits, and lets bodies go on unmarked; off does not look" enum:"enforce,shadow,off" default:"enforce"`
	Quarantine  int      `yaml:"quarantine" doc:"score from which on a request is suspect; the rules and their weights are in docs/poisoning.md" default:"4" min:"1" max:"100"`
	Refuse      int      `yaml:"refuse" doc:"score from which on a request is refused with 422, also on routes that quarantine" default:"9" min:"1" max:"100"`
	Unavailable string   `yaml:"quarantine_unavailable" doc:"what happens to a request that is to be marked where the proxy has let its headers go already, as in Istio: refuse it with 422, or pass it on unmarked" enum:"refuse,pass" default:"refuse"`
	Disable     []string `yaml:"disable" doc:"ids of rules that do not count, such as delayed"`
	Phrases     []string `yaml:"phrases" doc:"phrases that count beside the rules, each as much as quarantine: words that follow on each other, without regard to case, accents and punctuation; at most 200"`
}

// score is what the Wasm filter gets to know of p for a route.
func (p *Poison) score(r *Route) poison.Policy {
	action, _ := poison.ParseAction(r.Content.Poison)
	if action == poison.Off || p.Mode == ModeOff {
		return poison.Policy{}
	}
	return poison.Policy{
		Action: action, Quarantine: p.Quarantine, Refuse: p.Refuse, Pass: p.Unavailable == "pass",
		Disabled: p.Disable, Phrases: p.Phrases,
	}
}

// scored reports whether a route has its texts scored.
func (p *Policy) scored() bool {
	for i := range p.Routes {
		if action, _ := poison.ParseAction(p.Routes[i].Content.Poison); action != poison.Off {
			return true
		}
	}
	return false
}

// poison reports rules and phrases that cannot be.
func (l *linter) poison() {
	p := &l.p.Poison
	if l.reported("poison") {
		return
	}
	var bad *poison.PolicyError
	_, err := poison.Compile(poison.Policy{Action: poison.Quarantine, Quarantine: p.Quarantine, Refuse: p.Refuse, Disabled: p.Disable, Phrases: p.Phrases})
	if !errors.As(err, &bad) {
		return
	}
	var ids []string
	for _, r := range poison.Rules() {
		ids = append(ids, r.ID)
	}
	path, hint := "poison."+bad.Part, ""
	if bad.Part == "disabled" {
		path = "poison.disable"
		if bad.Index >= 0 && !poison.Known(p.Disable[bad.Index]) {
			hint = ": " + strconv.Quote(p.Disable[bad.Index]) + didYouMean(p.Disable[bad.Index], ids)
		}
	}
	if bad.Index >= 0 {
		path = element(path, bad.Index)
	}
	l.err(path, "poison", "%s%s", bad.Reason, hint)
}
