package token

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// httpVerifier returns a Verifier that reads the keys of p by URL, not yet read.
func httpVerifier(t testing.TB, c *clock, p *provider) *Verifier {
	t.Helper()
	v, err := New(testConfig(c, IssuerConfig{JWKSURL: p.URL + "/jwks"}))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantReason(t *testing.T, v *Verifier, token string, want identity.Reason) {
	t.Helper()
	_, err := v.Verify(context.Background(), token)
	switch {
	case err == nil && want != "":
		t.Errorf("accepted, want %s", want)
	case err != nil && want == "":
		t.Errorf("refused: %v", err)
	case err != nil && identity.ReasonOf(err) != want:
		t.Errorf("got %v, want %s", err, want)
	}
	if want == identity.ReasonKeysUnavailable && !identity.IsUnavailable(err) {
		t.Errorf("%v is not answered with 503", err)
	}
}

func TestFirstTokenWaitsForKeys(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.ec))
	v := httpVerifier(t, c, p)
	if v.Ready() {
		t.Error("ready before keys were read")
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { wantReason(t, v, r.ec.token("ES256"), "") })
	}
	wg.Wait()
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for 50 callers at once", n)
	}
	if !v.Ready() {
		t.Error("not ready after keys were read")
	}
}

func TestRotation(t *testing.T) {
	r, c := ring(), newClock()
	next := newPair("next", r.ed.private)
	p := newProvider(t, jwks(r.ec))
	v := httpVerifier(t, c, p)
	if err := v.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	old := r.ec.token("ES256")
	wantReason(t, v, old, "")
	if n := v.Stats().CacheEntries; n != 1 {
		t.Fatalf("%d tokens cached", n)
	}
	// A new key is served beside the old one: its first token is accepted at once.
	c.advance(time.Minute)
	p.set(jwks(r.ec, next))
	wantReason(t, v, next.token("EdDSA"), "")
	hits := v.Stats().CacheHits
	wantReason(t, v, old, "")
	if v.Stats().CacheHits != hits+1 {
		t.Error("a key that stayed lost its cached tokens")
	}
	// The old key is withdrawn: after the next reading, its tokens are refused, cached or not.
	c.advance(time.Minute)
	p.set(jwks(next))
	if err := v.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := v.Stats().CacheEntries; n != 1 {
		t.Errorf("%d tokens cached after the withdrawal", n)
	}
	c.advance(time.Minute)
	wantReason(t, v, old, identity.ReasonKeyUnknown)
	wantReason(t, v, next.token("EdDSA"), "")
	// All are withdrawn.
	p.set([]byte(`{"keys":[]}`))
	if err := v.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	wantReason(t, v, next.token("EdDSA"), identity.ReasonKeyUnknown)
}

// The same key id with other key material is another key.
func TestKeyReplacedUnderItsID(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.rsa))
	v := httpVerifier(t, c, p)
	wantReason(t, v, r.rsa.token("RS256"), "")
	replaced := newPair("rsa", r.other.private)
	p.set(jwks(replaced))
	if err := v.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantReason(t, v, r.rsa.token("RS256"), identity.ReasonSignatureInvalid)
	wantReason(t, v, replaced.token("RS256"), "")
}

