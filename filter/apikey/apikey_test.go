package apikey

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/ownerfile"
)

var pepper = bytes.Repeat([]byte("p"), MinPepper)

type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func create(t testing.TB, path string, c *clock, grant Record) (Record, string) {
	t.Helper()
	r, key, err := Create(path, Development, pepper, grant, rand.Reader, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return r, key
}

func open(t testing.TB, path string, c *clock) *Store {
	t.Helper()
	s, err := Open(path, Development, pepper, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reason(s *Store, key string) identity.Reason {
	if _, err := s.Verify(context.Background(), key); err != nil {
		if !identity.IsUnauthenticated(err) {
			return "not answered with 401"
		}
		return identity.ReasonOf(err)
	}
	return ""
}

func TestCreateVerifyRevoke(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	r, key := create(t, path, c, Record{Name: "ci", Tenant: "acme", Scopes: []string{"memory:write", "memory:read"}, Expires: c.now().Add(time.Hour)})
	_, named := create(t, path, c, Record{Tenant: "beta", Subject: "robot"})
	s := open(t, path, c)
	p, err := s.Verify(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != identity.KindAPIKey || p.Tenant != "acme" || p.Subject != "key:"+r.ID || p.ID != r.ID ||
		strings.Join(p.Scopes, " ") != "memory:read memory:write" || !p.Expires.Equal(c.now().Add(time.Hour)) {
		t.Errorf("principal %+v", p)
	}
	if p, err = s.Verify(context.Background(), named); err != nil || p.Subject != "robot" || p.Tenant != "beta" || !p.Expires.IsZero() {
		t.Errorf("principal %+v, %v", p, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	file, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(file), key) || strings.Contains(string(file), secretOf(key)) {
		t.Error("the file holds a secret")
	}
	c.advance(time.Hour)
	if got := reason(s, key); got != identity.ReasonAPIKeyExpired {
		t.Errorf("expired: %q", got)
	}
	if got := reason(s, named); got != "" {
		t.Errorf("without expiry: %q", got)
	}
	// Revocation may lie ahead, so that a key and its successor overlap.
	list, err := List(path)
	if err != nil || len(list) != 2 || list[0].Name != "ci" {
		t.Fatalf("list %+v, %v", list, err)
	}
	if _, err := Revoke(path, list[1].ID, c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := reason(s, named); got != "" {
		t.Errorf("in the overlap: %q", got)
	}
	c.advance(time.Minute)
	if got := reason(s, named); got != identity.ReasonAPIKeyRevoked {
		t.Errorf("revoked: %q", got)
	}
	if again, err := Revoke(path, list[1].ID, c.now().Add(time.Hour)); err != nil || again.Revoked.After(c.now()) {
		t.Errorf("a later revocation moved the earlier one: %v, %v", again.Revoked, err)
	}
	if _, err := Revoke(path, "000000000000", c.now()); !errors.Is(err, ErrUnknownID) {
		t.Errorf("unknown id: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	_, key := create(t, path, c, Record{Tenant: "acme"})
	s := open(t, path, c)
	_, id, err := parse(key)
	if err != "" {
		t.Fatal(err)
	}
	_, stranger, _ := Generate(Development, rand.Reader)
	body := Development.prefix() + id + "_" + strings.Repeat("A", secretLength)
	typo := []byte(key)
	typo[30] = 'a' + (typo[30]-'a'+1)%26
	for _, tt := range []struct {
		name, key string
		want      identity.Reason
	}{
		{"empty", "", identity.ReasonAPIKeyMalformed},
		{"prefix", "mg_", identity.ReasonAPIKeyMalformed},
		{"JWT", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln", identity.ReasonAPIKeyMalformed},
		{"another prefix", "mx" + key[2:], identity.ReasonAPIKeyMalformed},
		{"truncated", key[:len(key)-1], identity.ReasonAPIKeyMalformed},
		{"extended", key + "0", identity.ReasonAPIKeyMalformed},
		{"separator missing", key[:19] + "0" + key[20:], identity.ReasonAPIKeyMalformed},
		{"other characters", key[:20] + "-" + key[21:], identity.ReasonAPIKeyMalformed},
		{"huge", strings.Repeat("mg_", 1<<16), identity.ReasonAPIKeyMalformed},
		{"typo", string(typo), identity.ReasonAPIKeyChecksum},
		{"typo in the id", key[:7] + string('0'+(key[7]-'0'+1)%10) + key[8:], identity.ReasonAPIKeyChecksum},
		{"unknown id", stranger, identity.ReasonAPIKeyUnknown},
		{"known id, wrong secret", body + checksum(body), identity.ReasonAPIKeyUnknown},
	} {
		if got := reason(s, tt.key); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	other, oerr := Open(path, Development, bytes.Repeat([]byte("q"), MinPepper), c.now)
	if oerr != nil {
		t.Fatal(oerr)
	}
	if got := reason(other, key); got != identity.ReasonAPIKeyUnknown {
		t.Errorf("another pepper: %q", got)
	}
	if _, err := Open(path, Development, []byte("short"), c.now); err == nil {
		t.Error("a short pepper was accepted")
	}
}

func TestOpenRefuses(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.yaml")
	if _, err := Open(path, Development, pepper, c.now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	create(t, path, c, Record{Tenant: "acme"})
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Development, pepper, c.now); !errors.Is(err, ownerfile.ErrOpen) {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Development, pepper, c.now); err == nil {
		t.Error("a directory was accepted")
	}
	const hash = "0000000000000000000000000000000000000000000000000000000000000000"
	entry := func(extra string) string {
		return "version: 1\nkeys:\n- id: AAAAAAAAAAAA\n  hash: \"" + hash + "\"\n  tenant: acme\n  created: 2026-01-01T00:00:00Z\n" + extra
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(entry(""))
	if _, err := Open(path, Development, pepper, c.now); err != nil {
		t.Fatalf("the base of the table is refused: %v", err)
	}
	for name, text := range map[string]string{
		"empty":             "",
		"no YAML":           "\tkeys",
		"version missing":   "keys: []\n",
		"version unknown":   "version: 2\nkeys: []\n",
		"unknown member":    entry("  admin: true\n"),
		"member twice":      entry("  tenant: evil\n"),
		"id twice":          entry("- id: AAAAAAAAAAAA\n  hash: \"" + hash + "\"\n  tenant: acme\n  created: 2026-01-01T00:00:00Z\n"),
		"two documents":     entry("---\nversion: 1\n"),
		"bad id":            strings.Replace(entry(""), "AAAAAAAAAAAA", "../AAAAAAAAA", 1),
		"bad hash":          strings.Replace(entry(""), hash, "00", 1),
		"bad hash digits":   strings.Replace(entry(""), "00000000", "zzzzzzzz", 1),
		"bad tenant":        strings.Replace(entry(""), "acme", "a/b", 1),
		"bad scope":         entry("  scopes: [\"a b\"]\n"),
		"bad subject":       entry("  subject: \"a\\nb\"\n"),
		"bad time":          entry("  expires: soon\n"),
		"scopes not a list": entry("  scopes: {a: b}\n"),
	} {
		write(text)
		if _, err := Open(path, Development, pepper, c.now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBrokenFileKeepsKeys(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	_, key := create(t, path, c, Record{Tenant: "acme"})
	s := open(t, path, c)
	if err := os.WriteFile(path, []byte("version: 1\nkeys: [{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("a broken file went unreported")
	}
	if got := reason(s, key); got != "" || s.Len() != 1 {
		t.Errorf("after a broken file: %q", got)
	}
	if _, _, err := Create(path, Development, pepper, Record{Tenant: "acme"}, rand.Reader, c.now); err == nil {
		t.Error("a broken file was overwritten")
	}
}

func TestWritersDoNotLoseKeys(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	const writers = 16
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, _, err := Create(path, Development, pepper, Record{Tenant: "acme", Name: fmt.Sprint(i)}, rand.Reader, c.now); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := open(t, path, c).Len(); n != writers {
		t.Errorf("%d keys of %d", n, writers)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 2 {
		t.Errorf("files left behind: %v, %v", files, err)
	}
}

func TestReloadWhileVerifying(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	_, key := create(t, path, c, Record{Tenant: "acme"})
	s := open(t, path, c)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got := reason(s, key); got != "" {
					t.Error(got)
				}
			}
		})
	}
	for range 20 {
		if err := s.Reload(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestCreateRefuses(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	for name, grant := range map[string]Record{
		"no tenant":       {},
		"tenant":          {Tenant: "../x"},
		"scope":           {Tenant: "acme", Scopes: []string{"a b"}},
		"subject":         {Tenant: "acme", Subject: "a\x00"},
		"very long name":  {Tenant: "acme", Name: strings.Repeat("n", maxName+1)},
		"expired already": {Tenant: "acme", Expires: c.now()},
	} {
		if _, _, err := Create(path, Development, pepper, grant, rand.Reader, c.now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused key made a file: %v", err)
	}
	if _, _, err := Create(path, Development, pepper, Record{Tenant: "acme"}, bytes.NewReader(nil), c.now); err == nil {
		t.Error("a key without randomness was issued")
	}
}

func TestGenerateIsUniform(t *testing.T) {
	var counts [256]int
	seen := map[string]bool{}
	const n = 2000
	for range n {
		id, key, err := Generate(Development, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, reason := parse(key); got != id || reason != "" {
			t.Fatalf("key %s: id %s, %s", key, got, reason)
		}
		if seen[id] {
			t.Fatal("an id came twice")
		}
		seen[id] = true
		for _, c := range []byte(secretOf(key)) {
			counts[c]++
		}
	}
	want := float64(n*secretLength) / float64(len(alphabet))
	for i := range alphabet {
		if got := float64(counts[alphabet[i]]); got < want*0.8 || got > want*1.2 {
			t.Errorf("%q occurs %v times, %v expected", alphabet[i], got, want)
		}
	}
}

// secretOf returns the secret of a key.
func secretOf(key string) string {
	end := len(key) - checksumLength
	return key[end-secretLength : end]
}

// A key that strays from test to production, or back, does nothing, even where
// both share file and pepper.
func TestEnvironments(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	keys := make(map[Environment]string)
	for _, env := range []Environment{Development, Production} {
		_, key, err := Create(path, env, pepper, Record{Tenant: "acme"}, rand.Reader, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key, "mg_"+string(env)+"_") {
			t.Errorf("the key does not say that it is for %s", env)
		}
		keys[env] = key
	}
	for _, env := range []Environment{Development, Production} {
		s, err := Open(path, env, pepper, c.now)
		if err != nil {
			t.Fatal(err)
		}
		for of, key := range keys {
			want := identity.Reason("")
			if of != env {
				want = identity.ReasonAPIKeyEnvironment
			}
			if got := reason(s, key); got != want {
				t.Errorf("a key of %s in %s: got %q, want %q", of, env, got, want)
			}
		}
	}
	if _, err := Open(path, "test", pepper, c.now); err == nil {
		t.Error("an unknown environment was accepted")
	}
	if _, _, err := Create(path, "", pepper, Record{Tenant: "acme"}, rand.Reader, c.now); err == nil {
		t.Error("a key of no environment was made")
	}
}

func FuzzParse(f *testing.F) {
	_, key, _ := Generate(Development, rand.Reader)
	f.Add(key)
	f.Add("mg__")
	f.Add(strings.Repeat("_", len(key)))
	f.Fuzz(func(t *testing.T, key string) {
		env, id, reason := parse(key)
		if reason != "" {
			if id != "" {
				t.Fatalf("id %q beside %s", id, reason)
			}
			return
		}
		body := env.prefix() + id + "_" + secretOf(key)
		if body+checksum(body) != key {
			t.Fatalf("%q has a second spelling", key)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("version: 1\nkeys: []\n"))
	f.Add([]byte("version: 1\nkeys:\n- {id: AAAAAAAAAAAA, hash: x, tenant: a}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := decode(b)
		if err != nil {
			return
		}
		for i := range records {
			if err := records[i].valid(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		c := newClock()
		path := filepath.Join(b.TempDir(), "keys.yaml")
		_, key := create(b, path, c, Record{Tenant: "acme", Scopes: []string{"memory:read"}})
		s := open(b, path, c)
		many := *s.keys.Load()
		for len(many) < n {
			id, _, _ := Generate(Development, rand.Reader)
			many[id] = &known{principal: &identity.Principal{}}
		}
		b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(context.Background(), key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
