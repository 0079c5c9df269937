package state_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/redisconn"
	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/session"
	"github.com/memgate/memgate/filter/state"
)

func TestMain(m *testing.M) {
	logging.Disable() // of connections that cannot be had, which is what is tested
	os.Exit(m.Run())
}

// patient waits longer than a busy machine takes.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func openRedis(t testing.TB, url string) state.State {
	t.Helper()
	client, err := redisconn.Open(url, false)
	if err != nil {
		t.Fatal(err)
	}
	s := state.NewRedis(client, "test", time.Now)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openFile(t testing.TB, path string) state.State {
	t.Helper()
	s, err := state.OpenFile(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// each runs a test on a file and on a Redis. open opens the same state once more.
func each(t *testing.T, test func(t *testing.T, open func() state.State)) {
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a folder with %41 and ?", "state.db")
		test(t, func() state.State { return openFile(t, path) })
	})
	t.Run("redis", func(t *testing.T) {
		url := harness.StartRedis(t).URL
		test(t, func() state.State { return openRedis(t, url) })
	})
}

func stored(id, owner string, life time.Duration) session.Stored {
	return session.Stored{ID: id, Owner: owner, Life: life, Expires: time.Now().Add(life), Data: []byte("data of \x00 " + id)}
}

func names(all [][]byte) []string {
	var out []string
	for _, b := range all {
		out = append(out, strings.TrimPrefix(string(b), "data of \x00 "))
	}
	slices.Sort(out)
	return out
}

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, open func() state.State) {
		a, b, ctx := open(), open(), patient(t)
		check := func(got any, err error, want any) {
			t.Helper()
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		}
		for _, s := range []session.Stored{stored("one", "jane", time.Hour), stored("two", "jane", 2*time.Hour), stored("three", "john", 3*time.Hour)} {
			if err := a.Insert(ctx, s, 3); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Insert(ctx, stored("four", "john", time.Hour), 3); !errors.Is(err, session.ErrFull) {
			t.Errorf("one more than there may be: %v", err)
		}
		if err := b.Insert(ctx, stored("one", "john", time.Hour), 10); !errors.Is(err, session.ErrTaken) {
			t.Errorf("an id twice: %v", err)
		}
		data, err := b.Load(ctx, "one")
		check(string(data), err, "data of \x00 one")
		data, err = b.Load(ctx, "none")
		check(data == nil, err, true)
		all, err := b.Of(ctx, "jane")
		check(names(all), err, "[one two]")
		all, err = b.Of(ctx, "nobody")
		check(len(all), err, 0)
		all, err = b.All(ctx, 2)
		check(names(all), err, "[three two]")
		n, err := b.Len(ctx)
		check(n, err, 3)

		// A session is replaced as long as it is as it was.
		next := stored("one", "jane", 5*time.Hour)
		next.Data = []byte("renewed")
		done, err := b.Replace(ctx, []byte("something else"), next, true)
		check(done, err, false)
		done, err = b.Replace(ctx, stored("one", "jane", 0).Data, next, false)
		check(done, err, true)
		data, err = a.Load(ctx, "one")
		check(string(data), err, "renewed")
		done, err = b.Replace(ctx, []byte("x"), stored("none", "jane", time.Hour), true)
		check(done, err, false)
		all, err = b.All(ctx, 1)
		check(names(all), err, "[renewed]")

		ended, err := b.End(ctx, "one", "none", "three")
		check(ended, err, "[one three]")
		ended, err = a.End(ctx, "one")
		check(len(ended), err, 0)
		all, err = a.All(ctx, 100)
		check(names(all), err, "[two]")

		// Those that expired make room, and are not found.
		for i := range 3 {
			if err := a.Insert(ctx, stored(fmt.Sprint("short", i), "jane", 20*time.Millisecond), 4); err != nil {
				t.Fatal(err)
			}
		}
		harness.Eventually(t, func() error { return a.Insert(ctx, stored("late", "jane", time.Hour), 3) })
		harness.Eventually(t, func() error {
			if n, err := a.Len(ctx); err != nil || n != 2 {
				return fmt.Errorf("%d sessions, %v", n, err)
			}
			return nil
		})
	})
}

func keyEntry(id string) revocation.Entry {
	return revocation.Entry{Kind: revocation.KindKey, ID: id, Made: time.UnixMilli(1777636800000).UTC()}
}

