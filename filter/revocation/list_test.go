package revocation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// memoryLog is a Log that a test can break.
type memoryLog struct {
	mu      sync.Mutex
	next    int
	entries map[int]Entry
	err     error
	page    int // entries in a page; 0 for any number
	changed chan struct{}
}

func newMemoryLog() *memoryLog {
	return &memoryLog{next: 1, entries: map[int]Entry{}, changed: make(chan struct{})}
}

func (m *memoryLog) Add(_ context.Context, entries ...Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, e := range entries {
		m.entries[m.next] = e
		m.next++
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func (m *memoryLog) Read(ctx context.Context, after string, wait time.Duration) (Page, error) {
	for deadline := time.Now().Add(wait); ; {
		page, changed, err := m.read(after)
		if err != nil || len(page.Entries) > 0 || !time.Now().Before(deadline) {
			return page, err
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
		case <-ctx.Done():
			return Page{}, ctx.Err()
		}
	}
}

func (m *memoryLog) read(after string) (Page, chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return Page{}, nil, m.err
	}
	from, _ := strconv.Atoi(after)
	page := Page{Next: strconv.Itoa(from)}
	for i := from + 1; i < m.next; i++ {
		if e, ok := m.entries[i]; ok {
			if m.page > 0 && len(page.Entries) == m.page {
				page.More = true
				break
			}
			page.Entries = append(page.Entries, Placed{e, strconv.Itoa(i)})
		}
		page.Next = strconv.Itoa(i)
	}
	return page, m.changed, nil
}

func (m *memoryLog) Remove(_ context.Context, positions ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range positions {
		i, _ := strconv.Atoi(p)
		delete(m.entries, i)
	}
	return m.err
}

func (m *memoryLog) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memoryLog) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

// told is a Sessions that takes notes.
type told struct {
	mu    sync.Mutex
	notes []string
}

func (s *told) note(text string) { s.mu.Lock(); s.notes = append(s.notes, text); s.mu.Unlock() }
func (s *told) Ended(id string)  { s.note("ended " + id) }
func (s *told) Changed(id string) {
	s.note("changed " + id)
}
func (s *told) Forget() { s.note("forget") }
func (s *told) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.notes
	s.notes = nil
	return out
}

// follow runs a list on log until the bubble's test ends.
func follow(t *testing.T, log Log) (*List, *told, *[]error) {
	var changes []error
	l := New(Config{Log: log, Now: time.Now, MaxStale: 30 * time.Second, Changed: func(err error) { changes = append(changes, err) }})
	s := &told{}
	l.Follow(s)
	if err := l.Check(jwt("early", time.Time{})); identity.ReasonOf(err) != identity.ReasonStateUnavailable || !identity.IsUnavailable(err) {
		t.Errorf("before anything was read: %v", err)
	}
	go l.Run(t.Context())
	synctest.Wait()
	return l, s, &changes
}

