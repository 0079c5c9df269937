package edge

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// send sends JSON with one more header.
func send(t *testing.T, token, method, path, body, name, value string) *harness.Response {
	t.Helper()
	header := map[string]string{"Authorization": "Bearer " + token}
	if body != "" {
		header["Content-Type"] = "application/json"
	}
	if name != "" {
		header[name] = value
	}
	return stack.Do(t, harness.Request{Method: method, Path: path, Header: header, Body: body})
}

// idOf returns the id of a memory that was remembered.
func idOf(t *testing.T, r *harness.Response) string {
	t.Helper()
	var stored struct {
		ID string `json:"memory_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &stored); err != nil || r.Status != 200 || stored.ID == "" {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	return stored.ID
}

// Entity tags of the service pass the edge, though it rewrites bodies: they name
// the version that is stored, not the bytes that are shown.
func TestVersionsOfMemories(t *testing.T) {
	harness.Needs(t, harness.HeldHeaders) // a streamed answer has no entity tag
	token := stack.Token("versions", scopes)
	id := idOf(t, send(t, token, "POST", "/api/v2/agents/bot/remember", `{"content":"ask jane.doe@example.com"}`, "", ""))
	path := "/api/v2/agents/bot/memories/" + id
	got := send(t, token, "GET", path, "", "", "")
	first := got.Header.Get("ETag")
	if got.Status != 200 || first != `"1"` || !strings.Contains(got.Body, "[EMAIL_ADDRESS]") {
		t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
	}
	changed := send(t, token, "PATCH", path, `{"content":"ask john"}`, "If-Match", first)
	second := changed.Header.Get("ETag")
	if changed.Status != 200 || second != `"2"` {
		t.Fatalf("%d %q %s", changed.Status, second, changed.Body)
	}
	for name, r := range map[string]*harness.Response{
		"a change of what was": send(t, token, "PATCH", path, `{"content":"ask nobody"}`, "If-Match", first),
		"a deletion of it":     send(t, token, "DELETE", path, "", "If-Match", first),
		"a weak tag":           send(t, token, "DELETE", path, "", "If-Match", "W/"+second),
	} {
		if slug := problemOf(t, r); r.Status != 412 || slug != "changed-meanwhile" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if r := send(t, token, "GET", path, "", "", ""); !strings.Contains(r.Body, "ask john") || r.Header.Get("ETag") != second {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	if r := send(t, token, "DELETE", path, "", "If-Match", second); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// Of many that say the same under one key, one is carried out, and all get its answer.
func TestIdempotencyKeys(t *testing.T) {
	const path, body = "/api/v2/agents/bot/remember", `{"content":"pay the invoice once"}`
	token := stack.Token("idempotency", scopes)
	answers := make([]*harness.Response, 8)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = send(t, token, "POST", path, body, "Idempotency-Key", "key-1") })
	}
	all.Wait()
	ids, replays := map[string]bool{}, 0
	for _, r := range answers {
		ids[idOf(t, r)] = true
		if r.Header.Get("Idempotency-Replayed") == "true" {
			replays++
		}
	}
	if len(ids) != 1 || replays != len(answers)-1 {
		t.Errorf("%d memories, %d replays", len(ids), replays)
	}
	count := func(token string) int {
		var list struct {
			Total int `json:"total_available"`
		}
		r := send(t, token, "POST", "/api/v2/agents/bot/recall/recent", `{}`, "", "")
		if err := json.Unmarshal([]byte(r.Body), &list); err != nil {
			t.Fatal(err)
		}
		return list.Total
	}
	if n := count(token); n != 1 {
		t.Errorf("%d memories are stored", n)
	}
	reused := send(t, token, "POST", path, `{"content":"something else"}`, "Idempotency-Key", "key-1")
	if slug := problemOf(t, reused); reused.Status != 422 || slug != "idempotency-key-reused" {
		t.Errorf("%d %s", reused.Status, reused.Body)
	}
	// The key is the caller's own: another tenant's means another request.
	other := stack.Token("idempotency-2", scopes)
	if id := idOf(t, send(t, other, "POST", path, body, "Idempotency-Key", "key-1")); ids[id] || count(other) != 1 {
		t.Errorf("another tenant got %s", id)
	}
}
