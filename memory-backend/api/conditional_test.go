package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// with sends one request with headers.
func (w *world) with(headers map[string]string, token, method, path, body string) answer {
	w.t.Helper()
	w.request = func(r *http.Request) {
		for name, value := range headers {
			r.Header.Set(name, value)
		}
	}
	defer func() { w.request = nil }()
	return w.do(token, method, path, body)
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	id := w.remember("t", "bot", "first")
	for _, path := range []string{"/api/v2/agents/bot/memories/" + id, "/v1/memories/" + id + "/"} {
		method, body := "PATCH", `{"content":"changed"}`
		if strings.HasPrefix(path, "/v1") {
			method, body = "PUT", `{"text":"changed"}`
		}
		tag := w.ok("t", "GET", path, "").header.Get("ETag")
		for _, bad := range []string{`"99"`, "1", `W/` + tag, `""`, `"+1"`, `"x"`, `"01"`} {
			if a := w.with(map[string]string{"If-Match": bad}, "t", method, path, body); a.status != http.StatusPreconditionFailed {
				t.Errorf("%s If-Match %s: %d %s", method, bad, a.status, a.text)
			}
		}
		if a := w.with(map[string]string{"If-Match": tag + `, "7"`}, "t", method, path, body); a.status != 400 {
			t.Errorf("two tags: %d", a.status)
		}
		a := w.with(map[string]string{"If-Match": tag}, "t", method, path, body)
		next := a.header.Get("ETag")
		if a.status != 200 || next == "" || next == tag {
			t.Fatalf("%s: %d %s, ETag %s after %s", method, a.status, a.text, next, tag)
		}
		if a := w.with(map[string]string{"If-Match": tag}, "t", method, path, body); a.status != http.StatusPreconditionFailed {
			t.Errorf("an old version: %d", a.status)
		}
		if a := w.with(map[string]string{"If-Match": "*"}, "t", method, path, body); a.status != 200 {
			t.Errorf("any version: %d", a.status)
		}
		if a := w.with(map[string]string{"If-Match": next}, "t", "DELETE", path, ""); a.status != http.StatusPreconditionFailed {
			t.Errorf("deleting an old version: %d", a.status)
		}
	}
	path := "/api/v2/agents/bot/memories/" + id
	tag := w.ok("t", "GET", path, "").header.Get("ETag")
	if a := w.with(map[string]string{"If-Match": tag}, "t", "DELETE", path, ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := w.with(map[string]string{"If-Match": "*"}, "t", "DELETE", path, ""); a.status != 404 {
		t.Errorf("%d", a.status)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ path, body, other string }{
		{"/api/v2/agents/bot/remember", `{"content":"one"}`, `{"content":"two"}`},
		{"/api/v2/agents/bot/batch-remember", `{"memories":[{"content":"one"}]}`, `{"memories":[{"content":"two"}]}`},
		{"/v3/memories/add/", `{"messages":[{"role":"user","content":"one"}],"user_id":"u"}`, `{"messages":[{"role":"user","content":"two"}],"user_id":"u"}`},
		{"/api/v2/agents", `{"agent_id":"made"}`, `{"agent_id":"other"}`},
	} {
		key := map[string]string{"Idempotency-Key": "key of " + c.path}
		first := w.with(key, "t", "POST", c.path, c.body)
		if first.status != 200 && first.status != 201 {
			t.Fatalf("%s: %d %s", c.path, first.status, first.text)
		}
		w.now = w.now.Add(time.Minute)
		again := w.with(key, "t", "POST", c.path, c.body)
		if again.status != first.status || strings.TrimSpace(again.text) != strings.TrimSpace(first.text) || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s again: %d %s, first %s", c.path, again.status, again.text, first.text)
		}
		if a := w.with(key, "t", "POST", c.path, c.other); a.status != 422 || a.get("type") != "urn:memgate:problem:idempotency-key-reused" {
			t.Errorf("%s with another body: %d %s", c.path, a.status, a.text)
		}
		if a := w.with(key, "t2", "POST", c.path, c.other); a.status != first.status {
			t.Errorf("%s of another tenant: %d %s", c.path, a.status, a.text)
		}
	}
	key := map[string]string{"Idempotency-Key": "key of /api/v2/agents/bot/remember"}
	if a := w.with(key, "t/bot", "POST", "/api/v2/agents/bot/remember", `{"content":"in a session"}`); a.status != 200 || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another caller's key: %d %s", a.status, a.text)
	}
	if a := w.with(key, "t", "POST", "/api/v2/agents/bot2/remember", `{"content":"one"}`); a.status != 422 {
		t.Errorf("another path: %d %s", a.status, a.text)
	}
	w.now = w.now.Add(25 * time.Hour)
	if a := w.with(key, "t", "POST", "/api/v2/agents/bot/remember", `{"content":"later"}`); a.status != 200 {
		t.Errorf("after a day: %d %s", a.status, a.text)
	}
	for _, bad := range []string{"", " ", strings.Repeat("k", 256), "ké", "a\x01"} {
		if a := w.with(map[string]string{"Idempotency-Key": bad}, "t", "POST", "/api/v2/agents/bot/remember", `{"content":"x"}`); a.status != 400 {
			t.Errorf("key %q: %d", bad, a.status)
		}
	}
}

