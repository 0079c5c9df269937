package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/memgate/memgate/e2e/harness"
)

// holder is a client that holds the key of DPoP proofs.
type holder struct {
	t   *testing.T
	key jwk.Key
	n   atomic.Int64
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{t: t, key: key}
}

// proof signs a DPoP proof; change, which may be nil, edits its claims.
func (h *holder) proof(method, target, token string, change func(map[string]any)) string {
	h.t.Helper()
	claims := map[string]any{"jti": "proof-" + strconv.FormatInt(h.n.Add(1), 10), "htm": method, "htu": target, "iat": time.Now().Unix()}
	if token != "" {
		hash := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	if change != nil {
		change(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := h.key.PublicKey()
	if err != nil {
		h.t.Fatal(err)
	}
	headers := jws.NewHeaders()
	for name, value := range map[string]any{jws.TypeKey: "dpop+jwt", jws.JWKKey: public} {
		if err := headers.Set(name, value); err != nil {
			h.t.Fatal(err)
		}
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.ES256(), h.key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(signed)
}

// bound is a token that the provider bound to the holder's key.
func (h *holder) bound(p *provider, client string) string {
	h.t.Helper()
	token, kind := p.token(client, "ES256", "DPoP", h.proof("POST", p.url+"/token", "", nil))
	if kind != "DPoP" {
		h.t.Fatalf("a token of type %s", kind)
	}
	return token
}

// Tokens that the provider binds to a key count only with a proof of it.
func TestDPoP(t *testing.T) {
	p := startProvider(t)
	service := harness.StartUpstream(t)
	s := harness.StartStack(t, func(yaml string) string {
		yaml = regexp.MustCompile(`upstream: { address: "[^"]+"`).ReplaceAllLiteralString(yaml, `upstream: { address: "`+service.Addr+`"`)
		return p.accepting("sender_constrained: dpop")(yaml)
	})
	h, thief := newHolder(t), newHolder(t)
	token, another, free := h.bound(p, "acme"), h.bound(p, "other"), p.bearer("acme", "ES256")
	target := s.URL + "/api/v2/agents"
	replayed := h.proof("GET", target, token, nil)
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	const proofError = `DPoP realm="memgate", error="invalid_dpop_proof", algs="RS256 ES256 EdDSA"`
	for _, c := range []struct {
		name, authorization, proof string
		status                     int
		challenge                  string
	}{
		{"proven", "DPoP " + token, replayed, 200, ""},
		{"proven once more", "DPoP " + token, h.proof("GET", target, token, nil), 200, ""},
		{"proven, URL in another form", "DPoP " + token, h.proof("GET", "HTTP"+strings.TrimPrefix(s.URL, "http")+"/api/v2/%61gents?x#y", token, nil), 200, ""},
		{"the same proof again", "DPoP " + token, replayed, 401, proofError},
		{"no proof", "DPoP " + token, "", 401, proofError},
		{"downgraded to Bearer", "Bearer " + token, "", 401, `DPoP realm="memgate", error="invalid_token"`},
		{"downgraded, with the proof", "Bearer " + token, h.proof("GET", target, token, nil), 401, `DPoP realm="memgate", error="invalid_token"`},
		{"a token that is not bound", "Bearer " + free, "", 401, `error="invalid_token"`},
		{"a token that is not bound, proven", "DPoP " + free, h.proof("GET", target, free, nil), 401, `error="invalid_token"`},
		{"a thief with a key of its own", "DPoP " + token, thief.proof("GET", target, token, nil), 401, proofError},
		{"proof of another token", "DPoP " + token, h.proof("GET", target, another, nil), 401, proofError},
		{"proof without the token", "DPoP " + token, h.proof("GET", target, "", nil), 401, proofError},
		{"proof of another method", "DPoP " + token, h.proof("POST", target, token, nil), 401, proofError},
		{"proof of another path", "DPoP " + token, h.proof("GET", target+"/helper", token, nil), 401, proofError},
		{"proof of another host", "DPoP " + token, h.proof("GET", "http://evil.test/api/v2/agents", token, nil), 401, proofError},
		{"proof of the token endpoint", "DPoP " + token, h.proof("POST", p.url+"/token", "", nil), 401, proofError},
		{"old proof", "DPoP " + token, h.proof("GET", target, token, set("iat", time.Now().Add(-2*time.Minute).Unix())), 401, proofError},
		{"proof made ahead", "DPoP " + token, h.proof("GET", target, token, set("iat", time.Now().Add(time.Hour).Unix())), 401, proofError},
		{"proof without an id", "DPoP " + token, h.proof("GET", target, token, set("jti", "")), 401, proofError},
		{"garbage for a proof", "DPoP " + token, "a.b.c", 401, proofError},
		{"the token for a proof", "DPoP " + token, token, 401, proofError},
		{"nothing", "", "", 401, `Bearer realm="memgate", DPoP realm="memgate", algs="RS256 ES256 EdDSA"`},
	} {
		header := map[string]string{}
		if c.authorization != "" {
			header["Authorization"] = c.authorization
		}
		if c.proof != "" {
			header["DPoP"] = c.proof
		}
		r := s.Do(t, harness.Request{Path: "/api/v2/agents", Header: header})
		if r.Status != c.status || !strings.Contains(r.Header.Get("WWW-Authenticate"), c.challenge) {
			t.Errorf("%s: %d, want %d; challenge %q, want %q: %s", c.name, r.Status, c.status, r.Header.Get("WWW-Authenticate"), c.challenge, r.Body)
		}
		received := service.Received(r.ID)
		if (received != nil) != (c.status == 200) {
			t.Errorf("%s: the service got %+v", c.name, received)
		}
		if received != nil && (received.Header.Get("DPoP") != "" || received.Header.Get("Authorization") != "") {
			t.Errorf("%s: the service got the credential: %v", c.name, received.Header)
		}
	}
	two := s.Raw(t, "GET /api/v2/agents HTTP/1.1", "Host: "+s.Addr, "Authorization: DPoP "+token,
		"DPoP: "+h.proof("GET", target, token, nil), "DPoP: "+h.proof("GET", target, token, nil))
	if two.Status != 401 || two.Header.Get("WWW-Authenticate") != proofError {
		t.Errorf("two proofs: %d %v", two.Status, two.Header)
	}
	// A session does not undo the binding of the token that it was issued to.
	const helper = "/api/v2/agents/helper/activate"
	r := s.Do(t, harness.Request{Method: "POST", Path: helper, Header: map[string]string{"Authorization": "DPoP " + token, "DPoP": h.proof("POST", s.URL+helper, token, nil)}})
	var session struct {
		Token string `json:"session_token"`
	}
	if err := json.Unmarshal([]byte(r.Body), &session); err != nil || r.Status != 200 || session.Token == "" {
		t.Fatalf("activate: %d %s", r.Status, r.Body)
	}
	const recall = "/api/v2/agents/helper"
	if r := s.Do(t, harness.Request{Path: recall, Header: map[string]string{"X-Session-Token": session.Token}}); r.Status != 401 {
		t.Errorf("a session of a bound token, alone: %d %s", r.Status, r.Body)
	}
	if r := s.Do(t, harness.Request{Path: recall, Header: map[string]string{
		"X-Session-Token": session.Token, "Authorization": "DPoP " + token, "DPoP": h.proof("GET", s.URL+recall, token, nil),
	}}); r.Status != 200 {
		t.Errorf("a session of a bound token, beside it: %d %s", r.Status, r.Body)
	}
	// The issuer beside it does not want any of this.
	if r := list(t, s, s.Token("acme", scopes)); r.Status != 200 {
		t.Errorf("a token of the other issuer: %d %s", r.Status, r.Body)
	}
	explained := s.CLI("explain", "--config", s.Config, "--path", target, "--header", "Authorization: DPoP "+token, "--header", "DPoP: "+h.proof("GET", target, token, nil))
	if strings.Contains(explained, token) || !strings.Contains(explained, "verify") {
		t.Errorf("memgate explain: %s", explained)
	}
	if out := s.CLI("token", "verify", "--config", s.Config, token); !strings.Contains(out, "the key with the thumbprint") {
		t.Errorf("memgate token verify: %s", out)
	}
}

// Two instances that count limits in one Redis take a proof once between them.
func TestDPoPReplayAcrossInstances(t *testing.T) {
	p := startProvider(t)
	redis := harness.StartRedis(t)
	t.Setenv("IDP_REDIS_URL", redis.URL)
	const classes = "limits:\n  classes:"
	start := func() *harness.Stack {
		return harness.StartStack(t, func(yaml string) string {
			if !strings.Contains(yaml, classes) {
				t.Fatalf("memgate.yaml has other limits")
			}
			yaml = strings.Replace(yaml, classes, "limits:\n  store: redis\n  redis: { url: env:IDP_REDIS_URL, instances: 2, timeout: 500ms }\n  classes:", 1)
			yaml = strings.Replace(yaml, "  sessions: { ttl: 6h }", "  sessions: { ttl: 6h }\n  resource: { url: \"https://edge.example.com\" }", 1)
			return p.accepting("sender_constrained: dpop")(yaml)
		})
	}
	a, b := start(), start()
	h := newHolder(t)
	token := h.bound(p, "acme")
	send := func(s *harness.Stack, proof string) *harness.Response {
		return s.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"Authorization": "DPoP " + token, "DPoP": proof}})
	}
	const target = "https://edge.example.com/api/v2/agents"
	for _, order := range [][]*harness.Stack{{a, b}, {b, a}} {
		proof := h.proof("GET", target, token, nil)
		if r := send(order[0], proof); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		for _, s := range []*harness.Stack{order[1], order[0]} {
			if r := send(s, proof); r.Status != 401 || !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_dpop_proof") {
				t.Errorf("used before at one of the two: %d %s", r.Status, r.Body)
			}
		}
	}
	// Without Redis each decides alone, as it does about limits.
	redis.Stop()
	proof := h.proof("GET", target, token, nil)
	if r := send(a, proof); r.Status != 200 {
		t.Errorf("without Redis: %d %s", r.Status, r.Body)
	}
	if r := send(a, proof); r.Status != 401 {
		t.Errorf("without Redis, again: %d %s", r.Status, r.Body)
	}
}

