package api

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/receipt"
)

// TestErase erases by each selection: what was meant is gone from everywhere, what was not is there, and the
// receipt says so.
func TestErase(t *testing.T) {
	w := newWorld(t)
	people(w)
	fill := func() string {
		id := w.remember(ann, "bot", "zqone of bot")
		w.remember(ann, "other", "zqtwo of other")
		w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zqthree"}],"user_id":"alice","agent_id":"bot"}`)
		w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zqfour"}],"user_id":"bob","metadata":{"k":"v"}}`)
		return id
	}
	total := func() string { return w.ok(ann, "POST", "/v3/memories/", `{}`).get("count") }
	for name, c := range map[string]struct{ body, matched, gone string }{
		"memory": {`{"memory_id":"ID"}`, "1", "zqone"}, "agent": {`{"agent_id":"bot"}`, "2", "zqone zqthree"}, "user": {`{"user_id":"alice"}`, "1", "zqthree"},
		"filter": {`{"filters":{"metadata":{"k":"v"}}}`, "1", "zqfour"}, "tenant": {`{"tenant":"t"}`, "4", "zqone zqtwo zqthree zqfour"},
	} {
		id := fill()
		body := strings.Replace(c.body, "ID", id, 1)
		dry := w.ok(ann, "POST", "/api/v2/erase", strings.Replace(body, "{", `{"dry_run":true,`, 1))
		if dry.get("matched") != c.matched || dry.get("memories") != c.matched || dry.get("receipt") != "null" || total() != "4" {
			t.Fatalf("%s, dry: %s, %s left", name, dry.text, total())
		}
		a := w.ok(ann, "POST", "/api/v2/erase", body)
		if a.get("memories") != c.matched || a.get("verified") != "true" || a.get("compacted") != "true" {
			t.Errorf("%s: %s", name, a.text)
		}
		r, err := receipt.Verify(a.get("receipt"), []byte(w.ok("", "GET", "/api/v2/receipt-keys", "").text))
		if err != nil || r.What != name || r.By != "ann" || r.Tenant != "t" || !r.Verified || !r.Compacted || r.ID != a.get("receipt_id") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if kept := w.ok(bob, "GET", "/api/v2/receipts/"+r.ID, ""); kept.get("receipt") != a.get("receipt") || kept.get("principal") != "ann" {
			t.Errorf("%s: %s", name, kept.text)
		}
		if a := w.do("other///x", "GET", "/api/v2/receipts/"+r.ID, ""); a.status != 404 {
			t.Errorf("%s: another tenant got the receipt: %d", name, a.status)
		}
		for _, word := range strings.Fields(c.gone) {
			if a := w.ok(ann, "POST", "/v3/memories/search/", `{"query":"`+word+`"}`); strings.Contains(a.text, `"memory":"`+word) {
				t.Errorf("%s: %s is found: %s", name, word, a.text)
			}
		}
		if a := w.do(ann, "GET", "/v1/memories/"+id+"/history/", ""); strings.Contains(c.gone, "zqone") && a.status != 404 {
			t.Errorf("%s: its history is left: %s", name, a.text)
		}
		w.ok(ann, "POST", "/api/v2/erase", `{"tenant":"t"}`)
	}
	for body, status := range map[string]int{
		`{}`: 400, `{"memory_id":"a","user_id":"b"}`: 400, `{"tenant":"other"}`: 422, `{"filters":{}}`: 422, `{"filters":{"nonsense":1}}`: 422, `{"user_id":""}`: 422,
		`{"user_id":"u","dry_run":"perhaps"}`: 422, `[]`: 422,
	} {
		if a := w.do(ann, "POST", "/api/v2/erase", body); a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
	fill()
	for body, status := range map[string]int{`{"tenant":"t"}`: 403, `{"agent_id":"other"}`: 403, `{"filters":{"agent_id":"other"}}`: 200, `{"user_id":"bob"}`: 200} {
		if a := w.do("t/bot//ann", "POST", "/api/v2/erase", body); a.status != status || status == 200 && a.get("memories") != "0" {
			t.Errorf("session of an agent, %s: %d %s", body, a.status, a.text)
		}
	}
	if a := w.do(ann, "GET", "/api/v2/receipts/..%2f..%2fx", ""); a.status != 404 {
		t.Errorf("a path as id: %d", a.status)
	}
}

// TestErasedBytesAreGone looks for what was erased in every byte on the disk of a store that is not encrypted.
func TestErasedBytesAreGone(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(c *Config) { c.Access = true; c.Store = openStore(t, dir) })
	people(w)
	w.request = nil
	for i := range 30 {
		w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zqcontent `+strings.Repeat("zqfiller ", 50*(i%3))+`"}],"user_id":"zqalice","agent_id":"zqagent","metadata":{"zqkey":"zqvalue"}}`)
	}
	w.remember(ann, "bot", "plain words stay")
	w.ok(ann, "PUT", "/api/v2/users/zqalice/consent", `{"purposes":{"memory":true},"source":"zqsource"}`)
	w.ok(ann, "POST", "/v3/memories/search/", `{"query":"zqcontent"}`)
	early := w.ok(ann, "POST", "/v3/memories/", `{}`).get("results", "1", "id")
	w.ok(ann, "PUT", "/v1/memories/"+early+"/", `{"text":"zqchanged"}`)
	w.ok(ann, "DELETE", "/v1/memories/"+early+"/", "")
	if !bytes.Contains(bytesBelow(t, dir), []byte("zqcontent")) {
		t.Fatal("the test cannot see what is there")
	}
	a := w.ok(ann, "POST", "/api/v2/erase", `{"user_id":"zqalice"}`)
	if a.get("memories") != "29" || a.get("compacted") != "true" {
		t.Errorf("%s", a.text)
	}
	w.ok(ann, "POST", "/api/v2/erase", `{"agent_id":"zqagent"}`)
	all := bytes.ToLower(bytesBelow(t, dir))
	for _, word := range []string{"zqcontent", "zqfiller", "zqalice", "zqagent", "zqkey", "zqvalue", "zqsource", "zqchanged", "zqchang"} {
		if i := bytes.Index(all, []byte(word)); i >= 0 {
			t.Errorf("%s is on the disk: %q", word, all[max(0, i-60):i+20])
		}
	}
	if got := w.recall(ann, "bot", `{"query":"words"}`); got != "plain words stay" {
		t.Errorf("%q", got)
	}
}

