// Package rights tests what people may demand of what is remembered about
// them, through the edge and a real Envoy: histories, review, erasure with its
// receipt, legal holds, consent, export and import, each with its own scope.
package rights

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/txntoken"
	"github.com/memgate/memgate/memory-backend/receipt"
)

var stack *harness.Stack

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) { stack = harness.StartStack(t, nil) })
}

const every = "memory:read memory:write memory:review memory:audit memory:erase memory:export memory:import memory:hold memory:consent memory:policy"

// person is somebody of a tenant who may do everything.
func person(tenant, subject string) string {
	return stack.TokenFor(dev.Claims{Tenant: tenant, Subject: subject, Scope: every, TTL: time.Hour})
}

// ok sends a request that must succeed, and decodes its answer.
func ok(t *testing.T, token, method, path, body string) map[string]any {
	t.Helper()
	r := stack.JSON(t, method, path, token, body)
	if r.Status < 200 || r.Status > 299 {
		t.Fatalf("%s %s: %d %s", method, path, r.Status, r.Body)
	}
	var a map[string]any
	if err := json.Unmarshal([]byte(r.Body), &a); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, r.Body)
	}
	return a
}

func remember(t *testing.T, token, content string) string {
	t.Helper()
	id, _ := ok(t, token, "POST", "/api/v2/agents/bot/remember", `{"content":"`+content+`"}`)["memory_id"].(string)
	return id
}

// TestScopes asks for each right with every scope but its own.
func TestScopes(t *testing.T) {
	for route, scope := range map[string]string{
		"GET /api/v2/agents/bot/memories/x/access": "memory:audit", "GET /api/v2/agents/bot/memories/x/history": "memory:read",
		"POST /api/v2/agents/bot/memories/x/confirm": "memory:write",
		"GET /api/v2/quarantine":                     "memory:review", "POST /api/v2/quarantine/x/release": "memory:review", "POST /api/v2/quarantine/x/reject": "memory:review",
		"GET /api/v2/agents/bot/policy": "memory:read", "PUT /api/v2/agents/bot/policy": "memory:write", "POST /api/v2/agents/bot/policy/apply": "memory:write",
		"POST /api/v2/agents/bot/policy/purge": "memory:erase",
		"POST /api/v2/erase":                   "memory:erase", "GET /api/v2/receipts/x": "memory:erase", "POST /api/v2/hold": "memory:hold", "POST /api/v2/unhold": "memory:hold",
		"GET /api/v2/users/u/consent": "memory:consent", "PUT /api/v2/users/u/consent": "memory:consent",
		"GET /api/v2/data-policy": "memory:policy", "PUT /api/v2/data-policy": "memory:policy",
		"GET /api/v2/export": "memory:export", "POST /api/v2/import": "memory:import",
	} {
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if method != "GET" {
			body = "{}"
		}
		token := stack.Token("scopes", strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(every, scope, ""), "  ", " ")))
		if r := stack.JSON(t, method, path, token, body); r.Status != 403 || !strings.Contains(r.Body, "problem:forbidden") {
			t.Errorf("%s without %s: %d %s", route, scope, r.Status, r.Body)
		}
		if r := stack.JSON(t, method, path, stack.Token("scopes", scope), body); r.Status == 403 || r.Status == 401 || r.Status >= 500 {
			t.Errorf("%s with %s: %d %s", route, scope, r.Status, r.Body)
		}
	}
}

func TestHistoryAndConfirmation(t *testing.T) {
	ann, bob := person("history", "ann"), person("history", "bob")
	id := remember(t, ann, "prefers green tea")
	ok(t, bob, "PATCH", "/api/v2/agents/bot/memories/"+id, `{"content":"prefers black coffee"}`)
	a := ok(t, ann, "GET", "/api/v2/agents/bot/memories/"+id+"/history", "")
	changes, _ := a["changes"].([]any)
	if len(changes) != 2 {
		t.Fatalf("%v", a)
	}
	last, _ := changes[1].(map[string]any)
	if last["before"] != "prefers green tea" || last["after"] != "prefers black coffee" || !strings.HasSuffix(last["principal"].(string), "bob") {
		t.Errorf("%v", last)
	}
	if r := stack.JSON(t, "POST", "/api/v2/agents/bot/memories/"+id+"/confirm", bob, ""); r.Status != 409 {
		t.Errorf("its own writer: %d %s", r.Status, r.Body)
	}
	ok(t, ann, "POST", "/api/v2/agents/bot/memories/"+id+"/confirm", "")
}

