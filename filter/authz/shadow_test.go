package authz

import (
	"strings"
	"testing"
)

func TestFilterShadow(t *testing.T) {
	for list, want := range map[string]int{
		"":                       0,
		"pii:not_rewritten":      1,
		"content:malformed-json": 1,
		"content:body-too-large,pii:response-encoded,headers:not_set": 3,
		"tenant:tenant-mismatch,access:agent-mismatch":                2,
		// What the filter cannot have said.
		"tenant:agent-mismatch":     0,
		"access:insufficient_scope": 0,
		"headers:not_rewritten":     0,
		"content:not_rewritten":     0,
		"content:no-such-problem":   0,
		"quota:rate_limited":        0,
		"pii":                       0,
		"pii:not_rewritten,":        0,
		"pii:not_rewritten,x:y":     0,
		"pii:ann@example.com":       0,
		strings.Repeat("headers:not_set,", 20) + "headers:not_set": 0,
	} {
		got := filterShadow(list)
		if len(got) != want {
			t.Errorf("%.60q: %d entries, want %d", list, len(got), want)
		}
		var again []string
		for i := range got {
			again = append(again, got[i].entry())
		}
		if want > 0 && strings.Join(again, ",") != list {
			t.Errorf("%q becomes %q", list, again)
		}
	}
}