func TestLog(t *testing.T) {
	each(t, func(t *testing.T, open func() state.State) {
		a, b, ctx := open(), open(), patient(t)
		page, err := a.Read(ctx, "", 0)
		if err != nil || len(page.Entries) != 0 || page.More || page.Next == "" {
			t.Fatalf("of nothing: %+v, %v", page, err)
		}
		if err := a.Add(ctx, revocation.Entry{Kind: "tenant"}); !errors.Is(err, revocation.ErrEntry) {
			t.Errorf("no entry: %v", err)
		}
		// One that waits is woken by another.
		type result struct {
			page revocation.Page
			err  error
		}
		woken := make(chan result)
		go func() {
			page, err := a.Read(ctx, page.Next, time.Minute)
			woken <- result{page, err}
		}()
		if err := b.Add(ctx, keyEntry("k1")); err != nil {
			t.Fatal(err)
		}
		got := <-woken
		if got.err != nil || len(got.page.Entries) != 1 || got.page.Entries[0].Entry != keyEntry("k1") {
			t.Fatalf("%+v, %v", got.page, got.err)
		}
		// Many come in pages.
		const many = 12_000
		var batch []revocation.Entry
		for i := range many {
			batch = append(batch, keyEntry(fmt.Sprint("k", i)))
		}
		if err := b.Add(ctx, batch...); err != nil {
			t.Fatal(err)
		}
		var all []revocation.Placed
		for after, more := "", true; more; {
			page, err := a.Read(ctx, after, 0)
			if err != nil {
				t.Fatal(err)
			}
			all, after, more = append(all, page.Entries...), page.Next, page.More
		}
		if len(all) != many+1 || all[many].Entry != batch[many-1] {
			t.Errorf("%d entries", len(all))
		}
		if err := a.Remove(ctx, all[0].Position, all[1].Position); err != nil {
			t.Fatal(err)
		}
		if page, err = b.Read(ctx, "", 0); err != nil || page.Entries[0].Position != all[2].Position {
			t.Errorf("after two were removed: %v", err)
		}
	})
}

// instance is what a process has of a state.
type instance struct {
	store *session.Store
	list  *revocation.List
}

var key = bytes.Repeat([]byte("k"), session.MinKey)

