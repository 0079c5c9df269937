package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestRemember(t *testing.T) {
	w := newWorld(t)
	a := w.ok("t//sess-1", "POST", "/api/v2/agents/bot/remember", `{"content":"Alice prefers green tea","type":null,"tags":[" drink "],"title":null}`)
	for member, want := range map[string]string{
		"agent_id": "bot", "session_id": "sess-1", "namespace": "memanto_agent_bot", "status": "success", "provenance": "explicit_statement",
		"confidence": "0.8", "type": "preference",
	} {
		if got := a.get(member); got != want {
			t.Errorf("%s is %q, want %q", member, got, want)
		}
	}
	m := w.ok("t", "GET", "/api/v2/agents/bot/memories/"+a.get("memory_id"), "")
	for member, want := range map[string]string{
		"id": a.get("memory_id"), "title": "Alice prefers green tea", "content": "Alice prefers green tea", "type": "preference",
		"text":       "[PREFERENCE] Alice prefers green tea\n\nAlice prefers green tea\n\nTags: drink",
		"confidence": "0.8", "status": "active", "tags": `["drink"]`, "created_at": "2026-05-07T12:00:00.000000+00:00",
		"updated_at": "2026-05-07T12:00:00.000000+00:00", "expired_at": "null", "expired_by": "null", "actor_id": "bot",
		"source": "agent", "source_ref": "null", "agent_id": "bot", "score": "null", "provenance": "explicit_statement", "change_type": "null",
	} {
		if got := m.get(member); got != want {
			t.Errorf("%s is %q, want %q", member, got, want)
		}
	}
	long := strings.Repeat("é", 10_000)
	id := w.remember("t", "bot", long)
	if got := w.ok("t", "GET", "/api/v2/agents/bot/memories/"+id, "").get("title"); got != strings.Repeat("é", 50)+"..." {
		t.Errorf("title %q", got)
	}
}

func TestRememberRefuses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ body, loc string }{
		{`{}`, "content"}, {`{"content":null}`, "content"}, {`{"content":5}`, "content"}, {`{"content":" \n\t"}`, "content"},
		{`{"content":"` + strings.Repeat("é", 10_001) + `"}`, "content"},
		{`{"content":"x","type":"Fact"}`, "type"}, {`{"content":"x","title":"` + strings.Repeat("x", 101) + `"}`, "title"},
		{`{"content":"x","confidence":1.1}`, "confidence"}, {`{"content":"x","confidence":-0.1}`, "confidence"},
		{`{"content":"x","confidence":null}`, "confidence"}, {`{"content":"x","confidence":true}`, "confidence"},
		{`{"content":"x","tags":"a"}`, "tags"}, {`{"content":"x","tags":[""]}`, "0"}, {`{"content":"x","tags":["a\nb"]}`, "0"},
		{`{"content":"x","tags":["#a"]}`, "0"}, {`{"content":"x","tags":[null]}`, "0"},
		{`{"content":"x","tags":["` + strings.Repeat("a", 65) + `"]}`, "0"},
		{`{"content":"x","tags":[` + strings.Repeat(`"a",`, 20) + `"a"]}`, "tags"},
		{`{"content":"x","source":""}`, "source"}, {`{"content":"x","source":"a b"}`, "source"}, {`{"content":"x","source":null}`, "source"},
		{`{"content":"x","provenance":"rumour"}`, "provenance"}, {`{"content":"x","status":"gone"}`, "status"},
		{`{"content":"x","status":"expired"}`, "body"}, {`{"content":"x","expired_at":"tomorrow"}`, "expired_at"},
	} {
		a := w.do("t", "POST", "/api/v2/agents/bot/remember", c.body)
		if a.status != 422 || !strings.Contains(a.text, c.loc+"]") && !strings.Contains(a.text, `"`+c.loc+`"]`) {
			t.Errorf("%.80s: %d %s", c.body, a.status, a.text)
		}
	}
	for _, agent := range []string{"a.b", "a%20b", "a%2Fb", strings.Repeat("a", 129), "%C3%A9"} {
		if a := w.do("t", "POST", "/api/v2/agents/"+agent+"/remember", `{"content":"x"}`); a.status != 422 {
			t.Errorf("agent %s: %d", agent, a.status)
		}
	}
	if got := w.ok("t", "GET", "/api/v2/agents", "").get("count"); got != "0" {
		t.Errorf("%s agents were made by what was refused", got)
	}
}

