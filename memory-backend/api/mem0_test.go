package api

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// add adds one message for a user and returns the id.
func (w *world) add(user, content string, more string) string {
	w.t.Helper()
	a := w.ok("t", "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"`+content+`"}],"user_id":"`+user+`"`+more+`}`)
	return a.get("results", "0", "id")
}

func TestMem0Add(t *testing.T) {
	w := newWorld(t)
	a := w.ok("t", "POST", "/v3/memories/add/", `{"messages":[
		{"role":"system","content":"You are helpful."},
		{"role":"user","name":"Alice","content":"I live in Oslo"},
		{"role":"assistant","content":[{"type":"text","text":"Noted."},{"type":"text","text":"Thanks."}]}],
		"user_id":" alice ","agent_id":"travel agent","app_id":null,"metadata":{"big":12345678901234567890,"<":"&"},
		"timestamp":1577836800,"expiration_date":"2999-01-01","infer":true,"custom_categories":[{"x":"y"}]}`)
	if a.get("results", "2") != "null" {
		t.Errorf("the system's message was remembered: %s", a.text)
	}
	for member, want := range map[string]string{
		"event": "ADD", "memory": "I live in Oslo", "user_id": "alice", "agent_id": "travel agent", "app_id": "null", "run_id": "null",
		"actor_id": "Alice", "role": "user", "hash": "f9d34bf497fc5920704b9a7f8378b674", "categories": "[]",
		"created_at": "2020-01-01T00:00:00.000000+00:00", "updated_at": "2026-05-07T12:00:00.000000+00:00", "expiration_date": "2999-01-01",
	} {
		if got := a.get("results", "0", member); got != want {
			t.Errorf("%s is %q, want %q", member, got, want)
		}
	}
	if a.get("results", "1", "memory") != "Noted.\nThanks." || a.get("results", "0", "data", "memory") != "I live in Oslo" {
		t.Errorf("%s", a.text)
	}
	if m := w.ok("t", "GET", "/v1/memories/"+a.get("results", "0", "id")+"/", ""); !strings.Contains(m.text, `{"\u003c":"\u0026","big":12345678901234567890}`) {
		t.Errorf("metadata changed: %s", m.text)
	}
	big := strings.Repeat("x", 5000)
	for body, status := range map[string]int{
		`{"messages":[{"role":"user","content":"x"}]}`: 400,
		`{"user_id":"u"}`:                                           422,
		`{"messages":[],"user_id":"u"}`:                             422,
		`{"messages":"x","user_id":"u"}`:                            422,
		`{"messages":[{"role":"user","content":""}],"user_id":"u"}`: 422,
		`{"messages":[{"role":"user"}],"user_id":"u"}`:              422,
		`{"messages":[{"content":"x"}],"user_id":"u"}`:              422,
		`{"messages":[{"role":"user","content":{"type":"image_url","image_url":{"url":"http://x"}}}],"user_id":"u"}`:              422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"u","metadata":{"a":"` + big + `"}}`:                               422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"u","metadata":[]}`:                                                422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":5}`:                                                                422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"*"}`:                                                              422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"` + big + `"}`:                                                    422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"u","filters":{"user_id":"other"}}`:                                422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"u","timestamp":-5}`:                                               422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"u","expiration_date":"soon"}`:                                     422,
		`{"messages":[{"role":"user","content":"x"}],"user_id":"u","filters":5}`:                                                  422,
		`{"messages":[` + strings.Repeat(`{"role":"user","content":"x"},`, 100) + `{"role":"user","content":"x"}],"user_id":"u"}`: 422,
		`{"messages":[{"role":"user","content":"x"}],"filters":{"run_id":"r"}}`:                                                   200,
	} {
		if a := w.do("t", "POST", "/v3/memories/add/", body); a.status != status {
			t.Errorf("%.90s: %d %s, want %d", body, a.status, a.text, status)
		}
	}
}

