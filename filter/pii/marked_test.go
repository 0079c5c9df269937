package pii

import (
	"strings"
	"testing"
)

// An identifier stays, so that what was stored under it is found again; the same
// value anywhere else does not.
func TestIdentifiersAreLeftAlone(t *testing.T) {
	const a, red = "a@example.com", "[EMAIL_ADDRESS]"
	paths := []string{"user_id", "filters", "results[].user_id", "[].id"}
	for in, want := range map[string]string{
		`{"user_id":"A"}`:                                                                 `{"user_id":"A"}`,
		`{"user_id":"A","content":"A"}`:                                                   `{"user_id":"A","content":"R"}`,
		`{"content":"A","user_id":"A","x":"A"}`:                                           `{"content":"R","user_id":"A","x":"R"}`,
		`{"filters":{"AND":[{"user_id":"A"},["A"]],"A":1},"x":"A"}`:                       `{"filters":{"AND":[{"user_id":"A"},["A"]],"A":1},"x":"R"}`,
		`{"results":[{"user_id":"A","memory":"A"},{"memory":"A","user_id":"A"}],"y":"A"}`: `{"results":[{"user_id":"A","memory":"R"},{"memory":"R","user_id":"A"}],"y":"R"}`,
		`{"results":{"user_id":"A"}}`:                                                     `{"results":{"user_id":"R"}}`,
		`{"deep":{"user_id":"A"}}`:                                                        `{"deep":{"user_id":"R"}}`,
		`{"deep":{"filters":["A"]}}`:                                                      `{"deep":{"filters":["R"]}}`,
		`[{"id":"A","user_id":"A"}]`:                                                      `[{"id":"A","user_id":"R"}]`,
		`{"USER_ID":"A","User_Id":"A"}`:                                                   `{"USER_ID":"R","User_Id":"R"}`, // a right goes by the exact name
		`{"user\u005fid":"A","x":"A"}`:                                                    `{"user\u005fid":"A","x":"R"}`,
		`{"user_id":4111111111111111,"n":4111111111111111}`:                               `{"user_id":4111111111111111,"n":"[CREDIT_CARD]"}`,
		`{"user_id":["A",{"A":"A"}],"x":"A"}`:                                             `{"user_id":["A",{"A":"A"}],"x":"R"}`,
	} {
		in, want := strings.NewReplacer("\"A\"", `"`+a+`"`).Replace(in), strings.NewReplacer("\"A\"", `"`+a+`"`, "\"R\"", `"`+red+`"`).Replace(want)
		for _, format := range []Format{JSON, NDJSON} {
			text, expected := in, want
			if format == NDJSON { // each line has its own root
				text, expected = in+"\n"+in, want+"\n"+want
			}
			for cut := 0; cut <= len(text); cut++ {
				r := NewRewriter(Config{Format: format, Policy: everything(Redact), Identifiers: paths})
				if out, err := inTwo(r, text, cut); err != nil || out != expected {
					t.Fatalf("%s cut at %d: got %s, %v\nwant %s", text, cut, out, err, expected)
				}
			}
		}
	}
}

// everything is a policy with one action for all entities.
func everything(a Action) (p Policy) {
	for e := range p.Actions {
		p.Actions[e] = a
	}
	return p
}
