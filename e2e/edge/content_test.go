package edge

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

func TestContentRules(t *testing.T) {
	token := stack.Token("content", scopes)
	makeAgent(t, token, "c")
	send := func(contentType, encoding, body string) *harness.Response {
		header := map[string]string{"Authorization": "Bearer " + token, "Content-Type": contentType}
		if encoding != "" {
			header["Content-Encoding"] = encoding
		}
		return stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/c/remember", Header: header, Body: body})
	}
	for name, c := range map[string]struct {
		r       *harness.Response
		status  int
		problem string
	}{
		"not JSON by type":    {send("text/plain", "", "hello"), 415, "unsupported-media-type"},
		"encoded":             {send("application/json", "gzip", "\x1f\x8b"), 415, "unsupported-encoding"},
		"not JSON":            {send("application/json", "", `{"content":`), 400, "malformed-json"},
		"two values":          {send("application/json", "", `{"content":"x"}{}`), 400, "malformed-json"},
		"too deep":            {send("application/json", "", strings.Repeat("[", 40)+strings.Repeat("]", 40)), 400, "too-deep"},
		"body too large":      {send("application/json", "", `{"content":"`+strings.Repeat("x ", 40<<10)+`"}`), 413, "body-too-large"},
		"content too large":   {send("application/json", "", `{"content":"`+strings.Repeat("x ", 6<<10)+`"}`), 413, "field-too-large"},
		"metadata too large":  {send("application/json", "", `{"content":"x","metadata":{"a":"`+strings.Repeat("x ", 3<<10)+`"}}`), 413, "field-too-large"},
		"large, but in bound": {send("application/json", "", `{"type":"fact","content":"`+strings.Repeat("word ", 1990)+`"}`), 200, ""},
	} {
		if c.r.Status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, c.r.Status, c.status, c.r.Body)
			continue
		}
		secure(t, c.r)
		if c.problem == "" {
			continue
		}
		if got := problemOf(t, c.r); got != c.problem {
			t.Errorf("%s: problem %s, want %s", name, got, c.problem)
		}
	}
}

// What is found in a request never reaches the service: neither a recall
// through the edge nor one at the service itself shows the original.
func TestRedaction(t *testing.T) {
	token := stack.Token("redaction", scopes)
	makeAgent(t, token, "r")
	originals := []string{"jane.doe@example.com", "4111 1111 1111 1111", "078-05-1121", "+1 415 555 0132", "GB82 WEST 1234 5698 7654 32", "203.0.113.77"}
	text := "Write to jane.doe@example.com, card 4111 1111 1111 1111, SSN 078-05-1121, call +1 415 555 0132, IBAN GB82 WEST 1234 5698 7654 32, host 203.0.113.77"
	r := stack.JSON(t, "POST", "/api/v2/agents/r/remember", token, `{"type":"fact","content":"`+text+`"}`)
	if r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	r = stack.JSON(t, "POST", "/api/v2/agents/r/recall", token, `{"query":"write card call host"}`)
	for _, marker := range []string{"[EMAIL_ADDRESS]", "[CREDIT_CARD]", "[US_SSN]", "[PHONE_NUMBER]", "[IBAN_CODE]", "[IP_ADDRESS]"} {
		if !strings.Contains(r.Body, marker) {
			t.Errorf("%s is missing: %s", marker, r.Body)
		}
	}
	held := stack.Held(t, "redaction", "POST", "/api/v2/agents/r/recall", `{"query":"write card call host"}`)
	for _, original := range originals {
		if strings.Contains(r.Body, original) || strings.Contains(held, original) {
			t.Errorf("%s reached the service", original)
		}
	}
	if !strings.Contains(held, "[EMAIL_ADDRESS]") {
		t.Fatalf("the service does not hold what was remembered: %s", held)
	}
}

// Users whose ids are e-mail addresses must stay apart, and be found and erased by
// these ids, although an address anywhere else is redacted. Redacted ids made
// one user of all, whose memories each could read and none could erase.
func TestEmailAddressesAsUserIDs(t *testing.T) {
	token := stack.Token("ids", scopes)
	add := func(user, text string) {
		t.Helper()
		r := stack.JSON(t, "POST", "/v3/memories/add/", token, `{"messages":[{"role":"user","content":"`+text+`"}],"user_id":"`+user+`"}`)
		if r.Status != 200 || !strings.Contains(r.Body, `"user_id":"`+user+`"`) {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	search := func(user string) string {
		t.Helper()
		r := stack.JSON(t, "POST", "/v3/memories/search/", token, `{"query":"favourite colour","filters":{"user_id":"`+user+`"}}`)
		if r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		return r.Body
	}
	add("alice@example.com", "my favourite colour is green, write to alice@example.com")
	add("bob@example.com", "my favourite colour is blue")
	if body := search("alice@example.com"); !strings.Contains(body, "green") || strings.Contains(body, "blue") || !strings.Contains(body, "write to [EMAIL_ADDRESS]") {
		t.Errorf("what Alice finds: %s", body)
	}
	if body := search("bob@example.com"); !strings.Contains(body, "blue") || strings.Contains(body, "green") {
		t.Errorf("what Bob finds: %s", body)
	}
	if r := stack.JSON(t, "GET", "/v1/entities/", token, ""); !strings.Contains(r.Body, "alice@example.com") {
		t.Errorf("users: %s", r.Body)
	}
	if r := stack.JSON(t, "DELETE", "/v1/memories/?user_id=alice%40example.com", token, ""); r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if body := search("alice@example.com"); strings.Contains(body, "green") {
		t.Errorf("after erasure: %s", body)
	}
	if body := search("bob@example.com"); !strings.Contains(body, "blue") {
		t.Errorf("what Bob finds after Alice's erasure: %s", body)
	}
}