func TestMem0GetAll(t *testing.T) {
	w := newWorld(t)
	for i, text := range []string{"one", "two", "three"} {
		w.now = epoch.Add(time.Duration(i) * time.Hour)
		w.add("alice", text, `,"metadata":{"n":`+string(rune('1'+i))+`}`)
	}
	w.add("bob", "other", "")
	w.add("alice", "run out", `,"expiration_date":"2026-05-06"`)
	w.add("alice", "runs out tomorrow", `,"expiration_date":"2026-05-07","timestamp":0`)
	for _, c := range []struct{ query, body, count, first string }{
		{"", `{"filters":{"user_id":"alice"}}`, "4", "three"},
		{"", ``, "5", "other"},
		{"?page=2&page_size=2", `{"filters":{"user_id":"alice"}}`, "4", "one"},
		{"?page=9", `{}`, "5", "null"},
		{"?page_size=100000", `{}`, "5", "other"},
		{"", `{"user_id":"bob"}`, "1", "other"},
		{"", `{"user_id":"bob","filters":{"user_id":"alice"}}`, "0", "null"},
		{"", `{"filters":{"user_id":"alice"},"show_expired":true}`, "5", "run out"},
		{"", `{"filters":{"user_id":"alice"},"start_date":"2026-05-07T12:30:00Z","end_date":"2026-05-07"}`, "2", "three"},
		{"", `{"filters":{"metadata":{"n":{"lte":1}}}}`, "1", "one"},
		{"", `{"filters":{"keywords":"TH"}}`, "2", "other"},
		{"", `{"categories":["none"]}`, "0", "null"},
	} {
		a := w.ok("t", "POST", "/v3/memories/"+c.query, c.body)
		if a.get("count") != c.count || a.get("results", "0", "memory") != c.first {
			t.Errorf("%s %s: %s", c.query, c.body, a.text)
		}
	}
	w.now = epoch.AddDate(0, 0, 1).Truncate(24 * time.Hour) // the end of the last valid day
	if a := w.ok("t", "POST", "/v3/memories/", `{"filters":{"user_id":"alice"}}`); a.get("count") != "3" {
		t.Errorf("%s", a.text)
	}
	a := w.ok("t", "POST", "/v3/memories/?page=2&page_size=1", `{"filters":{"user_id":"alice"}}`)
	if a.get("next") != "/v3/memories/?page=3&page_size=1" || a.get("previous") != "/v3/memories/?page=1&page_size=1" {
		t.Errorf("%s", a.text)
	}
	for _, bad := range []string{"?page=0", "?page=x", "?page_size=-1"} {
		if a := w.do("t", "POST", "/v3/memories/"+bad, `{}`); a.status != 422 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	for _, bad := range []string{`{"filters":{"colour":1}}`, `{"filters":[]}`, `{"show_expired":"yes"}`, `{"start_date":"x"}`} {
		if a := w.do("t", "POST", "/v3/memories/", bad); a.status != 422 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

func TestMem0Search(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "Alice plays the violin", "")
	w.add("bob", "Bob plays chess", "")
	a := w.ok("t", "POST", "/v3/memories/search/", `{"query":"Who plays the violin?","filters":{"user_id":"*"},"rerank":true,"keyword_search":true}`)
	if a.get("results", "0", "memory") != "Alice plays the violin" || a.get("results", "1", "memory") != "Bob plays chess" || a.get("results", "0", "score") == "null" {
		t.Errorf("%s", a.text)
	}
	a = w.ok("t", "POST", "/v3/memories/search/", `{"query":"violin","fields":["memory","nothing"]}`)
	if len(a.body["results"].([]any)[0].(map[string]any)) != 2 || a.get("results", "0", "id") == "null" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("t", "POST", "/v3/memories/search/", `{"query":"plays","top_k":1}`); a.get("results", "1") != "null" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("t", "POST", "/v3/memories/search/", `{"query":"who is it"}`); a.get("results") != "[]" {
		t.Errorf("%s", a.text)
	}
	for _, bad := range []string{`{}`, `{"query":" "}`, `{"query":"x","top_k":0}`, `{"query":"x","top_k":501}`, `{"query":"x","threshold":1.5}`, `{"query":"x","fields":"memory"}`} {
		if a := w.do("t", "POST", "/v3/memories/search/", bad); a.status != 422 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

func TestMem0UpdateAndHistory(t *testing.T) {
	w := newWorld(t)
	id := w.add("alice", "first", "")
	path := "/v1/memories/" + id + "/"
	w.now = epoch.Add(time.Hour)
	a := w.ok("t", "PUT", path, `{"text":"second","metadata":{"a":1},"timestamp":"2026-01-01","expiration_date":"2027-01-01"}`)
	if a.get("memory") != "second" || a.get("text") != "second" || a.get("metadata", "a") != "1" || a.get("expiration_date") != "2027-01-01" ||
		a.get("created_at") != "2026-01-01T00:00:00.000000+00:00" || a.get("updated_at") != "2026-05-07T13:00:00.000000+00:00" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("t", "PUT", path, `{"expiration_date":null}`); a.get("expiration_date") != "null" || a.get("memory") != "second" {
		t.Errorf("%s", a.text)
	}
	for _, bad := range []string{`{}`, `{"text":""}`, `{"text":null}`, `{"metadata":"x"}`, `{"timestamp":"x"}`} {
		if a := w.do("t", "PUT", path, bad); a.status != 422 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	text := w.ok("t", "GET", path+"history/", "").text
	for _, want := range []string{
		`"event":"ADD","old_memory":null,"new_memory":"first","user_id":"alice","metadata":null`,
		`"event":"UPDATE","old_memory":"first","new_memory":"second","user_id":"alice","metadata":{"a":1}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	w.ok("t", "DELETE", path+"?delete_linked=true", "")
	if text := w.ok("t", "GET", path+"history/", "").text; strings.Contains(text, "second") || !strings.Contains(text, `"event":"DELETE"`) {
		t.Errorf("%s", text)
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", path, ""}, {"PUT", path, `{"text":"x"}`}, {"DELETE", path, ""}, {"GET", "/v1/memories/never/history/", ""},
	} {
		if a := w.do("t", c.method, c.path, c.body); a.status != 404 || a.get("detail") != "Memory not found!" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.text)
		}
	}
}

// TestMem0DeleteAll is careful about one thing: what is not understood must not delete more than was meant.
func TestMem0DeleteAll(t *testing.T) {
	w := newWorld(t)
	fill := func() {
		w.add("alice", "one", `,"run_id":"r1"`)
		w.add("alice", "two", "")
		w.add("bob", "three", "")
	}
	count := func() string { return w.ok("t", "POST", "/v3/memories/", `{}`).get("count") }
	for _, c := range []struct {
		query  string
		status int
		left   string
	}{
		{"", 400, "3"}, {"org_id=x", 400, "3"},
		{"user_id=", 422, "3"}, {"user_id=alice&user_id=bob", 422, "3"}, {"categories=food", 422, "3"}, {"user_id=alice&metadata=x", 422, "3"},
		{"filters=", 422, "3"}, {"filters=%7B%7D", 422, "3"}, {"filters=user_id", 422, "3"}, {"filters=%5B%5D", 422, "3"},
		{"filters=" + url.QueryEscape(`{'colour': 'red'}`), 422, "3"},
		{"user_id=none", 200, "3"},
		{"user_id=alice&run_id=r1", 200, "2"},
		{"filters=" + url.QueryEscape(`{'user_id': 'bob'}`), 200, "2"},
		{"filters=" + url.QueryEscape(`{"user_id":"bob"}`) + "&user_id=alice", 200, "3"},
		{"user_id=*", 200, "0"},
	} {
		fill()
		if a := w.do("t", "DELETE", "/v1/memories/?"+c.query, ""); a.status != c.status {
			t.Errorf("%s: %d %s", c.query, a.status, a.text)
		}
		if got := count(); got != c.left {
			t.Errorf("%s left %s, want %s", c.query, got, c.left)
		}
		w.ok("t", "DELETE", "/v1/memories/?user_id=*", "")
	}
}

func TestMem0Batches(t *testing.T) {
	w := newWorld(t)
	a, b := w.add("u", "one", ""), w.add("u", "two", "")
	both := func(change string) string {
		return `{"memories":[{"memory_id":"` + a + `"` + change + `},{"memory_id":"` + b + `"` + change + `}]}`
	}
	w.ok("t", "PUT", "/v1/batch/", both(`,"text":"changed"`))
	if got := w.ok("t", "POST", "/v3/memories/search/", `{"query":"changed"}`); got.get("results", "1", "memory") != "changed" {
		t.Errorf("%s", got.text)
	}
	for _, c := range []struct {
		method, body string
		status       int
	}{
		{"PUT", both(""), 422}, {"PUT", `{"memories":[]}`, 422}, {"PUT", `{}`, 422}, {"DELETE", ``, 422},
		{"PUT", `{"memories":[{"text":"x"}]}`, 422},
		{"PUT", `{"memories":[{"memory_id":"` + a + `","text":"lost"},{"memory_id":"none","text":"x"}]}`, 404},
		{"DELETE", `{"memories":[{"memory_id":"` + a + `"},{"memory_id":"none"}]}`, 404},
		{"DELETE", `{"memories":[` + strings.Repeat(`{"memory_id":"x"},`, 1000) + `{"memory_id":"x"}]}`, 422},
	} {
		if got := w.do("t", c.method, "/v1/batch/", c.body); got.status != c.status {
			t.Errorf("%s %.60s: %d %s", c.method, c.body, got.status, got.text)
		}
	}
	if got := w.ok("t", "GET", "/v1/memories/"+a+"/", "").get("memory"); got != "changed" {
		t.Errorf("a failed batch left %q", got)
	}
	w.ok("t", "DELETE", "/v1/batch/", strings.Replace(both(""), "[", `[{"memory_id":"`+a+`"},`, 1)) // one of them twice
	if got := w.ok("t", "POST", "/v3/memories/", `{}`).get("count"); got != "0" {
		t.Errorf("left %s", got)
	}
}

func TestMem0Entities(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "one", `,"run_id":"r/1"`)
	w.add("bob", "two", `,"agent_id":"bot"`)
	a := w.ok("t", "GET", "/v1/entities/", "")
	if a.get("count") != "4" || a.get("total_users") != "2" || a.get("results", "0", "name") != "alice" || a.get("results", "0", "type") != "user" ||
		a.get("results", "0", "total_memories") != "1" {
		t.Errorf("%s", a.text)
	}
	w.ok("t", "DELETE", "/v2/entities/run/r%2F1/", "")
	if got := w.ok("t", "GET", "/v1/entities/", "").get("count"); got != "2" {
		t.Errorf("count %s", got)
	}
	w.ok("t", "DELETE", "/v2/entities/user/none/", "")
	if a := w.do("t", "DELETE", "/v2/entities/planet/mars/", ""); a.status != 404 {
		t.Errorf("status %d", a.status)
	}
	if a := w.ok("t", "GET", "/v1/ping/", ""); a.get("org_id") == "null" || a.get("project_id") != "t" {
		t.Errorf("%s", a.text)
	}
}