func start(t testing.TB, s state.State) *instance {
	t.Helper()
	l := revocation.New(revocation.Config{Log: s, Now: time.Now, MaxStale: 3 * time.Second})
	store, err := session.NewShared(session.Shared{
		Backend: s, Key: key, Max: 1000, Now: time.Now, Random: rand.Reader, Down: func() bool { return !l.Stats().Up },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Follow(store)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	harness.Eventually(t, l.Fresh)
	return &instance{store, l}
}

func jane() *identity.Principal {
	return &identity.Principal{
		Kind: identity.KindJWT, Subject: "jane", Tenant: "acme", ID: "jti-1", Issuer: "https://idp.test",
		Scopes: []string{"memory:read", "memory:write"}, Issued: time.Now().Add(-time.Minute).UTC().Truncate(time.Second),
	}
}

func activate(t testing.TB, i *instance, p *identity.Principal) string {
	t.Helper()
	token, _, err := i.store.Activate(patient(t), p, "bot", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// why is the reason for which an instance refuses a session, or "".
func why(t testing.TB, i *instance, token string) identity.Reason {
	p, err := i.store.Verify(patient(t), token)
	if err == nil {
		err = i.list.Check(p)
	}
	if err != nil {
		return identity.ReasonOf(err)
	}
	return ""
}

func eventually(t testing.TB, i *instance, token string, want identity.Reason) {
	t.Helper()
	harness.Eventually(t, func() error {
		if got := why(t, i, token); got != want {
			return fmt.Errorf("%q, want %q", got, want)
		}
		return nil
	})
}

func TestTwoInstances(t *testing.T) {
	each(t, func(t *testing.T, open func() state.State) {
		a, b, ctx := start(t, open()), start(t, open()), patient(t)
		token := activate(t, a, jane())
		p, err := b.store.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		want := jane()
		if p.Tenant != "acme" || p.Subject != "jane" || p.Agent != "bot" || !slices.Equal(p.Scopes, want.Scopes) || p.Issuer != want.Issuer ||
			p.Origin != (identity.Origin{Kind: identity.KindJWT, ID: "jti-1"}) || p.Issued.IsZero() || p.Kind != identity.KindSession {
			t.Errorf("%+v", p)
		}
		// Narrowed on the one, narrower on the other; renewed, it has the same token.
		narrow := *p
		narrow.Scopes = []string{"memory:read"}
		if again, s, err := b.store.Activate(ctx, &narrow, "bot", 2*time.Hour); err != nil || again != token || len(s.Scopes) != 1 {
			t.Errorf("%v %+v", err, s)
		}
		harness.Eventually(t, func() error {
			p, err := a.store.Verify(ctx, token)
			if err != nil || len(p.Scopes) != 1 {
				return fmt.Errorf("%+v, %v", p, err)
			}
			return nil
		})
		if s, ok, err := a.store.Latest(ctx, "acme", "jane"); err != nil || !ok || s.Agent != "bot" {
			t.Errorf("%+v %v %v", s, ok, err)
		}

		// Ended on the one, refused on the other, which has a copy.
		if got := why(t, b, token); got != "" {
			t.Fatal(got)
		}
		if ended, err := a.store.RevokeAgent(ctx, "acme", "jane", "bot"); err != nil || len(ended) != 1 {
			t.Fatal(ended, err)
		}
		if got := why(t, a, token); got != identity.ReasonSessionRevoked {
			t.Errorf("where it was ended: %q", got)
		}
		eventually(t, b, token, identity.ReasonSessionRevoked)
		if _, _, err := b.store.Activate(ctx, p, "bot", time.Hour); identity.ReasonOf(err) != identity.ReasonSessionUnknown {
			t.Errorf("an ended session was renewed: %v", err)
		}

		// With the credential that it was issued to, or its subject.
		for _, e := range []struct {
			entry revocation.Entry
			want  identity.Reason
		}{
			{revocation.Entry{Kind: revocation.KindToken, Issuer: "https://idp.test", ID: "jti-1"}, identity.ReasonTokenRevoked},
			{revocation.Entry{Kind: revocation.KindSubject, Issuer: "https://idp.test", ID: "john", Before: time.Now()}, identity.ReasonSubjectRevoked},
		} {
			p := jane()
			if e.entry.Kind == revocation.KindSubject {
				p.Subject, p.ID = "john", "jti-2"
			}
			token := activate(t, a, p)
			if got := why(t, b, token); got != "" {
				t.Fatal(got)
			}
			if err := open().Add(ctx, e.entry); err != nil {
				t.Fatal(err)
			}
			eventually(t, a, token, e.want)
			eventually(t, b, token, e.want)
		}
		// One that comes later knows it, too, and all sessions.
		late := start(t, open())
		if st := late.list.Stats(); st.Revoked[revocation.KindToken] != 1 || st.Revoked[revocation.KindSubject] != 1 {
			t.Errorf("%+v", st)
		}
		if all, err := late.store.All(ctx, 10); err != nil || len(all) != 2 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// Nothing in the state makes a token, and nothing that is changed there widens
// a session.
func TestStateIsSealed(t *testing.T) {
	each(t, func(t *testing.T, open func() state.State) {
		s, ctx := open(), patient(t)
		a := start(t, s)
		token := activate(t, a, jane())
		all, err := s.All(ctx, 1)
		if err != nil || len(all) != 1 {
			t.Fatal(err)
		}
		if secret := token[strings.LastIndexByte(token, '_')+1:]; bytes.Contains(all[0], []byte(secret)) || bytes.Contains(all[0], key) {
			t.Error("the state shows a secret")
		}
		id := token[3:19]
		widened := bytes.Replace(all[0], []byte("memory:write"), []byte("memory:admin"), 1)
		next := session.Stored{ID: id, Owner: "jane", Life: time.Hour, Expires: time.Now().Add(time.Hour), Data: widened}
		if ended, err := s.End(ctx, id); err != nil || len(ended) != 1 {
			t.Fatal(err)
		}
		if err := s.Insert(ctx, next, 10); err != nil {
			t.Fatal(err)
		}
		late := start(t, open())
		if got := why(t, late, token); got != identity.ReasonSessionUnknown {
			t.Errorf("a changed session: %q", got)
		}
		// Nor does a record of another session.
		other := activate(t, a, jane())
		record, err := s.Load(ctx, other[3:19])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.End(ctx, id); err != nil {
			t.Fatal(err)
		}
		next.Data = record
		if err := s.Insert(ctx, next, 10); err != nil {
			t.Fatal(err)
		}
		if got := why(t, start(t, open()), token); got != identity.ReasonSessionUnknown {
			t.Errorf("the record of another session: %q", got)
		}
	})
}

// Many instances renew and end the same sessions: a session that ended never
// comes back.
func TestEndedStaysEnded(t *testing.T) {
	each(t, func(t *testing.T, open func() state.State) {
		instances := []*instance{start(t, open()), start(t, open()), start(t, open())}
		for range 5 {
			token := activate(t, instances[0], jane())
			p, err := instances[0].store.Verify(patient(t), token)
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			var ended atomic.Int32
			for n, i := range instances {
				group.Go(func() {
					for range 5 {
						_, _, _ = i.store.Activate(patient(t), p, "bot", time.Hour)
						if n == 0 {
							if ok, err := i.store.Revoke(patient(t), p.ID); err == nil && ok {
								ended.Add(1)
							}
						}
					}
				})
			}
			group.Wait()
			if n := ended.Load(); n != 1 {
				t.Errorf("ended %d times", n)
			}
			for _, i := range instances {
				eventually(t, i, token, identity.ReasonSessionRevoked)
			}
		}
	})
}