func bytesBelow(t *testing.T, dir string) (all []byte) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEraseNeedsAReceipt erases nothing when it could not be stated.
func TestEraseNeedsAReceipt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Receipts = receipt.NewBook(nil, file) })
	w.remember("t", "bot", "words")
	if a := w.do("t", "POST", "/api/v2/erase", `{"agent_id":"bot"}`); a.status != 500 {
		t.Errorf("%d", a.status)
	}
	if got := w.recall("t", "bot", `{"query":"words"}`); got != "words" {
		t.Errorf("%q", got)
	}
}

func TestLegalHold(t *testing.T) {
	w := newWorld(t)
	people(w)
	kept := w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq evidence"}],"user_id":"alice","agent_id":"bot","expiration_date":"2026-05-08"}`).get("results", "0", "id")
	w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq other"}],"user_id":"bob","agent_id":"bot"}`)
	if a := w.ok(ann, "POST", "/api/v2/hold", `{"user_id":"alice","reason":"case 12"}`); a.get("changed") != "1" {
		t.Errorf("%s", a.text)
	}
	for _, c := range [][3]string{{"DELETE", "/v1/memories/" + kept + "/", ""}, {"DELETE", "/api/v2/agents/bot/memories/" + kept, ""}, {"DELETE", "/v1/memories/?agent_id=bot", ""},
		{"DELETE", "/v2/entities/user/alice/", ""}, {"DELETE", "/v1/batch/", `{"memories":[{"memory_id":"` + kept + `"}]}`},
		{"POST", "/api/v2/agents/bot/memories/" + kept + "/expire", "{}"}, {"DELETE", "/api/v2/agents/bot?delete-backup-too=true", ""}, {"POST", "/api/v2/erase", `{"tenant":"t"}`}} {
		if a := w.do(ann, c[0], c[1], c[2]); a.status != 409 || !strings.HasSuffix(a.get("type"), "legal-hold") {
			t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.text)
		}
	}
	a := w.ok(ann, "POST", "/api/v2/erase", `{"agent_id":"bot"}`)
	r, err := receipt.Verify(a.get("receipt"), w.server.Receipts.JWKS())
	if err != nil || r.Memories != 1 || r.Held != 1 || a.get("kept_by_legal_hold") != "1" {
		t.Errorf("%s: %+v, %v", a.text, r, err)
	}
	w.ok(ann, "PUT", "/api/v2/data-policy", `{"keep_days":1,"expired_days":1}`)
	w.now = epoch.AddDate(0, 1, 0)
	if n, err := w.server.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if a := w.ok(ann, "GET", "/api/v2/agents/bot/memories/"+kept, ""); a.get("status") != "active" || a.get("legal_hold") != "case 12" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok(ann, "POST", "/api/v2/unhold", `{"memory_id":"`+kept+`"}`); a.get("changed") != "1" {
		t.Errorf("%s", a.text)
	}
	if n, err := w.server.Sweep(t.Context()); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if a := w.do(ann, "POST", "/api/v2/hold", `{"user_id":"alice"}`); a.status != 422 {
		t.Errorf("no reason: %d", a.status)
	}
}

