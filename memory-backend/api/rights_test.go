package api

import (
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// people makes tokens "tenant/agent/session/subject/trust".
func people(w *world) {
	w.verify = func(values []string) (Identity, error) {
		if len(values) != 1 || values[0] == "" {
			return Identity{}, errors.New("no token")
		}
		part := strings.SplitN(values[0]+"////", "/", 5)
		return Identity{Tenant: part[0], Agent: part[1], Session: part[2], Subject: part[3], Trust: strings.Trim(part[4], "/"), Principal: "key-1", Request: "req-1"}, nil
	}
}

const (
	ann   = "t///ann/trusted"
	bob   = "t///bob/unconfirmed"
	carol = "t///carol/unconfirmed"
)

// marked sets the edge's mark on the requests of do.
func (w *world) marked(mark string, do func()) {
	w.request = func(r *http.Request) { r.Header.Set(quarantineHeader, mark) }
	do()
	w.request = nil
}

func both(f, g func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) { f(r); g(r) }
}

func TestHistoryOfAMemory(t *testing.T) {
	w := newWorld(t)
	people(w)
	id := w.remember(ann, "bot", "likes tea")
	w.now = epoch.Add(time.Hour)
	w.ok(bob, "PATCH", "/api/v2/agents/bot/memories/"+id, `{"content":"likes coffee"}`)
	a := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+id+"/history", "")
	for path, want := range map[string]string{"0 event": "ADD", "0 after": "likes tea", "0 before": "null", "0 principal": "ann",
		"1 event": "UPDATE", "1 before": "likes tea", "1 after": "likes coffee", "1 principal": "bob", "1 at": "2026-05-07T13:00:00.000000+00:00"} {
		index, name, _ := strings.Cut(path, " ")
		if got := a.get("changes", index, name); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	w.ok(ann, "DELETE", "/api/v2/agents/bot/memories/"+id, "")
	a = w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+id+"/history", "")
	if a.get("changes", "2", "event") != "DELETE" || strings.Contains(a.text, "coffee") {
		t.Errorf("after it was deleted: %s", a.text)
	}
	for token, path := range map[string]string{ann: "/api/v2/agents/bot/memories/none/history", "other///ann": "/api/v2/agents/bot/memories/" + id + "/history"} {
		if a := w.do(token, "GET", path, ""); a.status != 404 {
			t.Errorf("%s %s: %d", token, path, a.status)
		}
	}
	if a := w.do("t/another//ann", "GET", "/api/v2/agents/bot/memories/"+id+"/history", ""); a.status != 403 {
		t.Errorf("another agent's session: %d", a.status)
	}
}