// TestReview holds a memory as the edge does, and reviews it through the edge. A client's own mark says nothing.
func TestReview(t *testing.T) {
	ann := person("review", "ann")
	r := stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/bot/remember", Body: `{"content":"zq mine"}`,
		Header: map[string]string{"Authorization": "Bearer " + ann, "Content-Type": "application/json", "X-Memgate-Quarantine": "score=9"}})
	if r.Status != 200 && r.Status != 400 || strings.Contains(r.Body, `"held"`) {
		t.Errorf("a client marked its own write: %d %s", r.Status, r.Body)
	}
	key, err := txntoken.LoadOrCreateKey(filepath.Join(stack.Dir, "txn-key.json"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := txntoken.NewSigner(key, "memgate", time.Minute, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(txntoken.Claims{ID: "held", Audience: "memory", Subject: "mallory", Tenant: "review", Kind: "jwt", Trust: "unconfirmed"})
	if err != nil {
		t.Fatal(err)
	}
	write := func(content, mark string) string {
		t.Helper()
		header := map[string]string{"Txn-Token": token, "Content-Type": "application/json"}
		if mark != "" {
			header["X-Memgate-Quarantine"] = mark
		}
		r := harness.Do(t, stack.BackendURL, harness.Request{Method: "POST", Path: "/api/v2/agents/bot/remember", Header: header, Body: `{"type":"fact","content":"` + content + `"}`})
		var a map[string]any
		if err := json.Unmarshal([]byte(r.Body), &a); r.Status != 200 || err != nil || (a["status"] == "held") != (mark != "") {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		id, _ := a["memory_id"].(string)
		return id
	}
	good, bad := write("zq harmless", `score=4, rules=("override")`), write("zq harmful", `score=9, rules=("override" "exfiltration")`)
	recall := func() string {
		return stack.JSON(t, "POST", "/api/v2/agents/bot/recall", ann, `{"query":"zq"}`).Body
	}
	if body := recall(); strings.Contains(body, "harm") {
		t.Errorf("recalled: %s", body)
	}
	list := stack.JSON(t, "GET", "/api/v2/quarantine", ann, "").Body
	if !strings.Contains(list, good) || !strings.Contains(list, bad) || !strings.Contains(list, `"rules":["override","exfiltration"]`) {
		t.Errorf("%s", list)
	}
	if body := stack.JSON(t, "GET", "/api/v2/quarantine", person("elsewhere", "ann"), "").Body; strings.Contains(body, good) {
		t.Errorf("another tenant sees it: %s", body)
	}
	ok(t, ann, "POST", "/api/v2/quarantine/"+good+"/release", "")
	ok(t, ann, "POST", "/api/v2/quarantine/"+bad+"/reject", "")
	if body := recall(); !strings.Contains(body, "zq harmless") || strings.Contains(body, "zq harmful") {
		t.Errorf("after the review: %s", body)
	}
	if body := stack.JSON(t, "GET", "/api/v2/agents/bot/memories/"+good+"/history", ann, "").Body; !strings.Contains(body, "RELEASE") || !strings.Contains(body, "ann") {
		t.Errorf("%s", body)
	}
	// What an unconfirmed writer says is told as such, and for how long it is valid.
	id := write("zq tentative", "")
	a := ok(t, ann, "GET", "/api/v2/agents/bot/memories/"+id, "")
	if a["trust"] != "unconfirmed" || a["principal"] != "mallory" || a["provisional_until"] == nil {
		t.Errorf("%v", a)
	}
	if a := ok(t, ann, "POST", "/api/v2/agents/bot/memories/"+id+"/confirm", ""); a["provisional_until"] != nil {
		t.Errorf("%v", a)
	}
}

func TestErasure(t *testing.T) {
	ann := person("erase", "ann")
	for _, user := range []string{"alice@example.com", "bob@example.com"} {
		ok(t, ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zqerase my dog is called Rex"}],"user_id":"`+user+`","agent_id":"bot"}`)
	}
	const alice = `"user_id":"alice@example.com"`
	if a := ok(t, ann, "POST", "/api/v2/erase", `{`+alice+`,"dry_run":true}`); a["matched"] != 1.0 || a["receipt"] != nil {
		t.Errorf("dry: %v", a)
	}
	ok(t, ann, "POST", "/api/v2/hold", `{`+alice+`,"reason":"case 12"}`)
	if a := ok(t, ann, "POST", "/api/v2/erase", `{`+alice+`}`); a["memories"] != 0.0 || a["kept_by_legal_hold"] != 1.0 {
		t.Errorf("under a hold: %v", a)
	}
	ok(t, ann, "POST", "/api/v2/unhold", `{`+alice+`}`)
	a := ok(t, ann, "POST", "/api/v2/erase", `{`+alice+`}`)
	if a["memories"] != 1.0 || a["verified"] != true || a["compacted"] != true {
		t.Errorf("%v", a)
	}
	keys := stack.Do(t, harness.Request{Path: "/api/v2/receipt-keys"})
	signed, _ := a["receipt"].(string)
	r, err := receipt.Verify(signed, []byte(keys.Body))
	if err != nil || r.Tenant != "erase" || r.What != "user" || r.Of != "alice@example.com" || r.Memories != 1 || !strings.HasSuffix(r.By, "ann") {
		t.Fatalf("%+v, %v", r, err)
	}
	if kept := ok(t, ann, "GET", "/api/v2/receipts/"+r.ID, ""); kept["receipt"] != signed {
		t.Errorf("%v", kept)
	}
	if body := stack.JSON(t, "POST", "/v3/memories/search/", ann, `{"query":"dog"}`).Body; strings.Contains(body, "alice@") || !strings.Contains(body, "bob@") {
		t.Errorf("%s", body)
	}
	if a := ok(t, ann, "POST", "/api/v2/erase", `{"tenant":"erase"}`); a["memories"] != 1.0 || a["verified"] != true {
		t.Errorf("%v", a)
	}
	if body := stack.JSON(t, "POST", "/v3/memories/", ann, `{}`).Body; strings.Contains(body, "zqerase") {
		t.Errorf("%s", body)
	}
}

func TestConsentThroughTheEdge(t *testing.T) {
	ann := person("consent", "ann")
	add := func() *harness.Response {
		return stack.JSON(t, "POST", "/v3/memories/add/", ann, `{"messages":[{"role":"user","content":"zq likes tea"}],"user_id":"carol"}`)
	}
	find := func(purpose string) string {
		header := map[string]string{"Authorization": "Bearer " + ann, "Content-Type": "application/json"}
		if purpose != "" {
			header["Memory-Purpose"] = purpose
		}
		return stack.Do(t, harness.Request{Method: "POST", Path: "/v3/memories/search/", Header: header, Body: `{"query":"zq tea"}`}).Body
	}
	ok(t, ann, "PUT", "/api/v2/data-policy", `{"required_consent":["memory"]}`)
	if r := add(); r.Status != 403 || !strings.Contains(r.Body, "consent-required") {
		t.Errorf("without consent: %d %s", r.Status, r.Body)
	}
	ok(t, ann, "PUT", "/api/v2/users/carol/consent", `{"purposes":{"memory":true},"do_not_sell":true,"source":"sign-up form"}`)
	if r := add(); r.Status != 200 {
		t.Fatalf("with consent: %d %s", r.Status, r.Body)
	}
	if !strings.Contains(find(""), "likes tea") || strings.Contains(find("sale"), "likes tea") {
		t.Errorf("%s, for sale: %s", find(""), find("sale"))
	}
	ok(t, ann, "PUT", "/api/v2/users/carol/consent", `{"purposes":{"memory":false},"source":"settings page"}`)
	if body := find(""); strings.Contains(body, "likes tea") {
		t.Errorf("after it was withdrawn: %s", body)
	}
	if r := add(); r.Status != 403 {
		t.Errorf("after it was withdrawn: %d", r.Status)
	}
}

func TestExportAndImportThroughTheEdge(t *testing.T) {
	ann := person("export", "ann")
	for range 3 {
		remember(t, ann, "zq write to jane.doe@example.com")
	}
	r := stack.JSON(t, "GET", "/api/v2/export", ann, "")
	lines := strings.Split(strings.TrimSpace(r.Body), "\n")
	if r.Status != 200 || len(lines) != 6 || !strings.Contains(lines[5], `"kind":"end"`) || strings.Contains(r.Body, "jane.doe") {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	var first struct{ Cursor string }
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if rest := stack.JSON(t, "GET", "/api/v2/export?cursor="+first.Cursor, ann, ""); !strings.HasPrefix(rest.Body, lines[1]) {
		t.Errorf("%s", rest.Body)
	}
	into := person("import", "ann")
	send := func(body string) *harness.Response {
		return stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/import", Body: body,
			Header: map[string]string{"Authorization": "Bearer " + into, "Content-Type": "application/x-ndjson"}})
	}
	if r := send(r.Body); r.Status != 200 || !strings.Contains(r.Body, `"memories":3`) {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r := send(r.Body); r.Status != 200 || !strings.Contains(r.Body, `"memories":0`) {
		t.Errorf("again: %d %s", r.Status, r.Body)
	}
	if body := stack.JSON(t, "POST", "/api/v2/agents/bot/recall", into, `{"query":"zq"}`).Body; strings.Count(body, "[EMAIL_ADDRESS]") < 3 {
		t.Errorf("%s", body)
	}
	if r := send("{}\n"); r.Status != 400 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestNothingIsReadable looks for what was remembered in every file of the service.
func TestNothingIsReadable(t *testing.T) {
	ann := person("bytes", "ann")
	ok(t, ann, "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zqunreadable text"}],"user_id":"zqperson"}`)
	ok(t, ann, "PUT", "/api/v2/users/zqperson/consent", `{"purposes":{"memory":true},"source":"zqsource"}`)
	ok(t, ann, "POST", "/api/v2/hold", `{"user_id":"zqperson","reason":"zqreason"}`)
	files, err := filepath.Glob(filepath.Join(stack.Dir, "data", "*.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"zqunreadable", "zqperson", "zqsource", "zqreason"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s is readable in %s", word, filepath.Base(path))
			}
		}
	}
}

// TestExpiryPolicy decides when an agent's memories expire, has it applied and has forgotten what did, through the edge.
func TestExpiryPolicy(t *testing.T) {
	token := person("expiry", "svc-expiry")
	id := remember(t, token, "The build is red")
	ok(t, token, "PUT", "/api/v2/agents/bot/policy", `{"rules":[{"name":"old","match":{},"expire_after":"1m"}],"purge_expired_after":"1m"}`)
	if a := ok(t, token, "POST", "/api/v2/agents/bot/policy/apply", `{"dry_run":true}`); a["scanned"] != 1.0 || a["matched"] != 0.0 {
		t.Errorf("%v", a)
	}
	if a := ok(t, token, "GET", "/api/v2/agents/bot/policy/presets/balanced", ""); a["name"] != "balanced" {
		t.Errorf("%v", a)
	}
	ok(t, token, "POST", "/api/v2/agents/bot/memories/"+id+"/expire", "")
	if a := ok(t, token, "POST", "/api/v2/agents/bot/policy/purge", ""); a["enabled"] != true || a["purged"] != 0.0 {
		t.Errorf("%v", a)
	}
	for _, path := range []string{"GET /api/v2/agents/bot/conflicts", "POST /api/v2/agents/bot/conflicts/resolve"} {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		if method == "POST" {
			body = "{}"
		}
		if r := stack.JSON(t, method, path, token, body); r.Status != 501 || !strings.Contains(r.Body, "needs-language-model") {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
}