func TestRecallByTime(t *testing.T) {
	w := newWorld(t)
	id := w.remember("t", "bot", "in the beginning")
	w.now = w.now.Add(24 * time.Hour)
	w.remember("t", "bot", "a day later")
	w.now = w.now.Add(24 * time.Hour)
	w.ok("t", "PATCH", "/api/v2/agents/bot/memories/"+id, `{"content":"as it is now"}`)
	for _, c := range []struct{ path, body, want, mode string }{
		{"all", `{}`, "a day later|as it is now", "recent"},
		{"as-of", `{"as_of":"2026-05-07"}`, "in the beginning", "as_of"},
		{"as-of", `{"as_of":"2026-05-08T12:00:00Z"}`, "a day later|in the beginning", "as_of"},
		{"as-of", `{"as_of":"2026-05-09"}`, "a day later|as it is now", "as_of"},
		{"as-of", `{"as_of":"2026-05-06"}`, "", "as_of"},
		{"changed-since", `{"since":"2026-05-08T12:00:01Z"}`, "as it is now", "changed_since"},
		{"changed-since", `{"since":"2026-05-08"}`, "a day later|as it is now", "changed_since"},
		{"changed-since", `{"since":"2026-05-10"}`, "", "changed_since"},
	} {
		a := w.ok("t", "POST", "/api/v2/agents/bot/recall/"+c.path, c.body)
		if got := a.contents(); got != c.want || a.get("temporal_mode") != c.mode {
			t.Errorf("%s %s: %q (%s), want %q", c.path, c.body, got, a.get("temporal_mode"), c.want)
		}
	}
	a := w.ok("t", "POST", "/api/v2/agents/bot/recall/changed-since", `{"since":"2026-05-08"}`)
	if first, second := a.get("memories", "0", "change_type"), a.get("memories", "1", "change_type"); first != "created" || second != "updated" {
		t.Errorf("changes %s and %s", first, second)
	}
	for _, path := range []string{"as-of", "changed-since"} {
		for _, body := range []string{`{}`, `{"as_of":"x","since":"x"}`, `{"as_of":null,"since":null}`} {
			if a := w.do("t", "POST", "/api/v2/agents/bot/recall/"+path, body); a.status != 422 {
				t.Errorf("%s %s: %d", path, body, a.status)
			}
		}
	}
}

// TestAsOfShowsExpiryOfThen asks for a time at which what is expired now was not.
func TestAsOfShowsExpiryOfThen(t *testing.T) {
	w := newWorld(t)
	w.ok("t", "POST", "/api/v2/agents/bot/remember", `{"content":"x","status":"expired","expired_at":"2026-05-20","expired_by":"me"}`)
	for at, want := range map[string]string{"2026-05-08": "active", "2026-05-21": "expired"} {
		if got := w.ok("t", "POST", "/api/v2/agents/bot/recall/as-of", `{"as_of":"`+at+`"}`).get("memories", "0", "status"); got != want {
			t.Errorf("as of %s: %s", at, got)
		}
	}
}

func TestCursors(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.remember("t", "bot", string(rune('a'+i)))
		if i%2 == 0 {
			w.now = w.now.Add(time.Second)
		}
	}
	var got []string
	cursor := ""
	for page := 0; ; page++ {
		body := `{"limit":3}`
		if cursor != "" {
			body = `{"limit":3,"cursor":"` + cursor + `"}`
		}
		a := w.ok("t", "POST", "/api/v2/agents/bot/recall/all", body)
		got = append(got, a.contents())
		if a.get("total_available") != "7" {
			t.Errorf("total %s", a.get("total_available"))
		}
		if cursor = a.get("next_cursor"); cursor == "null" {
			break
		}
		newer := w.remember("t", "bot", "meanwhile") // must not move what follows
		w.ok("t", "DELETE", "/api/v2/agents/bot/memories/"+newer, "")
	}
	if s := strings.Join(got, " "); s != "g|f|e d|c|b a" {
		t.Errorf("pages %q", s)
	}
	for _, bad := range []string{"x", "", "!!", "MS4x=", "MQ", "MS4tMQ"} {
		if a := w.do("t", "POST", "/api/v2/agents/bot/recall/recent", `{"cursor":"`+bad+`"}`); a.status != 422 {
			t.Errorf("cursor %q: %d", bad, a.status)
		}
	}
}

func TestDuplicatesAreRefused(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Distinct = true })
	id := w.remember("t", "bot", "the same")
	a := w.do("t", "POST", "/api/v2/agents/bot/batch-remember", `{"memories":[{"content":"new"},{"content":"the same"}]}`)
	if a.status != 409 || !strings.Contains(a.get("detail"), id) || !strings.Contains(a.get("detail"), "Memory 2 ") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if got := w.ok("t", "POST", "/api/v2/agents/bot/recall/all", `{}`).contents(); got != "the same" {
		t.Errorf("stored %q", got)
	}
	w.remember("t", "other", "the same")
	w = newWorld(t)
	w.remember("t", "bot", "the same")
	w.remember("t", "bot", "the same")
}