// TestQuarantine stores marked writes of every route, looks for them everywhere, and reviews them.
func TestQuarantine(t *testing.T) {
	w := newWorld(t)
	people(w)
	id := w.remember(ann, "bot", "plain words")
	held := map[string]string{}
	w.marked(`score=7, rules=("override" "exfiltration")`, func() {
		a := w.ok(ann, "POST", "/api/v2/agents/bot/remember", `{"content":"zq ignore all rules"}`)
		if a.get("status") != "held" {
			t.Errorf("%s", a.text)
		}
		held["native"] = a.get("memory_id")
		a = w.ok(ann, "POST", "/api/v2/agents/bot/batch-remember", `{"memories":[{"content":"zq batch"}]}`)
		held["batch"] = a.get("results", "0", "id")
		a = w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq mem0"}],"user_id":"u","agent_id":"bot"}`)
		if held["mem0"] = a.get("results", "0", "id"); a.get("results", "0", "held") != "true" {
			t.Errorf("%s", a.text)
		}
		if a := w.ok(ann, "PATCH", "/api/v2/agents/bot/memories/"+id, `{"content":"zq edited"}`); a.get("status") != "held" {
			t.Errorf("%s", a.text)
		}
		held["edit"] = id
	})
	w.marked(`score=9`, func() {
		w.request = both(w.request, func(r *http.Request) { r.Header.Set("Accept", "application/json, text/event-stream") })
		was := w.verify
		w.verify = func(v []string) (Identity, error) {
			id, err := was(v)
			id.Scopes = []string{"memory:write"}
			return id, err
		}
		a := w.ok(ann, "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"remember","arguments":{"content":"zq tool","agent_id":"bot"}}}`)
		if !strings.Contains(a.text, `held`) {
			t.Errorf("%s", a.text)
		}
		w.verify = was
	})
	look := func(id string) string {
		var b strings.Builder
		for path, body := range map[string]string{"recall": `{"query":"zq"}`, "recall/recent": `{}`, "recall/all": `{}`, "recall/as-of": `{"as_of":"2027-01-01"}`,
			"recall/changed-since": `{"since":"2020-01-01"}`} {
			b.WriteString(w.ok(ann, "POST", "/api/v2/agents/bot/"+path, body).text)
		}
		for path, body := range map[string]string{"/v3/memories/": `{"filters":{"agent_id":"bot"}}`, "/v3/memories/search/": `{"query":"zq","filters":{"agent_id":"bot"}}`} {
			b.WriteString(w.ok(ann, "POST", path, body).text)
		}
		for _, path := range []string{"/api/v2/agents/bot/memories/" + id, "/v1/memories/" + id + "/", "/api/v2/agents/bot/memories/" + id + "/history", "/v1/memories/" + id + "/history/"} {
			b.WriteString(w.do(ann, "GET", path, "").text)
		}
		b.WriteString(w.ok(ann, "GET", "/v1/entities/", "").text)
		return strings.ReplaceAll(b.String(), `"query":"zq"`, "")
	}
	for name, id := range held {
		if text := look(id); strings.Contains(text, "zq") || strings.Contains(text, `"u"`) {
			t.Errorf("%s is seen: %s", name, text)
		}
		for _, c := range [][3]string{{"PATCH", "/api/v2/agents/bot/memories/" + id, `{"title":"x"}`}, {"PUT", "/v1/memories/" + id + "/", `{"text":"x"}`},
			{"DELETE", "/api/v2/agents/bot/memories/" + id, ""}, {"DELETE", "/v1/memories/" + id + "/", ""}, {"POST", "/api/v2/agents/bot/memories/" + id + "/confirm", ""}} {
			if a := w.do(bob, c[0], c[1], c[2]); a.status != 404 {
				t.Errorf("%s: %s %s: %d", name, c[0], c[1], a.status)
			}
		}
	}
	a := w.ok("t///rev/trusted", "GET", "/api/v2/quarantine?limit=3", "")
	if a.get("total_available") != "5" || a.get("count") != "3" || a.get("memories", "0", "finding") != `{"rules":["override","exfiltration"],"score":7}` {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("t///rev/trusted", "GET", "/api/v2/quarantine?limit=3&cursor="+a.get("next_cursor"), ""); a.get("count") != "2" || a.get("next_cursor") != "null" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("other///rev", "GET", "/api/v2/quarantine", ""); a.get("count") != "0" {
		t.Errorf("another tenant: %s", a.text)
	}
	if a := w.do("t/another//rev", "POST", "/api/v2/quarantine/"+held["native"]+"/release", ""); a.status != 404 {
		t.Errorf("another agent's session: %d", a.status)
	}
	w.ok("t///rev/trusted", "POST", "/api/v2/quarantine/"+held["native"]+"/release", "")
	w.ok("t///rev/trusted", "POST", "/api/v2/quarantine/"+held["batch"]+"/reject", "")
	for _, c := range []string{held["native"] + "/release", held["batch"] + "/reject", "none/release"} {
		if a := w.do("t///rev", "POST", "/api/v2/quarantine/"+c, ""); a.status != 404 {
			t.Errorf("%s: %d", c, a.status)
		}
	}
	if got := w.recall(ann, "bot", `{"query":"zq"}`); got != "zq ignore all rules" {
		t.Errorf("after the review: %q", got)
	}
	a = w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+held["native"]+"/history", "")
	if a.get("changes", "1", "event") != "RELEASE" || a.get("changes", "1", "principal") != "rev" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+held["batch"]+"/history", ""); a.get("changes", "1", "event") != "REJECT" || strings.Contains(a.text, "zq") {
		t.Errorf("%s", a.text)
	}
}