// Where the issuer's tokens need it, a proof counts only with a nonce that memgate gave out
// lately. A client gets one with the refusal, and the next with each answer.
func TestDPoPNonce(t *testing.T) {
	p := startProvider(t)
	t.Setenv("NONCE_KEY", strings.Repeat("n", 32))
	s := harness.StartStack(t, func(yaml string) string {
		yaml = p.accepting("sender_constrained: dpop, dpop_nonce: true")(yaml)
		yaml = strings.Replace(yaml, "read: 120/m", "read: 6000/m", 1)
		return strings.Replace(yaml, "  sessions: { ttl: 6h }", "  sessions: { ttl: 6h }\n  dpop: { nonce_key: env:NONCE_KEY, nonce_ttl: 16s }", 1)
	})
	h := newHolder(t)
	token := h.bound(p, "acme")
	target := s.URL + "/api/v2/agents"
	send := func(nonce any) *harness.Response {
		return s.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{
			"Authorization": "DPoP " + token, "DPoP": h.proof("GET", target, token, func(claims map[string]any) {
				if nonce != nil {
					claims["nonce"] = nonce
				}
			}),
		}})
	}
	const wants = `DPoP realm="memgate", error="use_dpop_nonce", algs="RS256 ES256 EdDSA"`
	r := send(nil)
	first := r.Header.Get("DPoP-Nonce")
	if r.Status != 401 || r.Header.Get("WWW-Authenticate") != wants || first == "" {
		t.Fatalf("without a nonce: %d %v", r.Status, r.Header)
	}
	if r := send(first); r.Status != 200 || r.Header.Get("DPoP-Nonce") == "" {
		t.Errorf("with the nonce: %d %v", r.Status, r.Header)
	}
	for name, nonce := range map[string]any{"made up": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "empty": "", "not a text": 1, "cut off": first[1:], "longer": first + "A"} {
		if r := send(nonce); r.Status != 401 || r.Header.Get("WWW-Authenticate") != wants || r.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("a nonce that is %s: %d %v", name, r.Status, r.Header)
		}
	}
	// What is wrong besides is told as before, and nobody else's tokens need any.
	thief := newHolder(t)
	r = s.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{
		"Authorization": "DPoP " + token, "DPoP": thief.proof("GET", target, token, func(claims map[string]any) { claims["nonce"] = first }),
	}})
	if r.Status != 401 || r.Header.Get("DPoP-Nonce") != "" || !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_dpop_proof") {
		t.Errorf("a thief: %d %v", r.Status, r.Header)
	}
	if r := list(t, s, s.Token("acme", scopes)); r.Status != 200 || r.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("a token of the other issuer: %d %v", r.Status, r.Header)
	}
	// A restart keeps to the key, and time takes the first nonce away.
	s.Memgate.Stop()
	s.StartMemgate()
	latest := ""
	harness.Eventually(t, func() error {
		r := send(first)
		if latest = r.Header.Get("DPoP-Nonce"); r.Status != 401 || latest == first || latest == "" {
			return fmt.Errorf("the first nonce: %d, the next is %q", r.Status, latest)
		}
		return nil
	})
	if r := send(latest); r.Status != 200 {
		t.Errorf("the latest nonce: %d %s", r.Status, r.Body)
	}
}