func TestUnknownKeyFlood(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.ec))
	v := httpVerifier(t, c, p)
	wantReason(t, v, r.ec.token("ES256"), "")
	flood := func(name string) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					header := fmt.Sprintf(`{"alg":"ES256","kid":"%s-%d-%d"}`, name, i, j)
					_, err := v.Verify(context.Background(), b64([]byte(header))+"."+b64([]byte(goodClaims))+"."+b64(make([]byte, 64)))
					if identity.ReasonOf(err) != identity.ReasonKeyUnknown {
						t.Errorf("got %v", err)
					}
				}
			})
		}
		wg.Wait()
	}
	flood("a")
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches within the first interval, want the first one alone", n)
	}
	for interval := range 3 {
		c.advance(defaultThrottle)
		before := p.fetches.Load()
		flood(fmt.Sprint("b", interval))
		if n := p.fetches.Load() - before; n != 1 {
			t.Errorf("%d fetches in one interval", n)
		}
	}
	// The same unknown id, which the latest reading did not find, causes none even after
	// the interval.
	c.advance(defaultThrottle)
	stranger := newPair("stranger", r.ed.private).token("EdDSA")
	wantReason(t, v, stranger, identity.ReasonKeyUnknown)
	before := p.fetches.Load()
	c.advance(defaultThrottle)
	wantReason(t, v, stranger, identity.ReasonKeyUnknown)
	if n := p.fetches.Load() - before; n != 0 {
		t.Errorf("%d fetches for an id that was not found before", n)
	}
	c.advance(defaultNegativeTTL)
	wantReason(t, v, stranger, identity.ReasonKeyUnknown)
	if n := p.fetches.Load() - before; n != 1 {
		t.Errorf("%d fetches after the negative answer expired", n)
	}
	// A hostile or over-long id never causes one.
	before = p.fetches.Load()
	c.advance(time.Hour)
	wantReason(t, v, r.ec.sign("ES256", `{"alg":"ES256","kid":"../x"}`, goodClaims), identity.ReasonTokenKidMalformed)
	wantReason(t, v, r.ec.sign("ES256", `{"alg":"ES256","kid":"`+strings.Repeat("k", 257)+`"}`, goodClaims), identity.ReasonTokenKidMalformed)
	if n := p.fetches.Load() - before; n != 0 {
		t.Errorf("%d fetches for malformed key ids", n)
	}
}

func TestOutage(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.ec))
	p.fail()
	v := httpVerifier(t, c, p)
	wantReason(t, v, r.ec.token("ES256"), identity.ReasonKeysUnavailable)
	if v.Ready() {
		t.Error("ready without keys")
	}
	if st := v.Stats().Issuers[0]; st.LastError == nil || st.Failures != 1 || st.Keys != 0 || !st.LastSuccess.IsZero() {
		t.Errorf("stats %+v", st)
	}
	c.advance(time.Minute)
	p.set(jwks(r.ec))
	cached := r.ec.token("ES256")
	wantReason(t, v, cached, "")
	// The issuer is down: known keys work, unknown ones are 401.
	p.fail()
	c.advance(time.Minute)
	if err := v.Refresh(context.Background()); err == nil {
		t.Error("a failed reading went unreported")
	}
	wantReason(t, v, cached, "")
	wantReason(t, v, r.ed.token("EdDSA"), identity.ReasonKeyUnknown)
	c.advance(defaultMaxStale - 3*time.Minute)
	long := r.ec.sign("ES256", r.ec.header("ES256"), strings.Replace(goodClaims, "1777640400", "1999999999", 1))
	wantReason(t, v, long, "")
	wantReason(t, v, long, "")
	if v.Stats().CacheHits == 0 {
		t.Fatal("not cached")
	}
	// Beyond their age they do not, not even for cached tokens.
	c.advance(4 * time.Minute)
	wantReason(t, v, long, identity.ReasonKeysUnavailable)
	// And the issuer's return is noticed.
	p.set(jwks(r.ec))
	if err := v.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantReason(t, v, long, "")
}

func TestHostileKeyServers(t *testing.T) {
	r := ring()
	good := jwks(r.ec)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	var served atomic.Int64
	for name, handler := range map[string]http.HandlerFunc{
		"redirects": func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/jwks" {
				http.Redirect(w, q, "/elsewhere", http.StatusFound)
				return
			}
			_, _ = w.Write(good)
		},
		"larger than 1 MiB": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(good)
			_, _ = w.Write(bytes.Repeat([]byte(" "), maxDocument))
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			piece := bytes.Repeat([]byte("["), 1<<16)
			for {
				n, err := w.Write(piece)
				if err != nil {
					return
				}
				if served.Add(int64(n)) > 256<<20 {
					t.Error("an endless answer was read on and on")
					return
				}
			}
		},
		"HTML":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no keys":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"keys no list":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":{}}`)) },
		"keys twice":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[],"keys":[]}`)) },
		"truncated":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good[:len(good)-2]) },
		"too many keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(manyKeys(maxKeys + 1)) },
		"only symmetric and private keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"ec","k":"AAAA"},{"kty":"XYZ","kid":"x"}]}`))
		},
		"status 500 with keys": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(good)
		},
		"never answers": func(_ http.ResponseWriter, q *http.Request) {
			select {
			case <-stop:
			case <-q.Context().Done():
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			p := newProvider(t, nil)
			p.handle(handler)
			v := httpVerifier(t, c, p)
			ctx := context.Background()
			if name == "never answers" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				cancel()
			}
			_, err := v.Verify(ctx, r.ec.token("ES256"))
			if !identity.IsUnavailable(err) {
				t.Errorf("got %v", err)
			}
			p.CloseClientConnections()
		})
	}
}