func TestBatchRemember(t *testing.T) {
	w := newWorld(t)
	a := w.ok("t", "POST", "/api/v2/agents/bot/batch-remember",
		`{"memories":[{"content":"one"},{"content":"two","status":"expired","expired_at":"2026-01-01T00:00:00Z","expired_by":"me"}]}`)
	if a.get("total_submitted") != "2" || a.get("successful") != "2" || a.get("failed") != "0" || a.get("results", "1", "status") != "success" {
		t.Errorf("%s", a.text)
	}
	m := w.ok("t", "GET", "/api/v2/agents/bot/memories/"+a.get("results", "1", "id"), "")
	if m.get("status") != "expired" || m.get("expired_by") != "me" || m.get("expired_at") != "2026-01-01T00:00:00.000000+00:00" {
		t.Errorf("%s", m.text)
	}
	for body, status := range map[string]int{
		`{"memories":[]}`: 422, `{"memories":null}`: 422, `{}`: 422, `{"memories":[5]}`: 422,
		`{"memories":[` + strings.Repeat(`{"content":"x"},`, 100) + `{"content":"x"}]}`:      422,
		`{"memories":[` + strings.Repeat(`{"content":"batched"},`, 99) + `{"content":"x"}]}`: 200,
		`{"memories":[{"content":"never stored"},{"content":""}]}`:                           422,
	} {
		if a := w.do("t", "POST", "/api/v2/agents/bot/batch-remember", body); a.status != status {
			t.Errorf("%.50s: %d, want %d", body, a.status, status)
		}
	}
	if got := w.recall("t", "bot", `{"query":"stored"}`); got != "" {
		t.Errorf("half a batch was stored: %q", got)
	}
}