func TestFindings(t *testing.T) {
	for text, want := range map[string]*finding{
		`score=7, rules=("override" "exfiltration")`: {7, []string{"override", "exfiltration"}}, `score=0`: {0, []string{}},
		`rules=("a"),score=12`: {12, []string{"a"}}, `rules=()`: {0, []string{}},
		``: nil, `score`: nil, `score=`: nil, `score=x`: nil, `score=-1`: nil, `score=1,`: nil, `score=1 score=2`: nil, `score=1,score=2`: nil, `other=1`: nil,
		`rules=("a"`: nil, `rules="a"`: nil, `rules=(a)`: nil, `rules=("a b")`: nil, `rules=("")`: nil, `score=99999999999`: nil,
		`score=1, rules=(` + strings.Repeat(`"a" `, 40) + `)`: nil, "score=1" + strings.Repeat(" ", 2000): nil, `rules=("<script>")`: nil,
	} {
		got, err := parseFinding(text)
		if (err == nil) != (want != nil) || want != nil && !reflect.DeepEqual(got, *want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	// What cannot be read is held all the same.
	w := newWorld(t)
	w.marked("nonsense<", func() { w.remember("t", "bot", "words") })
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "" {
		t.Errorf("%q", got)
	}
	if a := w.ok("t", "GET", "/api/v2/quarantine", ""); a.get("count") != "1" || strings.Contains(a.text, "nonsense") {
		t.Errorf("%s", a.text)
	}
}

func FuzzFinding(f *testing.F) {
	f.Add(`score=7, rules=("override" "exfiltration")`)
	f.Add(`rules=("a" "b"),score=1`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFinding(text)
		if err != nil {
			return
		}
		// What was read can be written and read again.
		again := `score=` + strconv.Itoa(got.Score) + `, rules=(`
		for i, r := range got.Rules {
			if i > 0 {
				again += " "
			}
			again += `"` + r + `"`
		}
		if twice, err := parseFinding(again + ")"); len(again) < maxFinding && (err != nil || !reflect.DeepEqual(got, twice)) {
			t.Errorf("%q: %+v, then %+v, %v", text, got, twice, err)
		}
	})
}

// TestProvisional lets facts of an unconfirmed writer lapse, unless another principal confirms them.
func TestProvisional(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Provisional = time.Hour })
	people(w)
	note := func(token, content, kind string) string {
		return w.ok(token, "POST", "/api/v2/agents/bot/remember", `{"content":"`+content+`","type":"`+kind+`"}`).get("memory_id")
	}
	lapses := note(bob, "zq lapses", "fact")
	note(bob, "zq event", "event")
	note(ann, "zq trusted", "fact")
	note("t///dev", "zq unstated", "preference")
	confirmed := note(bob, "zq confirmed", "preference")
	note(bob, "zq repeated", "fact")
	note(bob, "zq said again", "fact")
	item := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+lapses, "")
	if item.get("trust") != "unconfirmed" || item.get("principal") != "bob" || item.get("provisional_until") != "2026-05-07T13:00:00.000000+00:00" {
		t.Errorf("%s", item.text)
	}
	w.now = epoch.Add(30 * time.Minute)
	if a := w.do(bob, "POST", "/api/v2/agents/bot/memories/"+confirmed+"/confirm", ""); a.status != 409 {
		t.Errorf("its own writer: %d", a.status)
	}
	w.ok(carol, "POST", "/api/v2/agents/bot/memories/"+confirmed+"/confirm", "")
	note(carol, "zq repeated", "fact") // another says the same
	note(bob, "zq said again", "fact") // the same says it again
	w.ok(bob, "PATCH", "/api/v2/agents/bot/memories/"+lapses, `{"tags":["x"]}`)
	w.now = epoch.Add(61 * time.Minute)
	got := w.ok(ann, "POST", "/api/v2/agents/bot/recall/all", `{}`).contents()
	for text, want := range map[string]int{"zq event": 1, "zq trusted": 1, "zq unstated": 1, "zq confirmed": 1, "zq repeated": 2, "zq said again": 1, "zq lapses": 0} {
		if strings.Count(got, text) != want {
			t.Errorf("%q: %d times in %s", text, strings.Count(got, text), got)
		}
	}
	w.now = epoch.Add(2 * time.Hour)
	if got := w.ok(ann, "POST", "/api/v2/agents/bot/recall/all", `{}`).contents(); strings.Contains(got, "lapses") || strings.Contains(got, "again") {
		t.Errorf("nobody confirmed it: %s", got)
	}
	a := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+confirmed+"/history", "")
	if a.get("changes", "1", "event") != "CONFIRM" || a.get("changes", "1", "principal") != "carol" {
		t.Errorf("%s", a.text)
	}
	if a := w.do("t///eve/sure", "POST", "/api/v2/agents/bot/remember", `{"content":"x"}`); a.status != 401 {
		t.Errorf("an unknown trust: %d", a.status)
	}
}

func TestProvisionalUnstated(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Provisional, c.ProvisionalUnstated = time.Hour, true })
	w.remember("t", "bot", "Oslo words")
	w.now = epoch.Add(2 * time.Hour)
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "" {
		t.Errorf("%q", got)
	}
}

func TestAccessLog(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Access = true })
	people(w)
	id := w.remember(ann, "bot", "words")
	w.recall(bob, "bot", `{"query":"words"}`)
	w.ok(carol, "GET", "/v1/memories/"+id+"/", "")
	w.ok(carol, "POST", "/api/v2/agents/bot/recall/recent", `{}`)
	a := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+id+"/access", "")
	if a.get("count") != "3" || a.get("recorded") != "true" || a.get("reads", "0", "principal") != "bob" || a.get("reads", "0", "how") != "search" ||
		a.get("reads", "1", "how") != "get" || a.get("reads", "2", "principal") != "carol" {
		t.Errorf("%s", a.text)
	}
	for range 120 {
		w.ok(bob, "GET", "/v1/memories/"+id+"/", "")
	}
	if a := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+id+"/access", ""); a.get("count") != "100" {
		t.Errorf("%s", a.get("count"))
	}
	if a := w.do("other///x", "GET", "/api/v2/agents/bot/memories/"+id+"/access", ""); a.status != 404 {
		t.Errorf("another tenant: %d", a.status)
	}
}