func manyKeys(n int) []byte {
	r := ring()
	pairs := make([]*keyPair, n)
	for i := range pairs {
		pairs[i] = r.ec.with("kid", fmt.Sprint("k", i))
	}
	return jwks(pairs...)
}

// A private key that an issuer publishes by mistake is everyone's: it verifies nothing.
func TestPublishedPrivateKey(t *testing.T) {
	r, c := ring(), newClock()
	raw, err := r.ec.private.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	v := fileVerifier(t, c, jwks(r.ec.with("d", b64(raw)), r.ed), IssuerConfig{})
	wantReason(t, v, r.ec.token("ES256"), identity.ReasonKeyTypeMismatch)
	wantReason(t, v, r.ed.token("EdDSA"), "")
}

// One broken key in a set must not spoil the others.
func TestMixedKeySet(t *testing.T) {
	r, c := ring(), newClock()
	set := fmt.Appendf(nil, `{"keys":[{"kty":"RSA","kid":"broken"},{"kty":"AKP","kid":"pq","alg":"ML-DSA-44"},`+
		`{"kty":"oct","kid":"secret","k":"c2VjcmV0"},{"kty":"EC","crv":"P-256","kid":"off","x":"AAAA","y":"AAAA"},%s`,
		bytes.TrimPrefix(jwks(r.ec), []byte(`{"keys":[`)))
	v := fileVerifier(t, c, set, IssuerConfig{})
	wantReason(t, v, r.ec.token("ES256"), "")
	wantReason(t, v, r.rsa.sign("RS256", `{"alg":"RS256","kid":"broken"}`, goodClaims), identity.ReasonKeyTypeMismatch)
	wantReason(t, v, r.rsa.sign("RS256", `{"alg":"RS256","kid":"secret"}`, goodClaims), identity.ReasonKeyTypeMismatch)
	wantReason(t, v, r.ec.sign("ES256", `{"alg":"ES256","kid":"off"}`, goodClaims), identity.ReasonKeyTypeMismatch)
	if n := v.Stats().Issuers[0].Keys; n != 1 {
		t.Errorf("%d usable keys", n)
	}
}

func TestDiscovery(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, nil)
	serve := func(document string) {
		p.handle(func(w http.ResponseWriter, q *http.Request) {
			switch q.URL.Path {
			case "/tenant/.well-known/openid-configuration":
				_, _ = w.Write([]byte(strings.ReplaceAll(document, "BASE", p.URL)))
			case "/jwks":
				_, _ = w.Write(jwks(r.ec))
			default:
				http.NotFound(w, q)
			}
		})
	}
	for _, tt := range []struct {
		name, issuer, document string
		ok                     bool
	}{
		{"matching", "/tenant", `{"issuer":"BASE/tenant","jwks_uri":"BASE/jwks","x":[1]}`, true},
		{"matching with a slash", "/tenant/", `{"issuer":"BASE/tenant/","jwks_uri":"BASE/jwks"}`, true},
		{"another issuer", "/tenant", `{"issuer":"https://evil.test","jwks_uri":"BASE/jwks"}`, false},
		{"the issuer with a slash", "/tenant", `{"issuer":"BASE/tenant/","jwks_uri":"BASE/jwks"}`, false},
		{"no issuer", "/tenant", `{"jwks_uri":"BASE/jwks"}`, false},
		{"no key set", "/tenant", `{"issuer":"BASE/tenant"}`, false},
		{"key set by plain HTTP", "/tenant", `{"issuer":"BASE/tenant","jwks_uri":"http://keys.test/jwks"}`, false},
		{"key set in a file", "/tenant", `{"issuer":"BASE/tenant","jwks_uri":"file:///etc/passwd"}`, false},
		{"issuer twice", "/tenant", `{"issuer":"BASE/tenant","issuer":"x","jwks_uri":"BASE/jwks"}`, false},
		{"no JSON", "/tenant", `<html>`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve(tt.document)
			issuer := p.URL + tt.issuer
			v, err := New(testConfig(c, IssuerConfig{Issuer: issuer}))
			if err != nil {
				t.Fatal(err)
			}
			token := r.ec.sign("ES256", r.ec.header("ES256"), strings.Replace(goodClaims, testIssuer, issuer, 1))
			want := identity.Reason("")
			if !tt.ok {
				want = identity.ReasonKeysUnavailable
			}
			wantReason(t, v, token, want)
		})
	}
}

