package dropin

import (
	"encoding/base64"
	"net"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// record is the JSON of a record of Kinto.
func record(text string) string { return `{"data":{"text":"` + text + `"}}` }

const (
	notes = "/v1/buckets/acme/collections/notes"
	email = "jane.doe@example.com"
)

// TestKinto: a store of JSON with a login of its own, from PyPI.
func TestKinto(t *testing.T) {
	t.Parallel()
	kinto := harness.Fetched(t, "KINTO", "kinto/bin/kinto", "tools/venv.sh kinto")
	login := base64.StdEncoding.EncodeToString([]byte("edge:" + strings.Repeat("login", 3)))
	address := harness.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	service := harness.Start(t, "kinto", []string{"KINTO_USERID_HMAC_SECRET=" + strings.Repeat("hmac", 8), "PYTHONWARNINGS=ignore"},
		kinto, "start", "--ini", "e2e/dropin/testdata/kinto.ini", "--port", port)
	service.WaitReady("http://" + address + "/v1/__heartbeat__")
	e := start(t, "kinto.yaml", "127.0.0.1:8888", address, [][2]string{
		{"acme", "kinto:admin kinto:read kinto:write"}, {"acme", "kinto:read"}, {"globex", "kinto:admin kinto:read kinto:write"},
	}, "KINTO_LOGIN="+login)
	admin, reader, other := e.keys[0], e.keys[1], e.keys[2]
	do := func(method, path, key, body string, more ...string) *harness.Response {
		t.Helper()
		header := map[string]string{}
		if key != "" {
			header["X-API-Key"] = key
		}
		if body != "" {
			header["Content-Type"] = "application/json"
		}
		for i := 0; i < len(more); i += 2 {
			header[more[i]] = more[i+1]
		}
		return harness.Do(t, e.URL, harness.Request{Method: method, Path: path, Header: header, Body: body})
	}
	want := func(r *harness.Response, status int) *harness.Response {
		t.Helper()
		if r.Status != status {
			t.Fatalf("status %d, want %d: %s", r.Status, status, r.Body)
		}
		return r
	}

	// Kinto by itself knows nobody without its login, and the edge brings it.
	want(harness.Do(t, e.service, harness.Request{Method: "PUT", Path: "/v1/buckets/acme"}), 401)
	want(do("PUT", "/v1/buckets/acme", admin, ""), 201)
	want(do("PUT", notes, admin, ""), 201)
	want(do("GET", "/v1/__heartbeat__", "", ""), 200)

	// Personal data is neither stored nor given out.
	written := want(do("POST", notes+"/records", admin, record("write to "+email)), 201)
	if !strings.Contains(written.Body, "[EMAIL_ADDRESS]") || strings.Contains(written.Body, "jane") {
		t.Errorf("the answer to a write: %s", written.Body)
	}
	past := map[string]string{"Authorization": "Basic " + login, "Content-Type": "application/json"}
	held := want(harness.Do(t, e.service, harness.Request{Path: notes + "/records", Header: past}), 200)
	if !strings.Contains(held.Body, "write to [EMAIL_ADDRESS]") || strings.Contains(held.Body, email) {
		t.Errorf("Kinto holds %s", held.Body)
	}
	want(harness.Do(t, e.service, harness.Request{Method: "PUT", Path: notes + "/records/old", Header: past, Body: record("from before: " + email)}), 201)
	old := want(do("GET", notes+"/records/old", reader, ""), 200)
	if !strings.Contains(old.Body, "from before: [EMAIL_ADDRESS]") || strings.Contains(old.Body, email) {
		t.Errorf("a record from before the edge comes as %s", old.Body)
	}
	if line := e.audited(t, old.ID); !strings.Contains(line, "EMAIL_ADDRESS") || strings.Contains(line, email) {
		t.Errorf("the audit log has %s", line)
	}
	card := strings.Join([]string{"4111", "1111", "1111", "1111"}, " ")
	refused(t, do("PUT", notes+"/records/card", admin, record("pay with "+card)), 422, "blocked-pii")
	want(harness.Do(t, e.service, harness.Request{Path: notes + "/records/card", Header: past}), 404)

	// What Kinto answers by itself arrives, errors too.
	want(do("GET", notes+"/records/none", reader, ""), 404)
	want(do("PUT", notes+"/records/old", admin, record("later"), "If-None-Match", "*"), 412)
	want(do("DELETE", notes+"/records/old", admin, ""), 200)

	t.Run("refusals", func(t *testing.T) {
		refused(t, do("GET", notes+"/records", "", ""), 401, "unauthenticated")
		refused(t, do("GET", notes+"/records", "mg_dev_"+strings.Repeat("A", 20), ""), 401, "invalid-credentials")
		// Kinto's own login is of no use to who has learnt it.
		refused(t, do("GET", notes+"/records", "", "", "Authorization", "Basic "+login), 401, "invalid-credentials")
		refused(t, do("POST", notes+"/records", reader, record("x")), 403, "forbidden")
		refused(t, do("GET", notes+"/records", other, ""), 403, "tenant-mismatch")
		refused(t, do("PUT", "/v1/buckets/acme", other, ""), 403, "tenant-mismatch")
		refused(t, do("GET", "/v1/buckets", admin, ""), 403, "no-route")
		refused(t, do("POST", "/v1/batch", admin, `{"requests":[]}`), 403, "no-route")
		refused(t, do("POST", notes+"/records", admin, `{"data":`), 400, "malformed-json")
		refused(t, do("POST", notes+"/records", admin, record(strings.Repeat("x", 11<<10))), 413, "field-too-large")
		refused(t, do("POST", notes+"/records", admin, "text", "Content-Type", "text/plain"), 415, "unsupported-media-type")
	})
	t.Run("CORS", func(t *testing.T) { cors(t, e, notes+"/records", "https://app.example.com", reader) })

	// A tenant has its own bucket, whoever else has one.
	want(do("PUT", "/v1/buckets/globex", other, ""), 201)
	if leaked := service.Log(0); strings.Contains(leaked, email) {
		t.Error("Kinto's log holds what the edge should have redacted")
	}
}

// cors checks a preflight and a request of a page, of the origin that the policy
// names and of another one.
func cors(t *testing.T, e *edge, path, origin, key string) {
	t.Helper()
	ask := func(from string) *harness.Response {
		return harness.Do(t, e.URL, harness.Request{Method: "OPTIONS", Path: path, Header: map[string]string{
			"Origin": from, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}})
	}
	if r := ask(origin); r.Status != 204 || r.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("preflight: %d %v", r.Status, r.Header)
	}
	refused(t, ask("https://evil.example.net"), 403, "origin-refused")
	for _, from := range []string{origin, "https://evil.example.net"} {
		r := harness.Do(t, e.URL, harness.Request{Path: path, Header: map[string]string{"Origin": from, "Authorization": "Bearer " + key}})
		got := r.Header.Values("Access-Control-Allow-Origin")
		if from == origin && (len(got) != 1 || got[0] != origin) || from != origin && len(got) != 0 {
			t.Errorf("a request of a page of %s: %d, allowed origins %q", from, r.Status, got)
		}
	}
}
