package pii

import (
	"strings"
	"testing"
)

// TestPseudonymsHideNothing: nothing is found in a pseudonym, whatever its letters are.
func TestNothingIsFoundInPseudonyms(t *testing.T) {
	acme := keysOf(t, "acme", 'a')
	response := pseudonymized(Config{Policy: policyOf(Redact), Lenient: true}, nil, false)
	request := pseudonymized(Config{Policy: policyOf(Redact)}, acme, false)
	found := 0
	for i := range 3000 {
		token := pseudonym(t, acme, EmailAddress, strings.Repeat("x", i%40)+string(rune('a'+i%26))+"@example.com")
		if i%2 == 1 {
			token = pseudonym(t, acme, GitHubToken, strings.Repeat("y", 1+i%300)+string(rune('a'+i%26)))
		}
		in := `{"password":"` + token + `","text":"secret key ` + token + ` "}`
		found += len(Scan(nil, []byte("password: "+token)))
		for name, r := range map[string]*Rewriter{"response": response, "request": request} {
			for _, n := range []int{0, 7} {
				if got, err := rewriteCut(r, in, n); err != nil || got != in {
					t.Fatalf("%s: %q became %q, %v", name, in, got, err)
				}
			}
		}
	}
	t.Logf("%d are found without it", found)
	// What only looks like one hides nothing in a request.
	hidden := "mgpii0a0ay" + strings.Repeat("a", 40)
	if _, end := pseudonymAt([]byte(hidden)); end == 0 {
		t.Fatal("it does not look like one")
	}
}
