package api

import (
	"strings"
	"testing"
	"time"
)

func TestExpireAndRestore(t *testing.T) {
	w := newWorld(t)
	id := w.remember("t", "bot", "The office is in Lisbon")
	path := "/api/v2/agents/bot/memories/" + id
	w.now = epoch.Add(time.Hour)
	a := w.ok("t//s1", "POST", path+"/expire", `{"reason":"moved"}`)
	for member, want := range map[string]string{
		"agent_id": "bot", "session_id": "s1", "memory_id": id, "status": "expired",
		"expired_at": "2026-05-07T13:00:00.000000+00:00", "expired_by": "moved",
	} {
		if got := a.get(member); got != want {
			t.Errorf("%s is %q, want %q", member, got, want)
		}
	}
	if got := w.recall("t", "bot", `{"query":"office","status":"active"}`); got != "" {
		t.Errorf("recalled as active: %q", got)
	}
	if got := w.recall("t", "bot", `{"query":"office"}`); got != "The office is in Lisbon" {
		t.Errorf("not recalled at all: %q", got)
	}
	if a := w.ok("t", "POST", path+"/restore", ""); a.get("status") != "active" || a.header.Get("ETag") != `"3"` {
		t.Errorf("%v %s", a.header, a.text)
	}
	if got := w.recall("t", "bot", `{"query":"office","status":"active"}`); got != "The office is in Lisbon" {
		t.Errorf("not recalled as active: %q", got)
	}
	if got := w.ok("t", "POST", path+"/expire", "").get("expired_by"); got != "manual" {
		t.Errorf("without a reason it is %q", got)
	}
	for _, c := range []struct {
		token, path, body string
		status            int
	}{
		{"t", path + "/expire", `{"reason":"two words"}`, 422},
		{"t", "/api/v2/agents/bot/memories/none/expire", "", 404},
		{"t", "/api/v2/agents/bot/memories/none/restore", "", 404},
		{"other", path + "/expire", "", 404},
		{"t/another", path + "/expire", "", 403},
	} {
		if a := w.do(c.token, "POST", c.path, c.body); a.status != c.status {
			t.Errorf("%s as %s: %d %s", c.path, c.token, a.status, a.text)
		}
	}
	w.request = nil
}

func TestOperationsThatNeedALanguageModel(t *testing.T) {
	w := newWorld(t)
	seen := 0
	for _, r := range routes {
		if !r.own || r.path == mcpPath {
			continue
		}
		seen++
		path := strings.NewReplacer("{agent_id}", "bot", "{entity_type}", "user", "{entity_name}", "alice").Replace(r.path)
		if a := w.do("t", r.method, path, ""); a.status != 501 || a.get("type") != "urn:memgate:problem:needs-language-model" {
			t.Errorf("%s %s: %d %s", r.method, path, a.status, a.text)
		}
		if a := w.do("", r.method, path, ""); a.status != 401 {
			t.Errorf("%s %s without a token: %d", r.method, path, a.status)
		}
	}
	if seen != 10 {
		t.Errorf("%d operations", seen)
	}
}

func TestSelfHostedMem0(t *testing.T) {
	w := newWorld(t)
	added := w.ok("t", "POST", "/memories", `{"messages":[{"role":"user","content":"likes tea"}],"user_id":"alice","infer":true}`)
	id := added.get("results", "0", "id")
	w.ok("t", "POST", "/memories", `{"messages":[{"role":"user","content":"likes rain"}],"user_id":"bob","app_id":"x"}`)
	w.ok("t", "POST", "/memories", `{"messages":[{"role":"user","content":"is over"}],"user_id":"alice","expiration_date":"2026-05-01"}`)
	for path, want := range map[string]int{
		"/memories": 2, "/memories?user_id=alice": 1, "/memories?user_id=nobody": 0, "/memories?top_k=1": 1,
		"/memories?user_id=alice&show_expired=true": 2, "/memories?user_id=alice&agent_id=x": 0,
	} {
		if got := w.ok("t", "GET", path, "").body["results"].([]any); len(got) != want {
			t.Errorf("%s: %d memories, want %d", path, len(got), want)
		}
	}
	for _, path := range []string{"/memories?user_id=", "/memories?user_id=a&user_id=b", "/memories?top_k=x", "/memories?show_expired=x"} {
		if a := w.do("t", "GET", path, ""); a.status != 422 {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	if got := w.ok("t", "POST", "/search", `{"query":"tea","user_id":"alice","top_k":5}`).get("results", "0", "memory"); got != "likes tea" {
		t.Errorf("search: %q", got)
	}
	if got := w.ok("t", "PUT", "/memories/"+id, `{"text":"likes coffee"}`).get("message"); got != "Memory updated successfully!" {
		t.Errorf("update: %q", got)
	}
	if got := w.ok("t", "GET", "/memories/"+id, "").get("memory"); got != "likes coffee" {
		t.Errorf("get: %q", got)
	}
	if got := w.ok("t", "GET", "/memories/"+id+"/history", "").text; strings.Count(got, `"event"`) != 2 {
		t.Errorf("history: %s", got)
	}
	if got := w.ok("t", "GET", "/entities", "").text; !strings.Contains(got, `{"id":"alice","type":"user","total_memories":2,`) || strings.Contains(got, "app") {
		t.Errorf("entities: %s", got)
	}
	if a := w.do("other", "GET", "/memories/"+id, ""); a.status != 404 {
		t.Errorf("another tenant reads it: %d", a.status)
	}
	w.ok("t", "DELETE", "/memories/"+id, "")
	w.ok("t", "DELETE", "/entities/user/alice", "")
	w.ok("t", "DELETE", "/memories?user_id=bob", "")
	if got := w.ok("t", "GET", "/memories?show_expired=1", "").body["results"].([]any); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
