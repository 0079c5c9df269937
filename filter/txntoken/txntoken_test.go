package txntoken

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

type clock struct{ t atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.t.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.t.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.t.Add(int64(d)) }

func newSigner(t testing.TB, c *clock) (*Signer, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(key, "https://edge.test", 30*time.Second, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

func newFileVerifier(t testing.TB, c *clock, jwks []byte) *Verifier {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, jwks, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierConfig{Issuer: "https://edge.test", Audience: "memory", JWKSFile: path, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func someClaims() Claims {
	return Claims{
		ID: "req-1", Audience: "memory", Subject: `we"ird\ ` + "\u00e4\n", Tenant: "acme", Agent: "bot",
		Kind: "jwt", Principal: "jti-1", Bound: "thumb print", PrincipalIssuer: "https://idp.test", PrincipalIssued: time.Unix(1777636800, 0).UTC(), Scopes: []string{"memory:read", "memory:write"},
	}
}

func TestSignThenVerify(t *testing.T) {
	c := newClock()
	c.advance(700 * time.Millisecond)
	s, _ := newSigner(t, c)
	v := newFileVerifier(t, c, s.JWKS())
	want := someClaims()
	token, err := s.Sign(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	want.Issuer = "https://edge.test"
	want.IssuedAt = c.now().Truncate(time.Second)
	want.Expires = want.IssuedAt.Add(30 * time.Second)
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	if !got.HasScope("memory:read") || got.HasScope("memory") {
		t.Error("wrong scopes")
	}
	if _, err := v.VerifyHeader(context.Background(), []string{token, token}); reasonOf(err) != ReasonRepeated {
		t.Errorf("two headers: %v", err)
	}
	if _, err := v.VerifyHeader(context.Background(), nil); reasonOf(err) != ReasonMissing {
		t.Errorf("no header: %v", err)
	}
	if _, err := v.VerifyHeader(context.Background(), []string{token}); err != nil {
		t.Errorf("one header: %v", err)
	}
}

// The token must be readable by any other JOSE implementation.
func TestSignedTokenIsStandard(t *testing.T) {
	c := newClock()
	s, _ := newSigner(t, c)
	token, err := s.Sign(someClaims())
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.Parse(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(set), jwt.WithClock(jwt.ClockFunc(c.now)), jwt.WithValidate(true))
	if err != nil {
		t.Fatal(err)
	}
	if sub, _ := parsed.Subject(); sub != someClaims().Subject {
		t.Errorf("subject %q", sub)
	}
	var scope string
	if err := parsed.Get("scope", &scope); err != nil || scope != "memory:read memory:write" {
		t.Errorf("scope %q, %v", scope, err)
	}
}

func reasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// forge signs any header and payload with key.
func forge(key ed25519.PrivateKey, header, payload string) string {
	enc := base64.RawURLEncoding
	in := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	return in + "." + enc.EncodeToString(ed25519.Sign(key, []byte(in)))
}

func TestVerifyRefuses(t *testing.T) {
	c := newClock()
	s, key := newSigner(t, c)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	v := newFileVerifier(t, c, s.JWKS())
	good, err := s.Sign(someClaims())
	if err != nil {
		t.Fatal(err)
	}
	rawHeader, _ := base64.RawURLEncoding.DecodeString(strings.TrimSuffix(s.header, "."))
	header := string(rawHeader)
	const payload = `{"iss":"https://edge.test","aud":"memory","iat":1777636800,"exp":1777636830,"txn":"r","sub":"s","scope":"","tctx":{"tenant":"acme"}}`
	if _, err := v.Verify(context.Background(), forge(key, header, payload)); err != nil {
		t.Fatalf("the base of the table is refused: %v", err)
	}
	parts := strings.Split(good, ".")
	edit := func(old, repl string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("no %s in the payload", old)
		}
		return forge(key, header, strings.Replace(payload, old, repl, 1))
	}
	tests := []struct {
		name, token string
		reason      Reason
	}{
		{"empty", "", ReasonMissing},
		{"too long", strings.Repeat("a", MaxLength+1), ReasonTooLong},
		{"two parts", parts[0] + "." + parts[1], ReasonMalformed},
		{"four parts", good + ".a", ReasonMalformed},
		{"padded signature", good + "==", ReasonMalformed},
		{"line break in the header", good[:5] + "\n" + good[5:], ReasonMalformed},
		{"line break at the end", good + "\n", ReasonMalformed},
		{"trailing bits", good[:len(good)-1] + nextLetter(good[len(good)-1]), ReasonMalformed},
		{"truncated signature", good[:len(good)-2], ReasonSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", ReasonSignature},
		{"another key", forge(other, header, payload), ReasonSignature},
		{"claims exchanged", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + parts[2], ReasonSignature},
		{"alg none", forge(key, `{"alg":"none","typ":"txntoken+jwt","kid":"x"}`, payload), ReasonAlgorithm},
		{"alg HS256", forge(key, `{"alg":"HS256","typ":"txntoken+jwt","kid":"x"}`, payload), ReasonAlgorithm},
		{"alg missing", forge(key, `{"typ":"txntoken+jwt","kid":"x"}`, payload), ReasonAlgorithm},
		{"typ of another token", forge(key, strings.Replace(header, "txntoken+jwt", "at+jwt", 1), payload), ReasonType},
		{"typ missing", forge(key, `{"alg":"EdDSA","kid":"x"}`, payload), ReasonType},
		{"kid missing", forge(key, `{"alg":"EdDSA","typ":"txntoken+jwt"}`, payload), ReasonHeader},
		{"kid too long", forge(key, `{"alg":"EdDSA","typ":"txntoken+jwt","kid":"`+strings.Repeat("k", maxKeyID+1)+`"}`, payload), ReasonHeader},
		{"kid unknown", forge(key, `{"alg":"EdDSA","typ":"txntoken+jwt","kid":"nobody"}`, payload), ReasonKeyUnknown},
		{"embedded key", forge(key, strings.Replace(header, "{", `{"jwk":{},`, 1), payload), ReasonHeader},
		{"crit", forge(key, strings.Replace(header, "{", `{"crit":["exp"],`, 1), payload), ReasonHeader},
		{"duplicate in the header", forge(key, strings.Replace(header, "{", `{"alg":"EdDSA",`, 1), payload), ReasonHeader},
		{"duplicate by case in the header", forge(key, strings.Replace(header, "{", `{"ALG":"EdDSA",`, 1), payload), ReasonHeader},
		{"header no object", forge(key, `["alg"]`, payload), ReasonHeader},
		{"data after the header", forge(key, header+"{}", payload), ReasonHeader},
		{"duplicate claim", edit(`"sub"`, `"sub":"t","sub"`), ReasonMalformed},
		{"duplicate claim within", edit(`"tenant"`, `"tenant":"evil","tenant"`), ReasonMalformed},
		{"claim of the wrong type", edit(`"s"`, `["s"]`), ReasonMalformed},
		{"no subject", edit(`"sub":"s",`, ``), ReasonMalformed},
		{"no exp", edit(`"exp":1777636830,`, ``), ReasonMalformed},
		{"no iat", edit(`"iat":1777636800,`, ``), ReasonMalformed},
		{"deep claims", edit(`{"tenant":"acme"}`, strings.Repeat(`{"a":`, 40)+`1`+strings.Repeat(`}`, 40)), ReasonMalformed},
		{"another issuer", edit(`https://edge.test`, `https://edge.test/`), ReasonIssuer},
		{"another audience", edit(`"memory"`, `"billing"`), ReasonAudience},
		{"expired", edit(`"iat":1777636800,"exp":1777636830`, `"iat":1777636700,"exp":1777636794`), ReasonExpired},
		{"issued in the future", edit(`"iat":1777636800,"exp":1777636830`, `"iat":1777636810,"exp":1777636830`), ReasonIssuedInFuture},
		{"lives too long", edit(`1777636830`, `1777637800`), ReasonLifetime},
		{"expires before issue", edit(`"iat":1777636800,"exp":1777636830`, `"iat":1777636803,"exp":1777636801`), ReasonLifetime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := v.Verify(context.Background(), tt.token)
			if reasonOf(err) != tt.reason {
				t.Errorf("got %v, want %s", err, tt.reason)
			}
			if IsUnavailable(err) {
				t.Error("a wrong token is not unavailable")
			}
		})
	}
}

// nextLetter changes only bits that carry no data.
func nextLetter(c byte) string {
	const abc = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(abc[strings.IndexByte(abc, c)|1])
}

func TestSignRefuses(t *testing.T) {
	c := newClock()
	s, _ := newSigner(t, c)
	for name, edit := range map[string]func(*Claims){
		"no id":               func(c *Claims) { c.ID = "" },
		"no audience":         func(c *Claims) { c.Audience = "" },
		"no subject":          func(c *Claims) { c.Subject = "" },
		"scope with a space":  func(c *Claims) { c.Scopes = []string{"a admin"} },
		"empty scope":         func(c *Claims) { c.Scopes = []string{""} },
		"subject not UTF-8":   func(c *Claims) { c.Subject = "\xff" },
		"longer than allowed": func(c *Claims) { c.Tenant = strings.Repeat("a", MaxLength) },
	} {
		claims := someClaims()
		edit(&claims)
		if token, err := s.Sign(claims); err == nil {
			t.Errorf("%s: signed as %s", name, token)
		}
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	var wg sync.WaitGroup
	keys := make([]ed25519.PrivateKey, 8)
	for i := range keys {
		wg.Go(func() {
			k, err := LoadOrCreateKey(path, rand.Reader)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Fatal("two processes got different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path, rand.Reader); err == nil {
		t.Error("a key file that others may read was accepted")
	}
	if err := os.WriteFile(path, []byte(`{"kty":"OKP","d":"SECRET"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path, rand.Reader); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("broken key file: %v", err)
	}
}

func TestKeysOverHTTP(t *testing.T) {
	c := newClock()
	first, _ := newSigner(t, c)
	second, _ := newSigner(t, c)
	var fetches atomic.Int32
	var serve atomic.Value
	serve.Store(first.JWKS())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if b, _ := serve.Load().([]byte); len(b) > 0 {
			_, _ = w.Write(b)
			return
		}
		http.Error(w, "down", http.StatusBadGateway)
	}))
	defer srv.Close()
	v, err := NewVerifier(VerifierConfig{Issuer: "https://edge.test", Audience: "memory", JWKSURL: srv.URL, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	verify := func(s *Signer) error {
		token, err := s.Sign(someClaims())
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(ctx, token)
		return err
	}
	if err := verify(first); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := verify(second); reasonOf(err) != ReasonKeyUnknown {
			t.Fatalf("unknown key: %v", err)
		}
	}
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches for 100 unknown keys within the throttle interval", n)
	}
	// The key is rotated: the new one works at once, the old one stops at the next read.
	c.advance(6 * time.Second)
	serve.Store(second.JWKS())
	if err := verify(second); err != nil {
		t.Errorf("rotated key: %v", err)
	}
	if err := verify(first); reasonOf(err) != ReasonKeyUnknown {
		t.Errorf("withdrawn key: %v", err)
	}
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	// After an idle time the keys are read before one of them is believed.
	serve.Store(first.JWKS())
	c.advance(time.Hour)
	if err := verify(second); reasonOf(err) != ReasonKeyUnknown {
		t.Errorf("key withdrawn an hour ago: %v", err)
	}
	serve.Store(second.JWKS())
	c.advance(time.Hour)
	if err := verify(second); err != nil {
		t.Errorf("key served again: %v", err)
	}
	// The edge's server fails: known keys are used until they are too old.
	serve.Store([]byte{})
	c.advance(23 * time.Hour)
	if err := verify(second); err != nil {
		t.Errorf("stale key: %v", err)
	}
	c.advance(2 * time.Hour)
	if err := verify(second); !IsUnavailable(err) {
		t.Errorf("key beyond its age: %v", err)
	}
	serve.Store(second.JWKS())
	c.advance(2 * time.Second)
	if err := verify(second); err != nil {
		t.Errorf("after recovery: %v", err)
	}
}

func TestKeySourceIsBounded(t *testing.T) {
	c := newClock()
	s, _ := newSigner(t, c)
	token, err := s.Sign(someClaims())
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/keys" {
				_, _ = w.Write(s.JWKS())
				return
			}
			http.Redirect(w, r, "/keys", http.StatusFound)
		},
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(s.JWKS()[:len(s.JWKS())-1])
			_, _ = w.Write(bytes.Repeat([]byte(" "), maxKeySet))
			_, _ = w.Write([]byte("}"))
		},
		"invalid": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"empty":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
	} {
		srv := httptest.NewServer(handler)
		v, err := NewVerifier(VerifierConfig{Issuer: "https://edge.test", Audience: "memory", JWKSURL: srv.URL, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), token); !IsUnavailable(err) {
			t.Errorf("%s: %v", name, err)
		}
		srv.Close()
	}
	// A server that never answers does not hold a caller beyond its own deadline.
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer srv.Close()
	defer close(stop)
	v, err := NewVerifier(VerifierConfig{Issuer: "https://edge.test", Audience: "memory", JWKSURL: srv.URL, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Verify(ctx, token); !IsUnavailable(err) {
		t.Errorf("slow: %v", err)
	}
}

func TestVerifierConfig(t *testing.T) {
	c := newClock()
	base := VerifierConfig{Issuer: "i", Audience: "a", Now: c.now}
	for name, tt := range map[string]struct {
		edit func(*VerifierConfig)
		ok   bool
	}{
		"https":                {func(c *VerifierConfig) { c.JWKSURL = "https://edge.test/jwks" }, true},
		"http to loopback":     {func(c *VerifierConfig) { c.JWKSURL = "http://127.0.0.1:9002/jwks" }, true},
		"http to loopback v6":  {func(c *VerifierConfig) { c.JWKSURL = "http://[::1]:9002/jwks" }, true},
		"http when allowed":    {func(c *VerifierConfig) { c.JWKSURL, c.AllowPlainHTTP = "http://memgate:9002/jwks", true }, true},
		"file":                 {func(c *VerifierConfig) { c.JWKSFile = "x" }, true},
		"http to another host": {func(c *VerifierConfig) { c.JWKSURL = "http://memgate:9002/jwks" }, false},
		"look-alike loopback":  {func(c *VerifierConfig) { c.JWKSURL = "http://127.0.0.1.evil.test/jwks" }, false},
		"a broken key set":     {func(c *VerifierConfig) { c.JWKS = []byte("{}") }, false},
		"an empty key set":     {func(c *VerifierConfig) { c.JWKS = []byte(`{"keys":[]}`) }, false},
		"file and key set":     {func(c *VerifierConfig) { c.JWKSFile, c.JWKS = "x", []byte("{}") }, false},
		"neither":              {func(*VerifierConfig) {}, false},
		"both":                 {func(c *VerifierConfig) { c.JWKSURL, c.JWKSFile = "https://x", "x" }, false},
		"no audience":          {func(c *VerifierConfig) { c.JWKSFile, c.Audience = "x", "" }, false},
		"large leeway":         {func(c *VerifierConfig) { c.JWKSFile, c.Leeway = "x", time.Hour }, false},
		"another scheme":       {func(c *VerifierConfig) { c.JWKSURL = "file:///etc/jwks" }, false},
	} {
		cfg := base
		tt.edit(&cfg)
		if _, err := NewVerifier(cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysInTheConfiguration(t *testing.T) {
	c := newClock()
	s, _ := newSigner(t, c)
	stranger, _ := newSigner(t, c)
	v, err := NewVerifier(VerifierConfig{Issuer: "https://edge.test", Audience: "memory", JWKS: s.JWKS(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Refresh(context.Background()); err != nil {
		t.Error(err)
	}
	c.advance(1000 * time.Hour)
	good, _ := s.Sign(someClaims())
	bad, _ := stranger.Sign(someClaims())
	if _, err := v.Verify(context.Background(), good); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(context.Background(), bad); reasonOf(err) != ReasonKeyUnknown {
		t.Errorf("stranger: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	c := newClock()
	s, _ := newSigner(t, c)
	set, err := jwk.Parse(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := set.Key(0)
	b, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKey(b); err == nil {
		t.Error("a public key was taken for a private one")
	}
	if _, err := ParseKey([]byte("SECRET")); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	c := newClock()
	s, key := newSigner(f, c)
	v := newFileVerifier(f, c, s.JWKS())
	good, err := s.Sign(someClaims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, `{"alg":"EdDSA","typ":"txntoken+jwt","kid":"x"}`, `{"iss":"https://edge.test"}`)
	f.Add("a.b.c", `{"alg":`, `[]`)
	f.Fuzz(func(t *testing.T, token, header, payload string) {
		for _, tok := range []string{token, forge(key, header, payload)} {
			got, err := v.Verify(context.Background(), tok)
			if err != nil {
				if reasonOf(err) == "" {
					t.Fatalf("untyped error %v", err)
				}
				continue
			}
			// Whatever verifies must be a signed token for this service that is valid now.
			if got.Issuer != "https://edge.test" || got.Audience != "memory" || got.Subject == "" {
				t.Fatalf("accepted %+v", got)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s, _ := newSigner(b, newClock())
	claims := someClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	s, _ := newSigner(b, c)
	v := newFileVerifier(b, c, s.JWKS())
	token, err := s.Sign(someClaims())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}
