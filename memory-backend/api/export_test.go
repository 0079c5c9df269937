package api

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/rights"
)

// lines are those of an export.
func lines(t *testing.T, text string) (list []*rights.Line) {
	t.Helper()
	list, err := rights.ReadLines(strings.NewReader(text), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// filled has memories of two users and agents, with histories, readers, consents and a policy.
func filled(w *world) {
	people(w)
	for i, user := range []string{"alice", "bob", "alice", "alice"} {
		w.now = epoch.Add(time.Duration(i/2) * time.Hour) // pairs of the same time
		w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq `+user+` `+string(rune('0'+i))+`"}],"user_id":"`+user+`","agent_id":"bot","metadata":{"n":12345678901234567890}}`)
	}
	id := w.remember(bob, "other", "zq of nobody")
	w.ok(ann, "PATCH", "/api/v2/agents/other/memories/"+id, `{"content":"zq changed","tags":["x"]}`)
	w.marked("score=9", func() { w.remember(ann, "other", "zq held") })
	w.ok(ann, "GET", "/v1/memories/"+id+"/", "")
	w.ok(ann, "PUT", "/api/v2/users/alice/consent", `{"purposes":{"memory":false},"source":"s"}`)
	w.ok(ann, "PUT", "/api/v2/users/bob/consent", `{"do_not_sell":true,"source":"s"}`)
	w.ok(ann, "PUT", "/api/v2/data-policy", `{"keep_days":100}`)
	w.ok(ann, "POST", "/api/v2/agents", `{"agent_id":"made","pattern":"support","description":"d"}`)
}

func kinds(list []*rights.Line) (s string) {
	for _, l := range list {
		s += l.Kind[:1]
	}
	return s
}

func TestExport(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Access = true; c.Provisional = time.Hour })
	filled(w)
	a := w.ok(ann, "GET", "/api/v2/export", "")
	all := lines(t, a.text)
	if kinds(all) != "mmmmmmccaaape" || a.header.Get("Content-Type") != ndjson || all[len(all)-1].Lines != len(all)-1 {
		t.Errorf("%s: %s", kinds(all), a.text)
	}
	seen := map[string]*rights.Line{}
	for _, l := range all[:6] {
		seen[l.Memory.Content] = l
	}
	if l := seen["zq changed"]; len(l.History) != 2 || l.History[1].Before != "zq of nobody" || l.History[1].Writer != "ann" || len(l.Access) != 2 ||
		l.Access[0].By != "ann" || l.Access[1].How != "export" || l.Memory.Trust != "trusted" || l.Memory.Writer != "ann" || l.Memory.Tags[0] != "x" {
		t.Errorf("%+v %+v", l, l.Memory)
	}
	if l := seen["zq held"]; !l.Memory.Held || l.Memory.Finding != "score=9" {
		t.Errorf("what is held is exported as if it were not: %+v", l.Memory)
	}
	if l := seen["zq alice 0"]; l == nil || string(l.Memory.Metadata) != `{"n":12345678901234567890}` {
		t.Errorf("what a user withdrew is theirs to have: %+v", l)
	}
	// From behind each line the rest follows.
	split := strings.SplitAfter(strings.TrimSpace(a.text), "\n")
	for i, l := range all[:len(all)-1] {
		rest := w.ok(ann, "GET", "/api/v2/export?cursor="+l.Cursor, "")
		got := lines(t, rest.text)
		for j := range got[:len(got)-1] {
			if got[j].Cursor != all[i+1+j].Cursor {
				t.Fatalf("behind line %d: %s\nwant %s", i, rest.text, strings.Join(split[i+1:], ""))
			}
		}
		if len(got) != len(all)-i-1 {
			t.Errorf("behind line %d there are %d", i, len(got))
		}
	}
	for query, want := range map[string]string{"?user_id=alice": "mmmce", "?user_id=bob": "mce", "?user_id=none": "e", "?agent_id=other": "mmae", "?agent_id=none": "e"} {
		if got := kinds(lines(t, w.ok(ann, "GET", "/api/v2/export"+query, "").text)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	w.request = func(r *http.Request) { r.Header.Set(purposeHeader, "sale") }
	if text := w.ok(ann, "GET", "/api/v2/export?agent_id=bot", "").text; strings.Contains(text, "zq bob") || strings.Contains(text, "zq alice") {
		t.Errorf("for sale: %s", text)
	}
	w.request = nil
	if got := kinds(lines(t, w.ok("other///x", "GET", "/api/v2/export", "").text)); got != "pe" {
		t.Errorf("another tenant: %s", got)
	}
	for _, c := range []struct {
		token, query string
		status       int
	}{
		{ann, "?user_id=a&agent_id=b", 400}, {ann, "?user_id=", 400}, {ann, "?cursor=x", 422}, {ann, "?cursor=m.1", 422}, {ann, "?cursor=z.1.1", 422},
		{ann, "?tag=x", 422}, {"t/bot//x", "", 403}, {"t/bot//x", "?agent_id=other", 403}, {"t/bot//x", "?user_id=alice", 403}, {"t/bot//x", "?agent_id=bot", 200},
	} {
		if a := w.do(c.token, "GET", "/api/v2/export"+c.query, ""); a.status != c.status {
			t.Errorf("%s %s: %d %s", c.token, c.query, a.status, a.text)
		}
	}
}

// TestExportForAPurpose takes out of an export who refuses what it is for, each by the flag that says so.
func TestExportForAPurpose(t *testing.T) {
	w := newWorld(t)
	people(w)
	for user, flags := range map[string]string{"agrees": `"purposes":{"research":true}`, "nosale": `"do_not_sell":true`, "limits": `"limit_use":true`, "withdrew": `"purposes":{"research":false}`} {
		w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq of `+user+`"}],"user_id":"`+user+`"}`)
		w.ok(ann, "PUT", "/api/v2/users/"+user+"/consent", `{`+flags+`,"source":"s"}`)
	}
	for purpose, want := range map[string]string{"": "agrees nosale limits withdrew", "sale": "agrees withdrew", "research": "agrees nosale", "support": "agrees nosale withdrew"} {
		w.request = func(r *http.Request) {
			if purpose != "" {
				r.Header.Set(purposeHeader, purpose)
			}
		}
		text := w.ok(ann, "GET", "/api/v2/export", "").text
		for _, user := range []string{"agrees", "nosale", "limits", "withdrew"} {
			if strings.Contains(text, "zq of "+user) != strings.Contains(want, user) {
				t.Errorf("%q, %s: %s", purpose, user, text)
			}
		}
	}
}

// post sends lines to a tenant.
func (w *world) post(token, text string) answer {
	w.request = func(r *http.Request) { r.Header.Set("Content-Type", ndjson) }
	defer func() { w.request = nil }()
	return w.do(token, "POST", "/api/v2/import", text)
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	filled(w)
	text := w.ok(ann, "GET", "/api/v2/export", "").text
	a := w.post("u///root", text)
	if a.status != 200 || a.get("memories") != "6" || a.get("consents") != "2" || a.get("agents") != "3" || a.get("skipped") != "0" {
		t.Fatalf("%d %s", a.status, a.text)
	}
	a = w.post("u///root", text)
	if a.status != 200 || a.get("memories") != "0" || a.get("consents") != "0" || a.get("agents") != "0" || a.get("skipped") != "11" {
		t.Errorf("again: %d %s", a.status, a.text)
	}
	// What comes out of the other tenant is the same, but for the cursors.
	strip := func(text string) (out []any) {
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			delete(v, "cursor")
			out = append(out, v)
		}
		return out
	}
	again := w.ok("u///root", "GET", "/api/v2/export", "").text
	if x, y := strip(text), strip(again); !reflect.DeepEqual(x[:8], y[:8]) || len(x) != len(y) {
		t.Errorf("%s\n%s", text, again)
	}
	if got := w.recall("u///root", "other", `{"query":"zq"}`); got != "zq changed" {
		t.Errorf("what is held, or lapsed, is recalled: %q", got)
	}
	if a := w.ok("u///root", "POST", "/v3/memories/search/", `{"query":"alice"}`); strings.Contains(a.text, "zq alice") {
		t.Errorf("what was withdrawn is recalled: %s", a.text)
	}
	first := strings.SplitAfter(text, "\n")[0]
	bad := func(old, new string) string {
		if !strings.Contains(first, old) {
			t.Fatalf("no %s in %s", old, first)
		}
		return strings.Replace(first, old, new, 1)
	}
	for name, body := range map[string]string{
		"no JSON": "{", "a list": "[]", "no kind": "{}", "unknown kind": `{"kind":"x","cursor":""}`, "nothing of it": `{"kind":"memory","cursor":""}`,
		"unknown member": bad(`"kind"`, `"x":1,"kind"`), "type": bad(`"type":"fact"`, `"type":"x"`), "status": bad(`"status":"active"`, `"status":"x"`),
		"id": bad(`"memory":{"id":"`, `"memory":{"id":"`+strings.Repeat("x", 2000)), "content": bad(`"content":"`, `"content":"`+strings.Repeat("x", 10_001)),
		"metadata": bad(`"metadata":{"n"`, `"metadata":[1],"actor_id":"`), "time": bad(`"created_at":"2026`, `"created_at":"1026`), "no UTF-8": bad("zq", "\xff"),
		"a good one and a bad one": strings.Replace(first, `"id":"`, `"id":"x`, 1) + "{}\n",
	} {
		if a := w.post("v///root", body); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if got := kinds(lines(t, w.ok("v///root", "GET", "/api/v2/export", "").text)); got != "pe" {
		t.Errorf("of bad lines something was stored: %s", got)
	}
	if a := w.do("u///root", "POST", "/api/v2/import", first); a.status != 415 {
		t.Errorf("as JSON: %d", a.status)
	}
	if a := w.post("u/bot//root", first); a.status != 403 {
		t.Errorf("session of an agent: %d", a.status)
	}
	if a := w.post("u///root", strings.Repeat("\n", 3<<20)); a.status != 413 {
		t.Errorf("too large: %d", a.status)
	}
}

// TestImportKeepsItsContract sends lines of an export that were changed in all kinds of ways, as a program that makes requests from the
// document cannot make any: each answer is one that the document names, with its media type and its members, and none is a fault.
func TestImportKeepsItsContract(t *testing.T) {
	w := newWorld(t)
	filled(w)
	whole := strings.TrimSpace(w.ok(ann, "GET", "/api/v2/export", "").text)
	var doc struct {
		Paths      map[string]map[string]struct{ Responses map[string]any }
		Components struct {
			Schemas map[string]struct{ Required []string }
		}
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	documented := doc.Paths["/api/v2/import"]["post"].Responses
	r := rand.New(rand.NewPCG(1, 2))
	values := []string{`null`, `true`, `0`, `-1`, `1e999`, `""`, `"x"`, `"2026-13-40T99:00:00Z"`, `[]`, `{}`, `[[]]`, `"\ud800"`, `"` + strings.Repeat("y", 300) + `"`, `{"a":{"b":[1,{}]}}`}
	member := regexp.MustCompile(`"[a-z_]+":("[^"]*"|-?[0-9.]+|true|false|null|\[[^\[\]]*\]|\{[^{}]*\})`)
	seen := map[int]int{}
	for i := range 600 {
		line := strings.Split(whole, "\n")[r.IntN(strings.Count(whole, "\n")+1)]
		for range 1 + r.IntN(3) {
			switch r.IntN(4) {
			case 0: // another value of a member
				if all := member.FindAllStringIndex(line, -1); len(all) > 0 {
					at := all[r.IntN(len(all))]
					name, _, _ := strings.Cut(line[at[0]:at[1]], ":")
					line = line[:at[0]] + name + ":" + values[r.IntN(len(values))] + line[at[1]:]
				}
			case 1: // without a member
				if all := member.FindAllStringIndex(line, -1); len(all) > 0 {
					at := all[r.IntN(len(all))]
					line = line[:at[0]] + strings.TrimPrefix(line[at[1]:], ",")
				}
			case 2: // another byte
				at := r.IntN(len(line))
				line = line[:at] + string(rune(r.IntN(256))) + line[at+1:]
			case 3: // cut off
				line = line[:r.IntN(len(line))+1]
			}
			if line == "" {
				line = " "
			}
		}
		a := w.post(fmt.Sprintf("t%d///root", i), line+"\n")
		seen[a.status]++
		schema, media := "Imported", "application/json"
		if a.status != 200 {
			schema, media = "Problem", "application/problem+json"
		}
		if documented[strconv.Itoa(a.status)] == nil || a.status >= 500 || a.header.Get("Content-Type") != media {
			t.Errorf("%.200q: %d %s %s", line, a.status, a.header.Get("Content-Type"), a.text)
		}
		for _, name := range doc.Components.Schemas[schema].Required {
			if _, ok := a.body[name]; !ok {
				t.Errorf("%.200q: the answer has no %s: %s", line, name, a.text)
			}
		}
	}
	if seen[200] == 0 || seen[400] == 0 {
		t.Errorf("answers %v", seen)
	}
}
