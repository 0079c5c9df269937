package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

const ttl = 6 * time.Hour

var ctx = context.Background()

type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func jane() *identity.Principal {
	return &identity.Principal{
		Kind: identity.KindJWT, Subject: "jane", Tenant: "acme", ID: "jti-1", Issuer: "https://idp.test",
		Scopes: []string{"memory:read", "memory:write"}, Issued: time.Date(2026, 5, 1, 11, 0, 0, 0, time.UTC),
	}
}

func activate(t testing.TB, s *Store, p *identity.Principal, agent string) (string, Session) {
	t.Helper()
	token, ses, err := s.Activate(ctx, p, agent, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token, ses
}

func reason(s *Store, token string) identity.Reason {
	if _, err := s.Verify(ctx, token); err != nil {
		if !identity.IsUnauthenticated(err) {
			return "not answered with 401"
		}
		return identity.ReasonOf(err)
	}
	return ""
}

func length(s *Store) int {
	n, err := s.Len(ctx)
	if err != nil {
		return -1
	}
	return n
}

func TestIssueVerifyExpire(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	by := jane()
	token, ses := activate(t, s, by, "bot")
	by.Scopes[0] = "changed by the caller"
	p, err := s.Verify(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != identity.KindSession || p.Subject != "jane" || p.Tenant != "acme" || p.Agent != "bot" || p.ID != ses.ID ||
		p.Issuer != "https://idp.test" || p.Origin != (identity.Origin{Kind: identity.KindJWT, ID: "jti-1"}) || !p.Issued.Equal(by.Issued) || !slices.Equal(p.Scopes, []string{"memory:read", "memory:write"}) || !p.Expires.Equal(c.now().Add(ttl)) {
		t.Errorf("principal %+v", p)
	}
	if strings.Contains(fmt.Sprintf("%+v", ses), token) || !strings.Contains(token, ses.ID) {
		t.Error("the session must name its id and not its secret")
	}
	c.advance(ttl - time.Nanosecond)
	if got := reason(s, token); got != "" {
		t.Errorf("just before its end: %q", got)
	}
	c.advance(time.Nanosecond)
	if got := reason(s, token); got != identity.ReasonSessionExpired {
		t.Errorf("at its end: %q", got)
	}
	if _, ok, err := s.Get(ctx, ses.ID); ok || err != nil {
		t.Error("an expired session is still told of")
	}
	activate(t, s, jane(), "other") // sweeps
	if got := reason(s, token); got != identity.ReasonSessionUnknown || length(s) != 1 {
		t.Errorf("after the sweep: %q, %d sessions", got, length(s))
	}
}

func TestVerifyRefuses(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	token, _ := activate(t, s, jane(), "bot")
	foreign, _ := activate(t, NewStore(100, c.now, rand.Reader), jane(), "bot")
	last := byte('A')
	if token[len(token)-1] == last {
		last = 'B'
	}
	for _, tt := range []struct {
		name, token string
		want        identity.Reason
	}{
		{"empty", "", identity.ReasonSessionMalformed},
		{"prefix", "ms_", identity.ReasonSessionMalformed},
		{"API key", "mg_" + token[3:], identity.ReasonSessionMalformed},
		{"truncated", token[:len(token)-1], identity.ReasonSessionMalformed},
		{"extended", token + "A", identity.ReasonSessionMalformed},
		{"other characters", token[:25] + "." + token[26:], identity.ReasonSessionMalformed},
		{"separator missing", token[:19] + "A" + token[20:], identity.ReasonSessionMalformed},
		{"huge", strings.Repeat("ms_", 1<<16), identity.ReasonSessionMalformed},
		{"another secret", token[:len(token)-1] + string(last), identity.ReasonSessionUnknown},
		{"another id", "ms_" + strings.Repeat("A", idLength) + token[3+idLength:], identity.ReasonSessionUnknown},
		{"of another process", foreign, identity.ReasonSessionUnknown},
		{"signed, but of no session", s.token(strings.Repeat("A", idLength)), identity.ReasonSessionUnknown},
	} {
		if got := reason(s, tt.token); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := reason(s, token); got != "" {
		t.Errorf("the base of the table is refused: %q", got)
	}
}

func TestRenewalKeepsTheToken(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	token, first := activate(t, s, jane(), "bot")
	other, _ := activate(t, s, jane(), "bot")
	if other == token {
		t.Fatal("without a session, another one is issued")
	}
	var end time.Time
	for range 10 {
		c.advance(3 * time.Hour)
		p, err := s.Verify(ctx, token)
		if err != nil {
			break
		}
		again, ses, err := s.Activate(ctx, p, "bot", ttl)
		if err != nil {
			t.Fatal(err)
		}
		if again != token || ses.ID != first.ID || !ses.Started.Equal(first.Started) || ses.Expires.Before(end) {
			t.Fatalf("renewed as %+v", ses)
		}
		end = ses.Expires
	}
	if want := first.Started.Add(MaxLife); !end.Equal(want) {
		t.Errorf("renewed until %v, want %v", end, want)
	}
	if got := reason(s, token); got != identity.ReasonSessionExpired {
		t.Errorf("beyond its life: %q", got)
	}
}

func TestRenewalNeverWidens(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	token, _ := activate(t, s, jane(), "bot")
	p, err := s.Verify(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	narrowed := *p
	narrowed.Scopes = []string{"admin", "memory:read"}
	if _, ses, err := s.Activate(ctx, &narrowed, "bot", time.Minute); err != nil || !slices.Equal(ses.Scopes, []string{"memory:read"}) || !ses.Expires.Equal(p.Expires) {
		t.Errorf("renewed as %+v, %v", ses, err)
	}
	for name, edit := range map[string]func(*identity.Principal){
		"tenant":  func(p *identity.Principal) { p.Tenant = "evil" },
		"subject": func(p *identity.Principal) { p.Subject = "eve" },
		"id":      func(p *identity.Principal) { p.ID = strings.Repeat("A", idLength) },
		"no id":   func(p *identity.Principal) { p.ID = "" },
	} {
		forged := *p
		edit(&forged)
		if _, _, err := s.Activate(ctx, &forged, "bot", ttl); identity.ReasonOf(err) != identity.ReasonSessionUnknown {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, _, err := s.Activate(ctx, p, "other", ttl); identity.ReasonOf(err) != identity.ReasonAgentMismatch {
		t.Errorf("a session got one for another agent: %v", err)
	}
	if ok, err := s.Revoke(ctx, p.ID); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, _, err := s.Activate(ctx, p, "bot", ttl); identity.ReasonOf(err) != identity.ReasonSessionUnknown {
		t.Errorf("a revoked session was renewed: %v", err)
	}
}

func TestActivateRefuses(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	anonymous := identity.Anonymous()
	anonymous.Tenant = "acme"
	noTenant := jane()
	noTenant.Tenant = ""
	for _, tt := range []struct {
		name  string
		p     *identity.Principal
		agent string
		ttl   time.Duration
	}{
		{"anonymous", anonymous, "bot", ttl},
		{"no tenant", noTenant, "bot", ttl},
		{"no agent", jane(), "", ttl},
		{"agent is a path", jane(), "../x", ttl},
		{"agent with a line feed", jane(), "bot\n", ttl},
		{"agent too long", jane(), strings.Repeat("a", MaxAgentLength+1), ttl},
		{"no time", jane(), "bot", 0},
	} {
		if _, _, err := s.Activate(ctx, tt.p, tt.agent, tt.ttl); !identity.IsForbidden(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for name, random := range map[string][]byte{"no key": nil, "no id": make([]byte, 32)} {
		empty := NewStore(100, c.now, bytes.NewReader(random))
		if _, _, err := empty.Activate(ctx, jane(), "bot", ttl); !identity.IsUnavailable(err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := reason(empty, "ms_"+strings.Repeat("A", idLength)+"_"+strings.Repeat("A", secretLength)); got != identity.ReasonSessionUnknown {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestRevoke(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	john := jane()
	john.Subject, john.ID, john.Kind = "john", "key-1", identity.KindAPIKey
	foreign := jane()
	foreign.Tenant = "beta"
	var token [6]string
	token[0], _ = activate(t, s, jane(), "bot")
	token[1], _ = activate(t, s, jane(), "bot")
	token[2], _ = activate(t, s, jane(), "other")
	token[3], _ = activate(t, s, john, "bot")
	token[4], _ = activate(t, s, foreign, "bot")
	token[5], _ = activate(t, s, john, "other")
	valid := func() (out string) {
		for _, tok := range token {
			out += map[bool]string{true: "1", false: "0"}[reason(s, tok) == ""]
		}
		return out
	}
	p, err := s.Verify(ctx, token[0])
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Revoke(ctx, p.ID); !ok || err != nil || valid() != "011111" {
		t.Errorf("one: %v %v, %s", ok, err, valid())
	}
	for _, id := range []string{p.ID, "", "?", strings.Repeat("A", idLength)} {
		if ok, err := s.Revoke(ctx, id); ok || err != nil {
			t.Errorf("%q revoked: %v, %v", id, ok, err)
		}
	}
	if ended, err := s.RevokeAgent(ctx, "acme", "jane", "bot"); len(ended) != 1 || err != nil || valid() != "001111" {
		t.Errorf("a subject's agent: %v %v, %s", ended, err, valid())
	}
	if length(s) != 4 {
		t.Errorf("%d sessions", length(s))
	}
	c.advance(ttl)
	if ended, err := s.RevokeAgent(ctx, "acme", "jane", "other"); len(ended) != 0 || err != nil || length(s) != 3 {
		t.Errorf("expired ones were told as living: %v %v, %d left", ended, err, length(s))
	}
}

func TestLatest(t *testing.T) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	if _, ok, err := s.Latest(ctx, "acme", "jane"); ok || err != nil {
		t.Error("a session out of nothing")
	}
	activate(t, s, jane(), "first")
	c.advance(time.Second)
	activate(t, s, jane(), "second")
	foreign := jane()
	foreign.Tenant = "beta"
	c.advance(time.Second)
	activate(t, s, foreign, "third")
	if ses, ok, err := s.Latest(ctx, "acme", "jane"); !ok || err != nil || ses.Agent != "second" {
		t.Errorf("latest %+v", ses)
	}
}

func TestBounds(t *testing.T) {
	c := newClock()
	s := NewStore(MaxPerAgent+3, c.now, rand.Reader)
	var tokens []string
	for range MaxPerAgent + 2 {
		token, _ := activate(t, s, jane(), "bot")
		tokens = append(tokens, token)
		c.advance(time.Millisecond)
	}
	if length(s) != MaxPerAgent || reason(s, tokens[0]) != identity.ReasonSessionUnknown || reason(s, tokens[1]) != identity.ReasonSessionUnknown || reason(s, tokens[2]) != "" {
		t.Errorf("%d sessions for one agent", length(s))
	}
	for i := range 3 {
		activate(t, s, jane(), fmt.Sprint("agent", i))
	}
	if _, _, err := s.Activate(ctx, jane(), "one-more", ttl); !identity.IsUnavailable(err) || identity.ReasonOf(err) != identity.ReasonSessionCapacity {
		t.Errorf("beyond the limit: %v", err)
	}
	c.advance(ttl)
	activate(t, s, jane(), "one-more")
	if length(s) != 1 {
		t.Errorf("%d sessions after all but one expired", length(s))
	}
	many := NewStore(10*MaxPerSubject, c.now, rand.Reader)
	for i := range MaxPerSubject + 10 {
		activate(t, many, jane(), fmt.Sprint("agent", i))
	}
	if length(many) != MaxPerSubject {
		t.Errorf("%d sessions of one subject", length(many))
	}
}

func TestConcurrentUse(t *testing.T) {
	c := newClock()
	s := NewStore(1000, c.now, rand.Reader)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p := jane()
			p.Subject = fmt.Sprint("subject", i%3)
			for range 50 {
				token, ses, err := s.Activate(ctx, p, "bot", ttl)
				if err != nil {
					t.Error(err)
					return
				}
				held, err := s.Verify(ctx, token)
				if err != nil {
					continue // another of this subject made room for itself
				}
				if _, _, err = s.Activate(ctx, held, "bot", ttl); err != nil && identity.ReasonOf(err) != identity.ReasonSessionUnknown {
					t.Error(err)
				}
				if _, _, err := s.Latest(ctx, "acme", p.Subject); err != nil {
					t.Error(err)
				}
				if _, err := s.Revoke(ctx, ses.ID); err != nil {
					t.Error(err)
				}
				if got := reason(s, token); got != identity.ReasonSessionUnknown {
					t.Errorf("after its revocation: %q", got)
				}
			}
		})
	}
	wg.Wait()
	if length(s) != 0 {
		t.Errorf("%d sessions left", length(s))
	}
}

func FuzzVerify(f *testing.F) {
	c := newClock()
	s := NewStore(100, c.now, rand.Reader)
	token, _, err := s.Activate(ctx, jane(), "bot", ttl)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("ms_" + strings.Repeat("_", tokenLength-3))
	f.Add("ms_")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := s.Verify(ctx, in)
		var e *identity.Error
		if (err == nil) != (in == token) || err != nil && (p != nil || !errors.As(err, &e)) {
			t.Fatalf("%q: %+v, %v", in, p, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	s := NewStore(100_000, c.now, rand.Reader)
	token, _ := activate(b, s, jane(), "bot")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}