func TestRetention(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Provisional = time.Hour })
	people(w)
	w.remember(ann, "bot", "zq old")
	w.ok(ann, "POST", "/api/v2/agents/bot/remember", `{"content":"zq short","expires_in":60}`)
	w.remember(bob, "bot", "zq unconfirmed in Oslo")
	all := func() string { return w.ok(ann, "POST", "/api/v2/agents/bot/recall/all", `{}`).contents() }
	active := func() string {
		return w.ok(ann, "POST", "/api/v2/agents/bot/recall/all", `{"status":"active"}`).contents()
	}
	w.now = epoch.Add(10 * time.Minute)
	if got := active(); strings.Contains(got, "short") || strings.Count(got, "zq") != 2 {
		t.Errorf("%s", got)
	}
	w.now = epoch.AddDate(0, 0, 8)
	w.remember(ann, "bot", "zq new")
	w.ok(ann, "PUT", "/api/v2/data-policy", `{"keep_days":30,"expired_days":7}`)
	if n, err := w.server.Sweep(t.Context()); err != nil || n != 2 { // what ran out, and what nobody confirmed
		t.Errorf("%d, %v", n, err)
	}
	if got := all(); got != "zq new|zq old" {
		t.Errorf("%s", got)
	}
	// What is too old is out of sight before it is swept.
	a := w.ok(ann, "PUT", "/api/v2/data-policy", `{"keep_days":5}`)
	if a.get("expired_days") != "7" || all() != "zq new" {
		t.Errorf("%s, %s", a.text, all())
	}
	if n, err := w.server.Sweep(t.Context()); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	for _, body := range []string{`{"keep_days":-1}`, `{"keep_days":99999999}`, `{"required_consent":["a b"]}`, `{"required_consent":"x"}`} {
		if a := w.do(ann, "PUT", "/api/v2/data-policy", body); a.status != 422 {
			t.Errorf("%s: %d", body, a.status)
		}
	}
	if a := w.do("t/bot//x", "PUT", "/api/v2/data-policy", `{}`); a.status != 403 {
		t.Errorf("session of an agent: %d", a.status)
	}
	if a := w.do(ann, "POST", "/api/v2/agents/bot/remember", `{"content":"x","expires_in":0}`); a.status != 422 {
		t.Errorf("%d", a.status)
	}
}