func jwt(id string, issued time.Time) *identity.Principal {
	return &identity.Principal{Kind: identity.KindJWT, Tenant: "acme", Subject: "jane", Issuer: "https://idp.test", ID: id, Issued: issued}
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		now := time.Now()
		_ = log.Add(t.Context(),
			Entry{Kind: KindKey, ID: "k1"},
			Entry{Kind: KindToken, Issuer: "https://idp.test", ID: "j1"},
			Entry{Kind: KindSubject, Issuer: "https://idp.test", ID: "jane", Before: now.Add(-time.Hour)},
			Entry{Kind: KindSubject, Issuer: "https://idp.test", ID: "jane", Before: now.Add(-2 * time.Hour)},
			Entry{Kind: KindSubject, Issuer: "https://idp.test", ID: "x", Before: now},
			Entry{Kind: KindKeySubject, Tenant: "acme", ID: "ci", Before: now.Add(-time.Hour)},
			Entry{Kind: KindPeer, ID: "spiffe://a/revoked"})
		l, _, _ := follow(t, log)
		session := func(kind identity.Kind, id string, issued time.Time) *identity.Principal {
			p := jwt("session-id", issued)
			p.Kind, p.Origin = identity.KindSession, identity.Origin{Kind: kind, ID: id}
			return p
		}
		key := func(id string) *identity.Principal {
			return &identity.Principal{Kind: identity.KindAPIKey, ID: id, Subject: "jane"}
		}
		keyOf := func(tenant, subject string, made time.Time) *identity.Principal {
			return &identity.Principal{Kind: identity.KindAPIKey, ID: "k3", Tenant: tenant, Subject: subject, Issued: made}
		}
		ofKey := keyOf("acme", "ci", now.Add(-2*time.Hour))
		ofKey.Kind, ofKey.Origin = identity.KindSession, identity.Origin{Kind: identity.KindAPIKey, ID: "k3"}
		peer := func(id string) *identity.Principal {
			return &identity.Principal{Kind: identity.KindMesh, Tenant: "acme", Subject: id, ID: id, Issuer: "spiffe://a"}
		}
		token := jwt("j2", now.Add(-2*time.Hour))
		token.Subject = "ci"
		other := jwt("j1", now)
		other.Issuer = "https://other.test"
		for _, tt := range []struct {
			name string
			p    *identity.Principal
			want identity.Reason
		}{
			{"key", key("k1"), identity.ReasonAPIKeyRevoked},
			{"another key", key("k2"), ""},
			{"a key with the id of a token", key("j1"), ""},
			{"token", jwt("j1", now), identity.ReasonTokenRevoked},
			{"token of another issuer", other, ""},
			{"token with the id of a key", jwt("k1", now), ""},
			{"token of the subject, before", jwt("j2", now.Add(-time.Hour-time.Second)), identity.ReasonSubjectRevoked},
			{"token of the subject, at that time", jwt("j2", now.Add(-time.Hour)), identity.ReasonSubjectRevoked},
			{"token of the subject, after", jwt("j2", now.Add(-time.Hour+time.Second)), ""},
			{"token of the subject that does not say when", jwt("j2", time.Time{}), identity.ReasonSubjectRevoked},
			{"session of a token", session(identity.KindJWT, "j1", now), identity.ReasonTokenRevoked},
			{"session of the subject, before", session(identity.KindJWT, "j2", now.Add(-2*time.Hour)), identity.ReasonSubjectRevoked},
			{"session of the subject, after", session(identity.KindJWT, "j2", now), ""},
			{"session of a key", session(identity.KindAPIKey, "k1", time.Time{}), identity.ReasonAPIKeyRevoked},
			{"session of another key", session(identity.KindAPIKey, "k2", time.Time{}), ""},
			{"session of a peer", session(identity.KindMesh, "spiffe://a/b", time.Time{}), ""},
			{"session of a revoked peer", session(identity.KindMesh, "spiffe://a/revoked", time.Time{}), identity.ReasonPeerRevoked},
			{"peer", peer("spiffe://a/revoked"), identity.ReasonPeerRevoked},
			{"another peer", peer("spiffe://a/revoked/not"), ""},
			{"key of the subject, before", keyOf("acme", "ci", now.Add(-2*time.Hour)), identity.ReasonSubjectRevoked},
			{"key of the subject, after", keyOf("acme", "ci", now), ""},
			{"key of the subject that does not say when", keyOf("acme", "ci", time.Time{}), identity.ReasonSubjectRevoked},
			{"key of the subject of another tenant", keyOf("other", "ci", now.Add(-2*time.Hour)), ""},
			{"key of another subject", keyOf("acme", "jane", now.Add(-2*time.Hour)), ""},
			{"session of a key of the subject", ofKey, identity.ReasonSubjectRevoked},
			{"token of a subject of keys", token, ""},
			{"session of nothing", session("", "", now), identity.ReasonInternal},
			{"anonymous", identity.Anonymous(), identity.ReasonInternal},
		} {
			err := l.Check(tt.p)
			if tt.want == "" && err != nil || tt.want != "" && identity.ReasonOf(err) != tt.want {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			if err != nil && (tt.want == identity.ReasonInternal) != identity.IsUnavailable(err) {
				t.Errorf("%s: class of %v", tt.name, err)
			}
		}
		if st := l.Stats(); !maps.Equal(st.Revoked, map[Kind]int{KindKey: 1, KindToken: 1, KindSubject: 2, KindKeySubject: 1, KindPeer: 1}) || !st.Up || !st.Known {
			t.Errorf("%+v", st)
		}
	})
}

