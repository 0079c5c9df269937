package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBodies(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBody = 1000 })
	path := "/api/v2/agents/bot/remember"
	for _, c := range []struct {
		name, body string
		request    func(*http.Request)
		status     int
	}{
		{name: "none", body: "", status: 422},
		{name: "no JSON", body: `{`, status: 400},
		{name: "trailing", body: `{"content":"x"} {}`, status: 400},
		{name: "trailing garbage", body: `{"content":"x"}x`, status: 400},
		{name: "twice", body: `{"content":"x","content":"y"}`, status: 400},
		{name: "twice by escape", body: `{"content":"x","conten\u0074":"y"}`, status: 400},
		{name: "not UTF-8", body: "{\"content\":\"\xff\"}", status: 400},
		{name: "NaN", body: `{"content":"x","confidence":NaN}`, status: 400},
		{name: "huge number", body: `{"content":"x","confidence":1e999}`, status: 400},
		{name: "deep", body: strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), status: 400},
		{name: "list", body: `[]`, status: 422},
		{name: "large", body: `{"content":"` + strings.Repeat("x", 1000) + `"}`, status: 413},
		{name: "other type", body: `{"content":"x"}`, request: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, status: 415},
		{name: "no type", body: `{"content":"x"}`, request: func(r *http.Request) { r.Header.Del("Content-Type") }, status: 415},
		{name: "encoded", body: `{"content":"x"}`, request: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, status: 415},
		{name: "other case", body: `{"Content":"x"}`, status: 422},
		{name: "with charset", body: `{"content":"x"}`, request: func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }, status: 200},
		{name: "unknown member", body: `{"content":"x","other":1}`, status: 200},
	} {
		w.request = c.request
		if a := w.do("t", "POST", path, c.body); a.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.text, c.status)
		} else if strings.Contains(a.get("detail"), "x{") {
			t.Errorf("%s: the answer repeats the body: %s", c.name, a.text)
		}
	}
}

func TestProblemsNameEachIssue(t *testing.T) {
	w := newWorld(t)
	a := w.do("t", "POST", "/api/v2/agents/bot/batch-remember", `{"memories":[{"content":"x"},{"type":"nonsense","tags":["ok","a,b"],"confidence":"0.5"}]}`)
	var got struct {
		Detail string
		Errors []issue
	}
	if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.status != 422 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	want := map[string]string{
		"body.memories.1.content": "missing", "body.memories.1.type": "literal_error",
		"body.memories.1.tags.1": "string_pattern_mismatch", "body.memories.1.confidence": "float_type",
	}
	for _, e := range got.Errors {
		var loc []string
		for _, l := range e.Loc {
			b, _ := json.Marshal(l)
			loc = append(loc, strings.Trim(string(b), `"`))
		}
		at := strings.Join(loc, ".")
		if want[at] != e.Type {
			t.Errorf("%s: %s (%s)", at, e.Type, e.Msg)
		}
		delete(want, at)
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}
	if !strings.Contains(got.Detail, "body.memories.1.content: Field required") || !strings.Contains(got.Detail, "1 more") {
		t.Errorf("detail %q", got.Detail)
	}
}

func TestParseMoment(t *testing.T) {
	day := time.Date(2026, 5, 7, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		end  bool
		want time.Time
	}{
		{"2026-05-07", false, day},
		{"2026-05-07", true, day.AddDate(0, 0, 1).Add(-time.Microsecond)},
		{"2026-05-07T00:00:00Z", true, day},
		{"2026-05-07T02:00:00+02:00", false, day},
		{"2026-05-07T00:00:00", false, day},
		{"2026-05-07 00:00:00.000000", false, day},
		{"2026-05-07T00:00", false, day},
		{"2026-05-07T00:00:00.123456789Z", false, day.Add(123456 * time.Microsecond)},
	} {
		if got, ok := parseMoment(c.text, c.end); !ok || !got.Equal(c.want) {
			t.Errorf("%q: %v, %v", c.text, got, ok)
		}
	}
	for _, bad := range []string{"", "yesterday", "2026-13-01", "2026-05-07T25:00:00Z", "0000-01-01", "10000-01-01", "2026-05-07T00:00:00Z ", "1778112000"} {
		if got, ok := parseMoment(bad, false); ok {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2,{"b":null}]}`, `"x"`, `[`, `{"a":1,"a":2}`, `1e400`, `{"\u0000":"\ud800"}`, "\xff", `{"a":1}x`, strings.Repeat("[", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		var standard any
		if err := json.Unmarshal(data, &standard); err != nil {
			t.Fatalf("the standard library refuses %q: %v", data, err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var copy any
		if err := json.Unmarshal(again, &copy); err != nil || !reflect.DeepEqual(copy, standard) {
			t.Fatalf("%q became %q", data, again)
		}
	})
}

func TestParseLiteral(t *testing.T) {
	for text, want := range map[string]string{
		`{'user_id': 'alice'}`:               `{"user_id":"alice"}`,
		`{"user_id": "alice"}`:               `{"user_id":"alice"}`,
		`{'AND': [{'a': "it's"}, {'b': 1}]}`: `{"AND":[{"a":"it's"},{"b":1}]}`,
		`{'x': None, 'y': True, 'z': False}`: `{"x":null,"y":true,"z":false}`,
		`{'q': 'a\'b\\c\n\x41\u00e9'}`:       `{"q":"a'b\\c\nAé"}`,
		`{}`:                                 `{}`,
		`[]`:                                 `[]`,
		`{'n': -1.5e3}`:                      `{"n":-1500}`,
	} {
		v, err := parseLiteral(text)
		got, _ := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "{", "{'a'}", "{'a': }", "{'a': 1,, 'b': 2}", "{'a': 1} x", "{'a': 1, 'a': 2}", "x", "{1: 2}",
		"__import__('os')", "{'a': b}", "'\n'", `'\`, "{'a': inf}", strings.Repeat("[", 1000), "\xff"} {
		if v, err := parseLiteral(bad); err == nil {
			t.Errorf("%q: %v", bad, v)
		}
	}
}

func FuzzParseLiteral(f *testing.F) {
	for _, s := range []string{`{'a': 'b'}`, `{"a": [1, None, True]}`, `'\x80'`, `{'a': "it's"}`, `[[[[`, `{'\ud800': 1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseLiteral(s)
		if err != nil {
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
