package attacks

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signer signs what no library would, with the issuer's own key.
type signer struct {
	private *ecdsa.PrivateKey
	public  string // the key's public part, as a JWK
	kid     string
}

func issuerKey(t *testing.T) *signer {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(stack.Dir, "issuer-key.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.ParseKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{private: new(ecdsa.PrivateKey)}
	if err := jwk.Export(key, s.private); err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	s.public = string(text)
	s.kid, _ = key.KeyID()
	return s
}

func (s *signer) sign(t *testing.T, header, claims string) string {
	t.Helper()
	head := b64(header) + "." + b64(claims)
	sum := sha256.Sum256([]byte(head))
	r, v, err := ecdsa.Sign(rand.Reader, s.private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	v.FillBytes(sig[32:])
	return head + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func mac(key, head string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(head))
	return head + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Each forged token is answered with 401, or with 400 where no token is in it,
// and tells nothing of what is wrong with it.
func TestForgedTokens(t *testing.T) {
	key := issuerKey(t)
	good := stack.TokenFor(dev.Claims{Tenant: "forger", Subject: "s", Scope: scopes, TTL: time.Hour})
	parts := strings.Split(good, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := string(raw)
	head := func(more string) string { return `{"alg":"ES256","kid":"` + key.kid + `"` + more + `}` }
	with := func(name, value string) string {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if m[name] = json.RawMessage(value); value == "" {
			delete(m, name)
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	order := key.private.Curve.Params().N
	sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
	s := new(big.Int).Sub(order, new(big.Int).SetBytes(sig[32:]))
	mirrored := append(slices.Clone(sig[:32]), s.FillBytes(make([]byte, 32))...)

	if r := stack.JSON(t, "GET", agents, key.sign(t, head(""), claims), ""); r.Status != 200 {
		t.Fatalf("what is signed here is not believed at all: %d %s", r.Status, r.Body)
	}
	for name, token := range map[string]string{
		"none":                            b64(`{"alg":"none"}`) + "." + parts[1] + ".",
		"None":                            b64(`{"alg":"None"}`) + "." + parts[1] + "." + parts[2],
		"no algorithm":                    b64(`{}`) + "." + parts[1] + "." + parts[2],
		"HS256 with the public key":       mac(key.public, b64(`{"alg":"HS256","kid":"`+key.kid+`"}`)+"."+parts[1]),
		"HS256 with nothing":              mac("", b64(`{"alg":"HS256","kid":"`+key.kid+`"}`)+"."+parts[1]),
		"ES384":                           key.sign(t, strings.Replace(head(""), "ES256", "ES384", 1), claims),
		"RS256":                           key.sign(t, strings.Replace(head(""), "ES256", "RS256", 1), claims),
		"a key of one's own":              key.sign(t, head(`,"jwk":`+key.public), claims),
		"a key set of one's own":          key.sign(t, head(`,"jku":"http://127.0.0.1:1/jwks"`), claims),
		"a certificate of one's own":      key.sign(t, head(`,"x5c":["MIIB"],"x5u":"http://127.0.0.1:1/"`), claims),
		"an unknown critical header":      key.sign(t, head(`,"crit":["exp"],"exp":1`), claims),
		"an unencoded payload":            key.sign(t, head(`,"b64":false,"crit":["b64"]`), claims),
		"compressed":                      key.sign(t, head(`,"zip":"DEF"`), claims),
		"nested":                          key.sign(t, head(`,"cty":"JWT"`), claims),
		"an algorithm twice":              key.sign(t, strings.Replace(head(""), "{", `{"alg":"none",`, 1), claims),
		"a tenant twice":                  key.sign(t, head(""), strings.Replace(claims, "{", `{"org_id":"victim",`, 1)),
		"a kid that is a path":            key.sign(t, `{"alg":"ES256","kid":"../../../../dev/null"}`, claims),
		"a kid that is SQL":               key.sign(t, `{"alg":"ES256","kid":"' OR 1=1 --"}`, claims),
		"a signature of zeros":            parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"two parts":                       parts[0] + "." + parts[1],
		"four parts":                      good + ".x",
		"five parts":                      good + ".x.y",
		"a signature in DER":              parts[0] + "." + parts[1] + "." + b64("0E\x02 "+string(sig[:32])+"\x02!\x00"+string(sig[32:])),
		"bits left over":                  good[:len(good)-1] + string(next(good[len(good)-1])),
		"padding":                         good + "==",
		"plus and slash":                  parts[0] + "." + parts[1] + "." + base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\xff", 64))),
		"another tenant, the same token":  parts[0] + "." + b64(strings.Replace(claims, "forger", "victim", 1)) + "." + parts[2],
		"expired":                         stack.TokenFor(dev.Claims{Tenant: "forger", Subject: "s", Scope: scopes, TTL: -time.Hour}),
		"no expiry":                       key.sign(t, head(""), with("exp", "")),
		"an expiry that is text":          key.sign(t, head(""), with("exp", `"99999999999"`)),
		"an expiry beyond all bounds":     key.sign(t, head(""), with("exp", "1e400")),
		"not yet valid":                   key.sign(t, head(""), with("nbf", "99999999999")),
		"issued in the future":            key.sign(t, head(""), with("iat", "99999999999")),
		"another issuer":                  key.sign(t, head(""), with("iss", `"https://evil.example"`)),
		"an issuer with a slash":          key.sign(t, head(""), with("iss", `"`+issuerOf(t, claims)+`/"`)),
		"no issuer":                       key.sign(t, head(""), with("iss", "")),
		"another audience":                key.sign(t, head(""), with("aud", `"other"`)),
		"memgate's own audience":          key.sign(t, head(""), with("aud", `"memgate"`)),
		"no audience":                     key.sign(t, head(""), with("aud", "")),
		"no tenant":                       key.sign(t, head(""), with("org_id", "")),
		"a tenant that leaves its folder": key.sign(t, head(""), with("org_id", `"../../etc"`)),
		"a tenant with a NUL":             key.sign(t, head(""), with("org_id", `"a\u0000b"`)),
		"a tenant with a line break":      key.sign(t, head(""), with("org_id", `"a\r\nX-Evil: 1"`)),
		"a tenant that is a list":         key.sign(t, head(""), with("org_id", `["a","b"]`)),
		"an empty tenant":                 key.sign(t, head(""), with("org_id", `""`)),
		"a long tenant":                   key.sign(t, head(""), with("org_id", `"`+strings.Repeat("a", 65)+`"`)),
		"a subject with a line break":     key.sign(t, head(""), with("sub", `"a\r\nX-Memgate-Tenant: victim"`)),
		"a subject beyond ASCII":          key.sign(t, head(""), with("sub", `"\u202eroot"`)),
		"no subject":                      key.sign(t, head(""), with("sub", "")),
		"encrypted":                       b64(`{"alg":"dir","enc":"A256GCM"}`) + "..AAAA.AAAA.AAAA",
		"9000 bytes":                      key.sign(t, head(""), with("x", `"`+strings.Repeat("a", 9000)+`"`)),
		"a Txn-Token":                     b64(`{"alg":"EdDSA","typ":"txntoken+jwt","kid":"x"}`) + "." + parts[1] + "." + parts[2],
		"deep claims":                     key.sign(t, head(""), with("x", strings.Repeat("[", 3000)+strings.Repeat("]", 3000))),
	} {
		t.Run(name, func(t *testing.T) {
			r := stack.JSON(t, "GET", agents, token, "")
			if r.Status != 401 && r.Status != 400 {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			for _, fault := range answerRules(r) {
				t.Error(fault)
			}
		})
	}
	// A signature has a mirror image that is as valid. It is another text for the
	// same token, which must say the same and no more.
	r := stack.JSON(t, "GET", "/api/v2/status", parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(mirrored), "")
	if r.Status == 200 && !strings.Contains(r.Body, `"tenant":"forger"`) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func issuerOf(t *testing.T, claims string) string {
	var c struct{ Iss string }
	if err := json.Unmarshal([]byte(claims), &c); err != nil {
		t.Fatal(err)
	}
	return c.Iss
}

// next is another base64url character that differs in the lowest bit only.
func next(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// Tokens of unknown keys make memgate ask the issuer, but not once for each.
func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	key := issuerKey(t)
	before := issuer.asked()
	for i := range 200 {
		token := key.sign(t, `{"alg":"ES256","kid":"unknown-`+strconv.Itoa(i)+`"}`, `{"iss":"x"}`)
		if i%2 == 0 {
			token = key.sign(t, `{"alg":"ES256","kid":"unknown-`+strconv.Itoa(i)+`"}`, decode(t, stack.Token("flood", scopes)))
		}
		if r := stack.JSON(t, "GET", agents, token, ""); r.Status != 401 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	if asked := issuer.asked() - before; asked > 3 {
		t.Errorf("200 tokens of unknown keys made memgate ask the issuer %d times", asked)
	}
	if r := stack.JSON(t, "GET", agents, stack.Token("after-flood", scopes), ""); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func decode(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An unknown key, a wrong secret of a known key, and a revoked key cannot be told
// apart by the answer.
func TestAPIKeysCannotBeProbed(t *testing.T) {
	key := stack.APIKey("probe", scopes)
	with := func(key string) *harness.Response {
		return stack.Do(t, harness.Request{Path: agents, Header: map[string]string{"X-Api-Key": key}})
	}
	harness.Eventually(t, func() error { return harness.Want(with(key), 200) })
	revoked := stack.APIKey("probe", scopes)
	harness.Eventually(t, func() error { return harness.Want(with(revoked), 200) })
	stack.CLI("key", "revoke", "--config", stack.Config, idOf(revoked))
	harness.Eventually(t, func() error { return harness.Want(with(revoked), 401) })

	changed := []byte(key)
	changed[len(key)-20] = next(changed[len(key)-20])
	var first *harness.Response
	for _, c := range []struct{ name, key string }{
		{"revoked", revoked},
		{"a wrong secret", string(changed)},
		{"an unknown id", strings.Replace(key, idOf(key), strings.Repeat("a", len(idOf(key))), 1)},
		{"cut off", key[:len(key)-1]},
		{"the id alone", "mg_" + idOf(key)},
		{"nothing but the prefix", "mg_"},
		{"another case", strings.ToUpper(key)},
		{"9000 bytes", "mg_" + strings.Repeat("a", 9000)},
	} {
		r := with(c.key)
		if r.Status != 401 {
			t.Errorf("%s: %d %s", c.name, r.Status, r.Body)
		}
		for _, fault := range answerRules(r) {
			t.Errorf("%s: %s", c.name, fault)
		}
		if first == nil {
			first = r
		}
		if got, want := strings.ReplaceAll(r.Body, r.ID, ""), strings.ReplaceAll(first.Body, first.ID, ""); got != want || len(r.Header) != len(first.Header) {
			t.Errorf("%s is answered differently: %s", c.name, got)
		}
	}
}

func idOf(key string) string { p := strings.Split(key, "_"); return p[len(p)-2] }

// A session stays with its agent, its subject and its scopes, whatever route is
// tried and whatever stands beside it.
func TestSessionsStayWithinTheirBounds(t *testing.T) {
	writer, reader := stack.Token("bounds", scopes), stack.Token("bounds", "memory:read")
	other := stack.TokenFor(dev.Claims{Tenant: "bounds", Subject: "other", Scope: scopes, TTL: time.Hour})
	for _, agent := range []string{"mine", "secret"} {
		for _, r := range []*harness.Response{
			stack.JSON(t, "POST", "/api/v2/agents/"+agent+"/remember", writer, `{"type":"fact","content":"the `+agent+` treasure lies under the oak"}`),
		} {
			if r.Status != 200 {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
		}
	}
	harness.Needs(t, harness.OwnRoutes)
	activate := func(header map[string]string) (string, *harness.Response) {
		r := stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/mine/activate", Header: header})
		var s struct {
			Token string `json:"session_token"`
		}
		_ = json.Unmarshal([]byte(r.Body), &s)
		return s.Token, r
	}
	session, r := activate(map[string]string{"Authorization": "Bearer " + writer})
	if r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for _, c := range []struct {
		name, method, path, body string
		want                     []int
	}{
		{"another agent", "POST", "/api/v2/agents/secret/recall", `{"query":"treasure"}`, []int{403}},
		{"another agent, encoded", "POST", "/api/v2/agents/secre%74/recall", `{"query":"treasure"}`, []int{403}},
		{"another agent through dots", "POST", "/api/v2/agents/mine/../secret/recall", `{"query":"treasure"}`, []int{403}},
		{"a new agent", "POST", agents, `{"agent_id":"third"}`, []int{403}},
		{"all agents", "GET", agents, "", []int{200}},
		{"another agent's session", "POST", "/api/v2/agents/secret/activate", "", []int{403}},
		{"ending another agent's session", "POST", "/api/v2/agents/secret/deactivate", "", []int{403}},
		{"deleting another agent", "DELETE", "/api/v2/agents/secret?delete-backup-too=true", "", []int{403}},
		{"search in mem0's API", "POST", "/v3/memories/search/", `{"query":"treasure","filters":{"agent_id":"secret"}}`, []int{200, 403}},
		{"search in mem0's API for anyone", "POST", "/v3/memories/search/", `{"query":"treasure","filters":{"OR":[{"agent_id":"*"},{"user_id":"*"}]}}`, []int{200, 403}},
		{"search in mem0's API for not mine", "POST", "/v3/memories/search/", `{"query":"treasure","filters":{"NOT":[{"agent_id":"mine"}]}}`, []int{200, 403}},
		{"a list in mem0's API", "POST", "/v3/memories/", `{"filters":{"agent_id":"secret"}}`, []int{200, 403}},
		{"adding in mem0's API", "POST", "/v3/memories/add/", `{"agent_id":"secret","messages":[{"role":"user","content":"x"}]}`, []int{403}},
		{"adding in mem0's API, in the filters", "POST", "/v3/memories/add/", `{"filters":{"agent_id":"secret"},"messages":[{"role":"user","content":"x"}]}`, []int{403}},
		{"deleting all in mem0's API", "DELETE", "/v1/memories/?agent_id=secret", "", []int{200, 400, 403, 404}},
		{"entities in mem0's API", "GET", "/v1/entities/", "", []int{200, 403}},
		{"deleting an entity in mem0's API", "DELETE", "/v2/entities/agent/secret/", "", []int{200, 403, 404}}, // of its own agent, which has none of it,
	} {
		header := map[string]string{"X-Session-Token": session}
		if c.body != "" {
			header["Content-Type"] = "application/json"
		}
		r := stack.Do(t, harness.Request{Method: c.method, Path: c.path, Header: header, Body: c.body})
		if !slices.Contains(c.want, r.Status) {
			t.Errorf("%s: %d, want %d: %s", c.name, r.Status, c.want, r.Body)
		}
		if strings.Contains(r.Body, "secret") {
			t.Errorf("%s tells of the other agent: %s", c.name, r.Body)
		}
	}
	if r := stack.JSON(t, "POST", "/api/v2/agents/secret/recall", writer, `{"query":"treasure"}`); !strings.Contains(r.Body, "secret treasure") {
		t.Errorf("the other agent's memory is gone: %d %s", r.Status, r.Body)
	}

	// Beside another subject's credential, and beside one of the tenant's that may less.
	for name, beside := range map[string]string{"another subject": other, "another tenant": stack.Token("bounds-2", scopes)} {
		if r := stack.Do(t, harness.Request{Path: agents, Header: map[string]string{"X-Session-Token": session, "Authorization": "Bearer " + beside}}); r.Status != 401 {
			t.Errorf("beside %s: %d", name, r.Status)
		}
	}
	write := func(header map[string]string) int {
		header["Content-Type"] = "application/json"
		return stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/mine/remember", Header: header, Body: `{"type":"fact","content":"x is y"}`}).Status
	}
	if got := write(map[string]string{"X-Session-Token": session, "Authorization": "Bearer " + reader}); got != 403 {
		t.Errorf("a session lends its scopes to a credential that lacks them: %d", got)
	}
	// A session of a reader does not grow when a writer renews it.
	weak, _ := activate(map[string]string{"Authorization": "Bearer " + reader})
	renewed, _ := activate(map[string]string{"Authorization": "Bearer " + writer, "X-Session-Token": weak})
	if got := write(map[string]string{"X-Session-Token": weak}); got != 403 || renewed != weak {
		t.Errorf("a reader's session writes after a renewal: %d", got)
	}
	// Another subject of the tenant cannot end it.
	if r := stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/mine/deactivate", Header: map[string]string{"Authorization": "Bearer " + other}}); r.Status != 404 {
		t.Errorf("another subject ends the session: %d %s", r.Status, r.Body)
	}
	if got := write(map[string]string{"X-Session-Token": session}); got != 200 {
		t.Errorf("the session has ended: %d", got)
	}
}