// A broken connection is noticed, and asked for again, within the second that is
// promised.
func TestBreakIsNoticedWithinASecond(t *testing.T) {
	if wait+answer+retry > time.Second {
		t.Errorf("%v", wait+answer+retry)
	}
}

// What is added is known at once, and not after some time.
func TestNewsIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		l, s, _ := follow(t, log)
		if got := s.take(); !slices.Equal(got, []string{"forget"}) {
			t.Errorf("%v", got)
		}
		p := jwt("j1", time.Now())
		if err := l.Check(p); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		_ = log.Add(t.Context(), Entry{Kind: KindToken, Issuer: p.Issuer, ID: p.ID},
			Entry{Kind: KindSession, ID: "s1", Until: time.Now().Add(Told)}, Entry{Kind: KindSessionChanged, ID: "s2", Until: time.Now().Add(Told)})
		synctest.Wait()
		if err := l.Check(p); identity.ReasonOf(err) != identity.ReasonTokenRevoked || !time.Now().Equal(before) {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		if got := s.take(); !slices.Equal(got, []string{"ended s1", "changed s2"}) {
			t.Errorf("%v", got)
		}
		// An idle log is asked for news twice a second and causes nothing.
		time.Sleep(10 * time.Minute)
		if got := s.take(); got != nil {
			t.Errorf("%v", got)
		}
		if st := l.Stats(); st.Age > 2*wait || st.Failures != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A log that fails is believed to have nothing new for a bounded time, and then
// nobody passes until it answers.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		_ = log.Add(t.Context(), Entry{Kind: KindKey, ID: "k1"})
		l, s, changes := follow(t, log)
		s.take()
		p := jwt("j1", time.Now())
		broken := errors.New("broken")
		log.fail(broken)
		time.Sleep(2 * time.Second)
		if err := l.Check(p); err != nil {
			t.Errorf("in the first seconds: %v", err)
		}
		if st := l.Stats(); st.Up || st.Age < time.Second || st.Failures < 10 {
			t.Errorf("%+v", st)
		}
		time.Sleep(29 * time.Second)
		if err := l.Check(p); identity.ReasonOf(err) != identity.ReasonStateUnavailable || !identity.IsUnavailable(err) {
			t.Errorf("after max_stale: %v", err)
		}
		log.fail(nil)
		_ = log.Add(t.Context(), Entry{Kind: KindToken, Issuer: p.Issuer, ID: p.ID})
		time.Sleep(retry)
		synctest.Wait()
		if err := l.Check(p); identity.ReasonOf(err) != identity.ReasonTokenRevoked {
			t.Errorf("back again: %v", err)
		}
		if got := s.take(); !slices.Equal(got, []string{"forget"}) {
			t.Errorf("%v", got)
		}
		if len(*changes) != 3 || (*changes)[0] != nil || !errors.Is((*changes)[1], broken) || (*changes)[2] != nil {
			t.Errorf("%v", *changes)
		}
	})
}

func TestNeverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		log.fail(errors.New("broken"))
		l, _, changes := follow(t, log)
		time.Sleep(time.Minute)
		if err := l.Check(jwt("j1", time.Now())); identity.ReasonOf(err) != identity.ReasonStateUnavailable {
			t.Errorf("%v", err)
		}
		if len(*changes) != 1 || l.Stats().Known {
			t.Errorf("%v", *changes)
		}
	})
}

