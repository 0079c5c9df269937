package api

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// An agent's policy says what expires and when; it does so when it is applied, and what it forgets is gone.
func TestExpiryPolicies(t *testing.T) {
	w := newWorld(t)
	const agent = "/api/v2/agents/bot"
	remember := func(body string) string { return w.ok("t", "POST", agent+"/remember", body).get("memory_id") }
	old := remember(`{"content":"The build is red","type":"context"}`)
	kept := remember(`{"content":"The build is green","type":"context","tags":["pinned"]}`)
	guess := remember(`{"content":"Perhaps she likes tea","type":"preference","provenance":"inferred","confidence":0.2}`)
	sure := remember(`{"content":"She likes coffee","type":"preference"}`)
	held := remember(`{"content":"The build is under a hold","type":"context"}`)
	w.ok("t", "POST", "/api/v2/hold", `{"memory_id":"`+held+`","reason":"case 7"}`)
	w.remember("t", "other", "The build of another agent is red")

	if a := w.ok("t", "GET", agent+"/policy", ""); a.get("is_empty") != "true" || a.get("policy", "purge_expired_after") != "never" {
		t.Errorf("without a policy: %s", a.text)
	}
	if a := w.ok("t", "POST", agent+"/policy/apply", ""); a.get("matched") != "0" || a.get("policy_is_empty") != "true" || a.get("scanned") != "5" {
		t.Errorf("nothing applied: %s", a.text)
	}
	policy := `{"retention":{"context":"2d","fact":"never"},"purge_expired_after":"1w",
		"rules":[{"name":"pinned","match":{"tags":["pinned"]},"expire_after":"never"},
		{"name":"guesses","match":{"provenance":["inferred"],"confidence_below":0.5},"expire_after":"12h"}]}`
	if a := w.ok("t", "PUT", agent+"/policy", policy); a.get("is_empty") != "false" || a.get("policy", "rules", "1", "name") != "guesses" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("t", "GET", agent+"/policy", ""); a.get("policy", "retention", "context") != "2d" || a.get("policy", "rules", "1", "match", "confidence_below") != "0.5" {
		t.Errorf("%s", a.text)
	}
	w.now = epoch.Add(36 * time.Hour)
	if a := w.ok("t", "POST", agent+"/policy/apply", `{"dry_run":true}`); a.get("matched") != "1" || a.get("expired") != "0" || a.get("memories", "0", "id") != guess || a.get("per_rule", "guesses") != "1" {
		t.Errorf("only told: %s", a.text)
	}
	w.now = epoch.Add(49 * time.Hour)
	a := w.ok("t", "POST", agent+"/policy/apply", `{}`)
	if a.get("matched") != "2" || a.get("expired") != "2" || a.get("per_rule", "retention.context") != "1" {
		t.Errorf("applied: %s", a.text)
	}
	for id, by := range map[string]string{old: "retention.context", guess: "guesses", kept: "", sure: "", held: ""} {
		if got := w.ok("t", "GET", agent+"/memories/"+id, "").get("expired_by"); got != by && (by != "" || got != "null") {
			t.Errorf("%s expired by %q, want %q", id, got, by)
		}
	}
	if a := w.ok("t", "POST", agent+"/policy/apply", ""); a.get("matched") != "0" || a.get("already_expired") != "2" {
		t.Errorf("again: %s", a.text)
	}
	if a := w.ok("t", "POST", agent+"/policy/purge", ""); a.get("matched") != "0" || a.get("enabled") != "true" {
		t.Errorf("too early: %s", a.text)
	}
	w.now = w.now.AddDate(0, 0, 8)
	if a := w.ok("t", "POST", agent+"/policy/purge", `{"dry_run":true}`); a.get("matched") != "2" || a.get("purged") != "0" {
		t.Errorf("only told: %s", a.text)
	}
	if a := w.ok("t", "POST", agent+"/policy/purge", ""); a.get("purged") != "2" {
		t.Errorf("purged: %s", a.text)
	}
	for id, status := range map[string]int{old: 404, guess: 404, kept: 200, sure: 200, held: 200} {
		if a := w.do("t", "GET", agent+"/memories/"+id, ""); a.status != status {
			t.Errorf("%s: %d", id, a.status)
		}
	}
	// The presets are as complete as a policy of one's own.
	if a := w.ok("t", "GET", agent+"/policy/presets", ""); a.get("presets", "1", "name") != "balanced" || a.get("presets", "1", "rule_count") != "3" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("t", "GET", agent+"/policy/presets/aggressive", ""); a.get("policy", "purge_expired_after") != "365d" {
		t.Errorf("%s", a.text)
	}
	w.ok("t", "POST", agent+"/policy/preset", `{"name":"balanced"}`)
	if a := w.ok("t", "GET", agent+"/policy", ""); a.get("policy", "retention", "artifact") != "180d" {
		t.Errorf("%s", a.text)
	}
	// An agent that is erased leaves no policy.
	w.ok("t", "POST", "/api/v2/unhold", `{"memory_id":"`+held+`"}`)
	w.ok("t", "POST", "/api/v2/erase", `{"agent_id":"bot"}`)
	w.remember("t", "bot", "a new one of that name")
	if a := w.ok("t", "GET", agent+"/policy", ""); a.get("is_empty") != "true" {
		t.Errorf("after an erasure: %s", a.text)
	}
}

func TestExpiryPoliciesAreChecked(t *testing.T) {
	w := newWorld(t)
	w.remember("t", "bot", "something")
	const agent = "/api/v2/agents/bot"
	many := strings.Repeat(`{"name":"r"},`, 21)
	for _, c := range []struct {
		token, method, path, body string
		status                    int
	}{
		{"t", "PUT", agent + "/policy", `{"retention":{"nonsense":"1d"}}`, 422},
		{"t", "PUT", agent + "/policy", `{"retention":{"fact":"soon"}}`, 422},
		{"t", "PUT", agent + "/policy", `{"retention":{"fact":"0d"}}`, 422},
		{"t", "PUT", agent + "/policy", `{"retention":{"fact":"999999999y"}}`, 422},
		{"t", "PUT", agent + "/policy", `{"retention":[]}`, 422},
		{"t", "PUT", agent + "/policy", `{"purge_expired_after":"-1d"}`, 422},
		{"t", "PUT", agent + "/policy", `{"rules":[{"name":"two words"}]}`, 422},
		{"t", "PUT", agent + "/policy", `{"rules":[{"name":"a"},{"name":"a"}]}`, 422},
		{"t", "PUT", agent + "/policy", `{"rules":[{"name":"a","match":{"type":["nonsense"]}}]}`, 422},
		{"t", "PUT", agent + "/policy", `{"rules":[{"name":"a","match":{"confidence_below":2}}]}`, 422},
		{"t", "PUT", agent + "/policy", `{"rules":[` + strings.TrimSuffix(many, ",") + `]}`, 422},
		{"t", "POST", agent + "/policy/preset", `{"name":"none"}`, 404},
		{"t", "GET", agent + "/policy/presets/none", "", 404},
		{"t", "GET", "/api/v2/agents/nobody/policy", "", 404},
		{"t", "POST", agent + "/policy/apply", `{"dry_run":"yes"}`, 422},
		{"other", "GET", agent + "/policy", "", 404},
		{"t/another", "PUT", agent + "/policy", `{}`, 403},
		{"", "GET", agent + "/policy", "", 401},
	} {
		if a := w.do(c.token, c.method, c.path, c.body); a.status != c.status {
			t.Errorf("%s %s %.60s: %d %s", c.method, c.path, c.body, a.status, fmt.Sprint(a.text))
		}
	}
}