func TestRecall(t *testing.T) {
	w := newWorld(t)
	w.ok("t", "POST", "/api/v2/agents/bot/remember", `{"content":"Alice drinks green tea","type":"preference","tags":["drink","home"],"confidence":0.6}`)
	w.now = epoch.AddDate(0, 0, 1)
	w.ok("t", "POST", "/api/v2/agents/bot/remember", `{"content":"Alice drinks coffee at work","type":"fact","tags":["drink"]}`)
	w.ok("t", "POST", "/api/v2/agents/bot/batch-remember", `{"memories":[{"content":"Alice drinks cocoa","type":"event","status":"expired","expired_at":"2026-05-08","expired_by":"me"}]}`)
	w.remember("t", "other", "Alice drinks with the other agent")
	const tea, coffee, cocoa = "Alice drinks green tea", "Alice drinks coffee at work", "Alice drinks cocoa"
	for _, c := range []struct{ body, want string }{
		{`{"query":"green tea"}`, tea},
		{`{"query":"What did Alice drink at work?","limit":1}`, coffee},
		{`{"query":"drink","type":["preference"]}`, tea},
		{`{"query":"drink tea","type":["preference","fact"],"tags":["drink"]}`, tea + "|" + coffee},
		{`{"query":"drink","tags":["drink","home"]}`, tea},
		{`{"query":"drink","tags":["none"]}`, ""},
		{`{"query":"drink","status":"expired"}`, cocoa},
		{`{"query":"drink coffee","status":"active"}`, coffee + "|" + tea},
		{`{"query":"drink","created_before":"2026-05-07"}`, tea},
		{`{"query":"drink","created_after":"2026-05-08","status":"active"}`, coffee},
		{`{"query":"drink","created_after":"2026-05-07T12:00:00Z","created_before":"2026-05-07T12:00:00Z"}`, tea},
		{`{"query":"drink","min_confidence":0.6,"status":"active"}`, coffee + "|" + tea},
		{`{"query":"drink","min_confidence":0.61,"status":"active"}`, coffee},
		{`{"query":"drink","min_confidence":1}`, ""},
		{`{"query":"drink","min_confidence":null,"status":"expired"}`, cocoa},
		{`{"query":"green tea","min_similarity":0.5}`, tea},
		{`{"query":"green quantum physics theory","min_similarity":0.9}`, ""},
		{`{"query":"\"green\" OR (tea)*","limit":null,"type":null,"tags":null}`, tea},
	} {
		if got := w.recall("t", "bot", c.body); got != c.want {
			t.Errorf("%s: got %q, want %q", c.body, got, c.want)
		}
	}
	a := w.ok("t", "POST", "/api/v2/agents/bot/recall", `{"query":"green tea"}`)
	if a.get("count") != "1" || a.get("query") != "green tea" || a.get("memories", "0", "score") == "null" {
		t.Errorf("%s", a.text)
	}
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{}`, 422}, {`{"query":""}`, 422}, {`{"query":" "}`, 422}, {`{"query":"x","limit":0}`, 422}, {`{"query":"x","limit":1.5}`, 422},
		{`{"query":"x","limit":101}`, 400}, {`{"query":"x","min_similarity":2}`, 422}, {`{"query":"x","status":null}`, 422}, {`{"query":"x","min_confidence":1.1}`, 422}, {`{"query":"x","min_confidence":"high"}`, 422},
		{`{"query":"x","type":["nonsense"]}`, 422}, {`{"query":"x","tags":["a b"]}`, 422}, {`{"query":"x","created_after":"soon"}`, 422},
		{`{"query":"` + strings.Repeat("x", 1001) + `"}`, 413},
		{`{"query":"x","type":[` + strings.Repeat(`"fact",`, 50) + `"fact"]}`, 422},
	} {
		if a := w.do("t", "POST", "/api/v2/agents/bot/recall", c.body); a.status != c.status {
			t.Errorf("%.60s: %d, want %d", c.body, a.status, c.status)
		}
	}
}

func TestRecallRecent(t *testing.T) {
	w := newWorld(t)
	for i, text := range []string{"one", "two", "three"} {
		w.now = epoch.Add(time.Duration(i) * time.Hour)
		w.remember("t", "bot", text)
	}
	a := w.ok("t", "POST", "/api/v2/agents/bot/recall/recent", `{"limit":2}`)
	if a.contents() != "three|two" || a.get("count") != "2" || a.get("total_available") != "3" || a.get("temporal_mode") != "recent" {
		t.Errorf("%s", a.text)
	}
	if got := w.ok("t", "POST", "/api/v2/agents/bot/recall/recent", `{"created_before":"2026-05-07T12:30:00"}`).contents(); got != "one" {
		t.Errorf("got %q", got)
	}
	if a := w.do("t", "POST", "/api/v2/agents/bot/recall/recent", `{"limit":500}`); a.status != 400 {
		t.Errorf("status %d", a.status)
	}
}

func TestEditAndDelete(t *testing.T) {
	w := newWorld(t)
	id := w.remember("t", "bot", "old words")
	path := "/api/v2/agents/bot/memories/" + id
	w.now = epoch.Add(time.Hour)
	a := w.ok("t", "PATCH", path, `{"content":"new words","tags":["x"],"confidence":1,"type":"event","source":"cursor","title":null}`)
	if a.get("updated_fields") != `["content","type","confidence","tags","source"]` || a.get("memory_id") != id {
		t.Errorf("%s", a.text)
	}
	m := w.ok("t", "GET", path, "")
	if m.get("content") != "new words" || m.get("title") != "new words" || m.get("updated_at") != "2026-05-07T13:00:00.000000+00:00" ||
		m.get("created_at") != "2026-05-07T12:00:00.000000+00:00" || m.get("tags") != `["x"]` || m.get("source") != "cursor" {
		t.Errorf("%s", m.text)
	}
	if got := w.recall("t", "bot", `{"query":"old"}`) + w.recall("t", "bot", `{"query":"new"}`); got != "new words" {
		t.Errorf("recall: %q", got)
	}
	for body, status := range map[string]int{
		`{}`: 400, `{"content":null}`: 400, `{"content":"  "}`: 400, `{"confidence":3}`: 422, `{"type":"x"}`: 422, `{"tags":["a,b"]}`: 422,
		`{"title":"` + strings.Repeat("x", 101) + `"}`: 422,
	} {
		if a := w.do("t", "PATCH", path, body); a.status != status {
			t.Errorf("%.40s: %d, want %d", body, a.status, status)
		}
	}
	for _, where := range []struct{ token, path string }{
		{"t", "/api/v2/agents/other/memories/" + id}, {"t", "/api/v2/agents/bot/memories/none"}, {"b", path},
	} {
		for method, body := range map[string]string{"GET": "", "PATCH": `{"content":"x"}`, "DELETE": ""} {
			if a := w.do(where.token, method, where.path, body); a.status != 404 {
				t.Errorf("%s %s of %s: %d", method, where.path, where.token, a.status)
			}
		}
	}
	if a := w.ok("t", "DELETE", path, ""); a.get("status") != "deleted" || a.get("memory_id") != id {
		t.Errorf("%s", a.text)
	}
	if a := w.do("t", "DELETE", path, ""); a.status != 404 {
		t.Errorf("deleted twice: %d", a.status)
	}
	if got := w.recall("t", "bot", `{"query":"new words"}`); got != "" {
		t.Errorf("deleted, but recalled: %q", got)
	}
}

func TestAgents(t *testing.T) {
	w := newWorld(t)
	a := w.do("t", "POST", "/api/v2/agents", `{"agent_id":"bot","description":"helps"}`)
	if a.status != 201 || a.get("pattern") != "support" || a.get("namespace") != "memanto_agent_bot" || a.get("status") != "ready" ||
		a.get("description") != "helps" || a.get("memory_count") != "0" || a.get("last_session") != "null" {
		t.Errorf("%d %s", a.status, a.text)
	}
	for body, status := range map[string]int{
		`{"agent_id":"bot"}`: 409, `{"agent_id":"a b"}`: 422, `{"agent_id":""}`: 422, `{}`: 422, `{"agent_id":"x","pattern":"y"}`: 422,
		`{"agent_id":"../x"}`: 422, `{"agent_id":"tool_1","pattern":"tool"}`: 201,
	} {
		if a := w.do("t", "POST", "/api/v2/agents", body); a.status != status {
			t.Errorf("%s: %d, want %d", body, a.status, status)
		}
	}
	w.remember("t", "bot", "kept words")
	if got := w.ok("t", "GET", "/api/v2/agents/bot", "").get("memory_count"); got != "1" {
		t.Errorf("count %s", got)
	}
	if got := w.ok("t", "GET", "/api/v2/agents/bot?include_counts=false", "").get("memory_count"); got != "0" {
		t.Errorf("count %s", got)
	}
	if a := w.do("t", "GET", "/api/v2/agents?include_counts=maybe", ""); a.status != 422 {
		t.Errorf("status %d", a.status)
	}
	if a := w.ok("t", "GET", "/api/v2/agents", ""); a.get("count") != "2" || a.get("warnings") != "[]" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("b", "GET", "/api/v2/agents", ""); a.get("count") != "0" || a.get("agents") != "[]" {
		t.Errorf("tenant b: %s", a.text)
	}
	// Deleted without its memories, they are out of reach until it is created again.
	w.ok("t", "DELETE", "/api/v2/agents/bot", "")
	if a := w.do("t", "GET", "/api/v2/agents/bot", ""); a.status != 404 {
		t.Errorf("status %d", a.status)
	}
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "" {
		t.Errorf("recalled %q", got)
	}
	w.do("t", "POST", "/api/v2/agents", `{"agent_id":"bot"}`)
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "kept words" {
		t.Errorf("recalled %q", got)
	}
	w.ok("t", "DELETE", "/api/v2/agents/bot?delete-backup-too=true", "")
	w.do("t", "POST", "/api/v2/agents", `{"agent_id":"bot"}`)
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "" {
		t.Errorf("recalled %q", got)
	}
	if a := w.do("t", "DELETE", "/api/v2/agents/none", ""); a.status != 404 {
		t.Errorf("status %d", a.status)
	}
}

// TestSessionsAreConfinedToTheirAgent tries every route with a token that is bound to an agent.
func TestSessionsAreConfinedToTheirAgent(t *testing.T) {
	w := newWorld(t)
	mine, other := w.remember("t", "bot", "mine words"), w.remember("t", "other", "other words")
	const bound = "t/bot/s1"
	for _, r := range routes {
		if !strings.Contains(r.path, "{agent_id}") {
			continue
		}
		path := strings.NewReplacer("{agent_id}", "other", "{memory_id}", other).Replace(r.path)
		if a := w.do(bound, r.method, path, `{"content":"x","query":"x"}`); a.status != 403 {
			t.Errorf("%s %s: %d", r.method, path, a.status)
		}
	}
	if a := w.do(bound, "POST", "/api/v2/agents", `{"agent_id":"third"}`); a.status != 403 {
		t.Errorf("created another agent: %d", a.status)
	}
	if a := w.ok(bound, "GET", "/api/v2/agents", ""); a.get("count") != "1" || a.get("agents", "0", "agent_id") != "bot" {
		t.Errorf("%s", a.text)
	}
	if got := w.recall(bound, "bot", `{"query":"words"}`); got != "mine words" {
		t.Errorf("recalled %q", got)
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/memories/" + other + "/", ""}, {"PUT", "/v1/memories/" + other + "/", `{"text":"x"}`},
		{"DELETE", "/v1/memories/" + other + "/", ""}, {"GET", "/v1/memories/" + other + "/history/", ""},
		{"PUT", "/v1/batch/", `{"memories":[{"memory_id":"` + other + `","text":"x"}]}`},
		{"DELETE", "/v1/batch/", `{"memories":[{"memory_id":"` + mine + `"},{"memory_id":"` + other + `"}]}`},
	} {
		if a := w.do(bound, c.method, c.path, c.body); a.status != 404 {
			t.Errorf("%s %s: %d", c.method, c.path, a.status)
		}
	}
	if a := w.do(bound, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"x"}],"agent_id":"other"}`); a.status != 403 {
		t.Errorf("added for another agent: %d", a.status)
	}
	a := w.ok(bound, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"added words"}],"user_id":"u"}`)
	if a.get("results", "0", "agent_id") != "bot" {
		t.Errorf("%s", a.text)
	}
	for _, body := range []string{`{"query":"words"}`, `{"query":"words","filters":{"OR":[{"agent_id":"other"},{"agent_id":"bot"}]}}`, `{"query":"words","filters":{"NOT":{"user_id":"x"}}}`} {
		if a := w.ok(bound, "POST", "/v3/memories/search/", body); strings.Contains(a.text, "other words") || !strings.Contains(a.text, "mine words") {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	if a := w.ok(bound, "POST", "/v3/memories/", `{}`); a.get("count") != "2" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok(bound, "GET", "/v1/entities/", ""); strings.Contains(a.text, "other") {
		t.Errorf("%s", a.text)
	}
	w.ok(bound, "DELETE", "/v2/entities/agent/other/", "")
	w.ok(bound, "DELETE", "/v1/memories/?agent_id=*", "")
	if got := w.recall("t", "other", `{"query":"words"}`); got != "other words" {
		t.Errorf("another agent's memory is %q", got)
	}
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "" {
		t.Errorf("left: %q", got)
	}
}

func TestTenantsAreApart(t *testing.T) {
	w := newWorld(t)
	id := w.remember("a", "bot", "words of a")
	w.remember("b", "bot", "words of b")
	for tenant, want := range map[string]string{"a": "words of a", "b": "words of b", "c": ""} {
		if got := w.recall(tenant, "bot", `{"query":"words"}`); got != want {
			t.Errorf("tenant %s recalls %q", tenant, got)
		}
		if got := w.ok(tenant, "POST", "/v3/memories/search/", `{"query":"words","filters":{"agent_id":"*"}}`).text; want != "" && !strings.Contains(got, want) || strings.Count(got, "words of") > 2 {
			t.Errorf("tenant %s finds %s", tenant, got)
		}
	}
	w.ok("b", "DELETE", "/v1/memories/?agent_id=bot", "")
	if a := w.do("a", "GET", "/api/v2/agents/bot/memories/"+id, ""); a.status != 200 {
		t.Errorf("tenant b deleted a memory of a: %d", a.status)
	}
}

func TestLogsHoldNoContent(t *testing.T) {
	w := newWorld(t)
	logged := w.logJSON()
	w.remember("t", "bot", "canary-content")
	w.recall("t", "bot", `{"query":"canary-query"}`)
	w.do("t", "POST", "/api/v2/agents/bot/recall", `{"query":"canary-bad`)
	w.do("t", "GET", "/api/v2/agents/canary-path/memories/canary-id?canary=query", "")
	w.do("canary-token", "GET", "/v1/ping/", "")
	w.verify = func([]string) (Identity, error) { return Identity{}, json.Unmarshal([]byte("x"), new(int)) }
	w.do("canary-bad-token", "GET", "/v1/ping/", "")
	text := logged()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if strings.Contains(strings.ReplaceAll(text, `"tenant":"canary-token"`, ""), "canary") {
		t.Errorf("content in the log:\n%s", text)
	}
	if !strings.Contains(text, `"route":"POST /api/v2/agents/{agent_id}/remember","status":200`) || !strings.Contains(text, `"request_id":"req-1"`) {
		t.Errorf("log says too little:\n%s", text)
	}
}