func TestConsent(t *testing.T) {
	w := newWorld(t)
	people(w)
	add := func(user string) answer {
		return w.do(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq of `+user+`"}],"user_id":"`+user+`"}`)
	}
	find := func(purpose string) (users string) {
		if purpose != "" {
			w.request = func(r *http.Request) { r.Header.Set(purposeHeader, purpose) }
		}
		defer func() { w.request = nil }()
		a := w.ok(ann, "POST", "/v3/memories/search/", `{"query":"zq"}`)
		for _, user := range []string{"alice", "bob", "eve"} {
			if strings.Contains(a.text, "zq of "+user) {
				users += user + " "
			}
		}
		return strings.TrimSpace(users)
	}
	set := func(user, body string) answer {
		return w.ok(ann, "PUT", "/api/v2/users/"+user+"/consent", body)
	}
	for _, user := range []string{"alice", "bob", "eve"} {
		if a := add(user); a.status != 200 {
			t.Fatal(a.text)
		}
	}
	// Withdrawal stops recall and writing at once; consent lets both go on.
	set("alice", `{"purposes":{"memory":false},"source":"settings page"}`)
	if a := add("alice"); a.status != 403 || !strings.HasSuffix(a.get("type"), "consent-required") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if got := find(""); got != "bob eve" {
		t.Errorf("%q", got)
	}
	w.now = epoch.Add(time.Hour)
	a := set("alice", `{"purposes":{"memory":true},"source":"support call"}`)
	if a.get("purposes", "memory", "source") != "support call" || a.get("purposes", "memory", "principal") != "ann" ||
		a.get("purposes", "memory", "at") != "2026-05-07T13:00:00.000000+00:00" {
		t.Errorf("%s", a.text)
	}
	if got := find(""); got != "alice bob eve" {
		t.Errorf("%q", got)
	}
	// Flags narrow what memories are used for.
	set("bob", `{"do_not_sell":true,"source":"x"}`)
	set("eve", `{"limit_use":true,"purposes":{"research":true},"source":"x"}`)
	set("alice", `{"purposes":{"research":false},"source":"x"}`)
	for purpose, want := range map[string]string{"": "alice bob eve", "sale": "alice", "research": "bob", "support": "alice bob"} {
		if got := find(purpose); got != want {
			t.Errorf("%q: %q, want %q", purpose, got, want)
		}
	}
	w.request = func(r *http.Request) { r.Header.Set(purposeHeader, "not a name") }
	if a := w.do(ann, "POST", "/v3/memories/search/", `{"query":"zq"}`); a.status != 400 {
		t.Errorf("%d", a.status)
	}
	w.request = nil
	// A tenant may require consent before anything is remembered of a user.
	w.ok(ann, "PUT", "/api/v2/data-policy", `{"required_consent":["memory","personalization"]}`)
	if a := add("alice"); a.status != 403 {
		t.Errorf("%d", a.status)
	}
	set("alice", `{"purposes":{"personalization":true},"source":"x"}`)
	if a := add("alice"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := w.do(ann, "POST", "/api/v2/agents/bot/remember", `{"content":"of nobody"}`); a.status != 200 {
		t.Errorf("%d %s", a.status, a.text)
	}
	set("alice", `{"purposes":{"personalization":false},"source":"x"}`)
	if got := find(""); got != "bob eve" {
		t.Errorf("%q", got)
	}
	if a := w.ok(ann, "GET", "/api/v2/users/alice/consent", ""); a.get("purposes", "memory", "granted") != "true" || a.get("purposes", "personalization", "granted") != "false" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok("other///x", "GET", "/api/v2/users/alice/consent", ""); a.get("purposes") != "{}" {
		t.Errorf("another tenant: %s", a.text)
	}
	for body, status := range map[string]int{`{"purposes":{"x":true}}`: 422, `{"purposes":{"x":1},"source":"s"}`: 422, `{"purposes":{"a b":true},"source":"s"}`: 422,
		`{"purposes":[],"source":"s"}`: 422, `{"do_not_sell":"perhaps","source":"s"}`: 422} {
		if a := w.do(ann, "PUT", "/api/v2/users/alice/consent", body); a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
	if a := w.do("t/bot//x", "PUT", "/api/v2/users/alice/consent", `{"source":"s"}`); a.status != 403 {
		t.Errorf("session of an agent: %d", a.status)
	}
	// What is erased is forgotten, the refusal too.
	w.ok(ann, "POST", "/api/v2/erase", `{"user_id":"eve"}`)
	if a := w.ok(ann, "GET", "/api/v2/users/eve/consent", ""); a.get("limit_use") != "false" || a.get("purposes") != "{}" {
		t.Errorf("%s", a.text)
	}
	if a := w.ok(ann, "GET", "/api/v2/data-policy", ""); a.get("users_refusing") != "2" {
		t.Errorf("%s", a.text)
	}
}

// TestWithdrawalStopsEveryRead looks for what a user withdrew by each way to read memories.
func TestWithdrawalStopsEveryRead(t *testing.T) {
	w := newWorld(t)
	people(w)
	id := w.ok(ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zq of alice"}],"user_id":"alice","agent_id":"bot"}`).get("results", "0", "id")
	w.remember(ann, "bot", "zq of nobody")
	const agent = "/api/v2/agents/bot"
	read := func() (seen []string) {
		for _, c := range [][3]string{{"POST", agent + "/recall", `{"query":"zq"}`}, {"POST", agent + "/recall/recent", `{}`}, {"POST", agent + "/recall/all", `{}`},
			{"POST", agent + "/recall/as-of", `{"as_of":"2027-01-01"}`}, {"POST", agent + "/recall/changed-since", `{"since":"2020-01-01"}`},
			{"GET", agent + "/memories/" + id, ""}, {"GET", agent + "/memories/" + id + "/history", ""}, {"POST", "/v3/memories/", `{}`}, {"POST", "/v3/memories/search/", `{"query":"zq"}`},
			{"GET", "/v1/memories/" + id + "/", ""}, {"GET", "/v1/memories/" + id + "/history/", ""}, {"GET", "/v1/entities/", ""}, {"GET", "/memories", ""},
			{"GET", "/memories/" + id, ""}, {"POST", "/search", `{"query":"zq"}`}, {"GET", "/entities", ""}} {
			if a := w.do(ann, c[0], c[1], c[2]); strings.Contains(a.text, "alice") {
				seen = append(seen, c[0]+" "+c[1])
			}
		}
		return seen
	}
	if seen := read(); len(seen) != 16 {
		t.Fatalf("the test cannot see what is there: %q", seen)
	}
	w.ok(ann, "PUT", "/api/v2/users/alice/consent", `{"purposes":{"memory":false},"source":"s"}`)
	if seen := read(); len(seen) != 0 {
		t.Errorf("after it was withdrawn: %q", seen)
	}
}