// A log that comes back without its data gets it from those who know it, as far
// as it matters.
func TestLostEntriesAreRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		log.page = 2
		keep := []Entry{
			{Kind: KindKey, ID: "k1", Made: time.Now()},
			{Kind: KindToken, Issuer: "i", ID: "j1", Until: time.Now().Add(time.Hour)},
			{Kind: KindSubject, Issuer: "i", ID: "jane", Before: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)},
		}
		_ = log.Add(t.Context(), keep...)
		_ = log.Add(t.Context(), Entry{Kind: KindToken, Issuer: "i", ID: "short", Until: time.Now().Add(time.Second)}, Entry{Kind: KindSession, ID: "s", Until: time.Now().Add(Told)})
		l, _, _ := follow(t, log)
		log.fail(errors.New("restarting"))
		time.Sleep(2 * time.Second)
		log.mu.Lock()
		log.entries, log.next, log.err = map[int]Entry{}, 1, nil
		log.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		page, err := log.Read(t.Context(), "", 0)
		for page.More && err == nil {
			var more Page
			more, err = log.Read(t.Context(), page.Next, 0)
			more.Entries = append(page.Entries, more.Entries...)
			page = more
		}
		if err != nil || len(page.Entries) != len(keep) {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, e := range keep {
			if !slices.ContainsFunc(page.Entries, func(p Placed) bool { return p.Entry == e }) {
				t.Errorf("%+v is lost: %+v", e, page.Entries)
			}
		}
		if st := l.Stats(); !st.Up || st.Revoked[KindToken] != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestWhatIsOverGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		l, _, _ := follow(t, log)
		for i := range 2500 {
			_ = log.Add(t.Context(), Entry{Kind: KindToken, Issuer: "i", ID: fmt.Sprint("j", i), Until: time.Now().Add(time.Minute)})
		}
		_ = log.Add(t.Context(), Entry{Kind: KindKey, ID: "k"}, Entry{Kind: KindSession, ID: "s", Until: time.Now().Add(Told)})
		time.Sleep(time.Minute)
		if st := l.Stats(); st.Revoked[KindToken] != 2500 || log.len() != 2502 {
			t.Errorf("%+v, %d", st, log.len())
		}
		time.Sleep(3 * time.Minute)
		if st := l.Stats(); st.Revoked[KindToken] != 0 || st.Revoked[KindKey] != 1 || log.len() != 1 || len(l.places) != 1 {
			t.Errorf("%+v, %d, %d", st, log.len(), len(l.places))
		}
	})
}

// slowLog answers late, as to a process that was stopped for a while.
type slowLog struct {
	Log
	pause atomic.Int64
}

func (s *slowLog) Read(ctx context.Context, after string, wait time.Duration) (Page, error) {
	pause := time.Duration(s.pause.Swap(0))
	if pause == 0 {
		return s.Log.Read(ctx, after, wait)
	}
	time.Sleep(pause)
	return s.Log.Read(context.WithoutCancel(ctx), after, 0)
}

func TestSleeperForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{Log: newMemoryLog()}
		_, s, _ := follow(t, log)
		s.take()
		log.pause.Store(int64(Told))
		time.Sleep(3 * Told)
		synctest.Wait()
		if got := s.take(); !slices.Equal(got, []string{"forget"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestUnreadableEntryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		l, _, changes := follow(t, log)
		_ = log.Add(t.Context(), Entry{Kind: "tenant", ID: "acme"})
		time.Sleep(time.Minute)
		if err := l.Check(jwt("j", time.Now())); !identity.IsUnavailable(err) {
			t.Errorf("%v", err)
		}
		if n := len(*changes); n != 2 || !errors.Is((*changes)[1], ErrEntry) {
			t.Errorf("%v", *changes)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	l := New(Config{Now: time.Now, MaxStale: time.Hour})
	l.contact.Store(1)
	var all []Entry
	for i := range 100_000 {
		all = append(all, Entry{Kind: KindToken, Issuer: "https://idp.test", ID: fmt.Sprint("j", i)},
			Entry{Kind: KindSubject, Issuer: "https://idp.test", ID: fmt.Sprint("s", i), Before: time.Now()})
	}
	l.put(all...)
	p := jwt("other", time.Now())
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := l.Check(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
