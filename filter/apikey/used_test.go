package apikey

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testPepper = []byte("0123456789abcdef0123456789abcdef")

// When keys were used is kept beside the key file, which is not touched, and outlives both a
// reload and a restart.
func TestUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	var keys, ids []string
	for range 3 {
		r, key, err := Create(path, Development, testPepper, Record{Tenant: "acme"}, rand.Reader, clock)
		if err != nil {
			t.Fatal(err)
		}
		keys, ids = append(keys, key), append(ids, r.ID)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, Development, testPepper, clock)
	if err != nil {
		t.Fatal(err)
	}
	use := func(i int) {
		if _, err := s.Verify(context.Background(), keys[i]); err != nil {
			t.Fatal(err)
		}
	}
	use(0)
	now = now.Add(time.Minute)
	use(1)
	if _, err := s.Verify(context.Background(), strings.Replace(keys[2], ids[2], ids[1], 1)); err == nil {
		t.Fatal("another key's id")
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	used := s.TakeUsed()
	if len(used) != 2 || !used[ids[0]].Equal(now.Add(-time.Minute)) || !used[ids[1]].Equal(now) {
		t.Fatalf("%v", used)
	}
	if again := s.TakeUsed(); len(again) != 0 {
		t.Errorf("taken twice: %v", again)
	}
	used["no-such-key"] = now
	for _, u := range []map[string]time.Time{used, {ids[1]: now.Add(-time.Hour)}, nil} {
		if err := PutUsed(path, u); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Used(path)
	if err != nil || len(got) != 2 || !got[ids[0]].Equal(now.Add(-time.Minute)) || !got[ids[1]].Equal(now) {
		t.Errorf("%v, %v", got, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("the key file changed")
	}
	if info, err := os.Stat(usedFile(path)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(usedFile(path), []byte("a: b: c"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Used(path); err == nil {
		t.Error("garbage is read")
	}
}

func TestCensus(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	day := 24 * time.Hour
	c := new(Census)
	add := func(expires, revoked time.Duration) {
		r := Record{ID: fmt.Sprint(expires)}
		if expires != 0 {
			r.Expires = now.Add(expires)
		}
		if revoked != 0 {
			r.Revoked = now.Add(revoked)
		}
		c.Add(&r, now, 14*day)
	}
	add(0, 0)
	add(100*day, 0)
	add(-day, 0)
	add(0, -day)
	add(day, -day)
	add(2*day, day) // its successor is there already
	for i := range 30 {
		add(time.Duration(40-i)*time.Hour, 0)
	}
	if c.Active != 33 || c.Expired != 1 || c.Revoked != 2 || c.Expiring != 30 || len(c.Soon) != MaxSoon || !c.Next.Equal(now.Add(11*time.Hour)) {
		t.Errorf("%+v", c)
	}
	for i := range c.Soon {
		if want := now.Add(time.Duration(11+i) * time.Hour); !c.Soon[i].Expires.Equal(want) {
			t.Errorf("%d: %v", i, c.Soon[i].Expires)
		}
	}
}

// A look-up is one access to a map by the id that stands in the key: no other record is
// touched, so that the cost does not grow with their number.
func TestLookupTouchesOneRecord(t *testing.T) {
	s, keys := storeOf(t, 1000)
	all := *s.keys.Load()
	_, id, _ := parse(keys[7])
	for other, k := range all {
		if other != id {
			*k = known{} // whoever looks at it finds nobody
		}
	}
	if p, err := s.Verify(context.Background(), keys[7]); err != nil || p.ID != id {
		t.Fatalf("%+v, %v", p, err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Verify(context.Background(), keys[7]) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// storeOf makes a store of n keys without a file, of which the first few are returned.
func storeOf(t testing.TB, n int) (*Store, []string) {
	t.Helper()
	s := &Store{env: Development, pepper: testPepper, now: time.Now}
	all := make(map[string]*known, n)
	var keys []string
	for i := range n {
		r, key, err := issue(Development, testPepper, Record{Tenant: "acme"}, rand.Reader, time.Now, func(Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		k, err := newKnown(&r)
		if err != nil {
			t.Fatal(err)
		}
		all[r.ID] = k
		if i < 64 {
			keys = append(keys, key)
		}
	}
	s.keys.Store(&all)
	return s, keys
}

// go test -run '^$' -bench BenchmarkLookup ./filter/apikey
//
// The time of a verification with 10, 10,000 and 1,000,000 keys; ratio is that to ten keys.
func BenchmarkLookup(b *testing.B) {
	base := 0.0
	for _, n := range []int{10, 10_000, 1_000_000} {
		s, keys := storeOf(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := s.Verify(context.Background(), keys[i%len(keys)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			each := float64(b.Elapsed()) / float64(b.N)
			if base == 0 {
				base = each
			}
			b.ReportMetric(each/base, "ratio")
		})
	}
}