func TestKeyFileIsReadAgain(t *testing.T) {
	r, c := ring(), newClock()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, jwks(r.ec), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := New(testConfig(c, IssuerConfig{JWKSFile: path}))
	if err != nil {
		t.Fatal(err)
	}
	s := v.order[0].keys
	ctx := context.Background()
	if pause := s.tick(ctx, c.now()); pause > filePoll {
		t.Errorf("next look after %v", pause)
	}
	wantReason(t, v, r.ec.token("ES256"), "")
	reads := v.Stats().Issuers[0].Reads
	s.tick(ctx, c.now())
	if v.Stats().Issuers[0].Reads != reads {
		t.Error("read again without a change")
	}
	if err := os.WriteFile(path, jwks(r.ed, r.rsa), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tick(ctx, c.now())
	wantReason(t, v, r.ed.token("EdDSA"), "")
	wantReason(t, v, r.ec.token("ES256"), identity.ReasonKeyUnknown)
	// A broken file keeps the keys that are in force.
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tick(ctx, c.now())
	wantReason(t, v, r.ed.token("EdDSA"), "")
	if v.Stats().Issuers[0].LastError == nil {
		t.Error("a broken file went unreported")
	}
}

func TestRefreshAhead(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.ec))
	p.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=100")
		_, _ = w.Write(jwks(r.ec))
	})
	v := httpVerifier(t, c, p)
	s := v.order[0].keys
	ctx := context.Background()
	if pause := s.tick(ctx, c.now()); pause != 80*time.Second {
		t.Errorf("next reading after %v, want before the 100 s are over", pause)
	}
	c.advance(79 * time.Second)
	s.tick(ctx, c.now())
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches before the time", n)
	}
	c.advance(time.Second)
	p.fail()
	if pause := s.tick(ctx, c.now()); pause != firstRetry {
		t.Errorf("pause after a failure %v", pause)
	}
	for _, want := range []time.Duration{2, 4, 8, 16, 30, 30} {
		c.advance(time.Hour)
		if pause := s.tick(ctx, c.now()); pause != want*time.Second {
			t.Errorf("pause %v, want %ds", pause, want)
		}
	}
	if got := s.interval(24 * time.Hour); got != defaultRefresh {
		t.Errorf("a long max-age gives %v", got)
	}
	if got := s.interval(time.Second); got != defaultThrottle {
		t.Errorf("a short max-age gives %v", got)
	}
}

func TestRefreshOfOneIssuer(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.ec))
	config := testConfig(c, IssuerConfig{JWKSURL: p.URL + "/jwks", Refresh: 2 * time.Second})
	v, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s := v.order[0].keys
	if pause := s.tick(context.Background(), c.now()); pause != 2*time.Second {
		t.Errorf("next reading after %v", pause)
	}
	token := r.ec.token("ES256")
	wantReason(t, v, token, "")
	p.set(jwks(r.ed))
	c.advance(2 * time.Second)
	s.tick(context.Background(), c.now())
	wantReason(t, v, token, identity.ReasonKeyUnknown)
	if got := s.interval(time.Second); got != 2*time.Second {
		t.Errorf("a short max-age gives %v", got)
	}
	config.Issuers[0].Refresh = -1
	if _, err := New(config); err == nil {
		t.Error("a negative refresh was taken")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	r, c := ring(), newClock()
	p := newProvider(t, jwks(r.ec))
	v := httpVerifier(t, c, p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	wantReason(t, v, r.ec.token("ES256"), "") // waits for the reading that Run began, or begins it
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Run returned %v", err)
	}
}
