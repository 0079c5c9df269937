package crypt_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/crypt"
)

var ctx = context.Background()

// service is a key management service within the test.
type service struct {
	crypt.Master
	mu    sync.Mutex
	down  bool
	calls int
}

func (s *service) URI() string { return "test-kms://key" }

func (s *service) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.down {
		return errors.New("refused")
	}
	return nil
}

func (s *service) EncryptWithContext(ctx context.Context, p, b []byte) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.Master.EncryptWithContext(ctx, p, b)
}

func (s *service) DecryptWithContext(ctx context.Context, c, b []byte) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.Master.DecryptWithContext(ctx, c, b)
}

func (s *service) set(down bool) { s.mu.Lock(); s.down = down; s.mu.Unlock() }

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.at = c.at.Add(d)
	c.mu.Unlock()
}

func master(t *testing.T, path string) *crypt.FileMaster {
	t.Helper()
	m, err := crypt.OpenFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ring(t *testing.T, dir string, now func() time.Time, masters ...crypt.Master) *crypt.Keyring {
	t.Helper()
	k, err := crypt.OpenKeyring(crypt.Config{Dir: dir, Masters: masters, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func create(t *testing.T, k *crypt.Keyring, tenant string) *crypt.Tenant {
	t.Helper()
	got, err := k.Create(ctx, tenant)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSealedValuesAreBound(t *testing.T) {
	dir := t.TempDir()
	k := ring(t, dir, time.Now, master(t, filepath.Join(dir, "m.json")))
	a, b := create(t, k, "a"), create(t, k, "b")
	sealed, err := a.Seal("content", "m1", []byte("secret words"))
	if err != nil || bytes.Contains(sealed, []byte("secret")) || len(sealed) != len("secret words")+33 {
		t.Fatalf("%q, %v", sealed, err)
	}
	again, err := a.Seal("content", "m1", []byte("secret words"))
	if err != nil || bytes.Equal(sealed, again) {
		t.Error("equal values are sealed alike")
	}
	if got, err := a.Open("content", "m1", sealed); err != nil || string(got) != "secret words" {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range []struct {
		k             *crypt.Tenant
		field, record string
	}{{b, "content", "m1"}, {a, "title", "m1"}, {a, "content", "m2"}, {a, "contentm", "1"}, {a, "", "contentm1"}} {
		if _, err := c.k.Open(c.field, c.record, sealed); !errors.Is(err, crypt.ErrSealed) {
			t.Errorf("%q %q: %v", c.field, c.record, err)
		}
	}
	for i := range sealed {
		broken := slices.Clone(sealed)
		broken[i] ^= 1
		if _, err := a.Open("content", "m1", broken); !errors.Is(err, crypt.ErrSealed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if i > 0 {
			if _, err := a.Open("content", "m1", sealed[:i]); !errors.Is(err, crypt.ErrSealed) {
				t.Errorf("cut at %d: %v", i, err)
			}
		}
	}
	if got, err := a.Seal("content", "m1", nil); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHashes(t *testing.T) {
	dir := t.TempDir()
	k := ring(t, dir, time.Now, master(t, filepath.Join(dir, "m.json")))
	a, b := create(t, k, "a"), create(t, k, "b")
	hash := func(k *crypt.Tenant, domain, value string) string {
		h, err := k.Hash(domain, value)
		if err != nil || len(h) != crypt.HashSize {
			t.Fatalf("%x, %v", h, err)
		}
		return string(h)
	}
	one := hash(a, "d", "value")
	if hash(a, "d", "value") != one {
		t.Error("equal values differ")
	}
	for _, other := range []string{hash(b, "d", "value"), hash(a, "e", "value"), hash(a, "d", "valuE"), hash(a, "", "value")} {
		if other == one {
			t.Error("other values are equal")
		}
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	clk := &clock{at: time.Unix(1000, 0)}
	m := master(t, filepath.Join(dir, "m.json"))
	k, running := ring(t, dir, clk.now, m), ring(t, dir, clk.now, master(t, filepath.Join(dir, "m.json")))
	old := create(t, k, "a")
	sealed, _ := old.Seal("f", "r", []byte("old"))
	hash, _ := old.Hash("d", "v")
	if _, err := running.Tenant(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	newer, err := running.Tenant(ctx, "a", true)
	if err != nil || len(newer.KeyIDs()) != 2 || bytes.HasPrefix(sealed, newer.Prefix()) {
		t.Fatalf("%v, %v", newer.KeyIDs(), err)
	}
	if got, err := newer.Open("f", "r", sealed); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if h, _ := newer.Hash("d", "v"); !bytes.Equal(h, hash) {
		t.Error("hashes changed")
	}
	fresh, _ := newer.Seal("f", "r", []byte("new"))
	if !bytes.HasPrefix(fresh, newer.Prefix()) {
		t.Error("sealed with an old key")
	}
	if _, err := old.Open("f", "r", fresh); !errors.Is(err, crypt.ErrSealed) {
		t.Errorf("old keys open what the new one sealed: %v", err)
	}
	// The master key: what is wrapped changes, what is sealed does not, and a running process follows.
	if err := m.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := k.Rewrap(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := m.Retire(); err != nil || len(m.KeyIDs()) != 1 {
		t.Fatalf("%v, %v", m.KeyIDs(), err)
	}
	clk.add(2 * time.Hour)
	got, err := running.Tenant(ctx, "a", false)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := got.Open("f", "r", sealed); err != nil || string(v) != "old" {
		t.Errorf("%q, %v", v, err)
	}
	if err := k.Retire(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	clk.add(time.Second)
	got, err = running.Tenant(ctx, "a", false)
	if err != nil || len(got.KeyIDs()) != 1 {
		t.Fatal(err)
	}
	if _, err := got.Open("f", "r", sealed); !errors.Is(err, crypt.ErrSealed) {
		t.Errorf("a retired key opens: %v", err)
	}
	for i := 0; i < 15; i++ {
		if err := k.Rotate(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Rotate(ctx, "a"); err == nil || !strings.Contains(err.Error(), "re-encrypt") {
		t.Errorf("the number of keys is not bounded: %v", err)
	}
}

func TestAnotherMaster(t *testing.T) {
	dir := t.TempDir()
	first, second := master(t, filepath.Join(dir, "1.json")), master(t, filepath.Join(dir, "2.json"))
	create(t, ring(t, dir, time.Now, first), "a")
	if _, err := ring(t, dir, time.Now, second).Tenant(ctx, "a", false); !errors.Is(err, crypt.ErrWrongMaster) {
		t.Errorf("%v", err)
	}
	both := ring(t, dir, time.Now, second, first)
	if err := both.Rewrap(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := ring(t, dir, time.Now, second).Tenant(ctx, "a", false); err != nil {
		t.Error(err)
	}
	if err := both.List(func(s crypt.Status) bool {
		if s.Tenant != "a" || s.Master != second.URI() || len(s.Keys) != 1 || s.Damaged {
			t.Errorf("%+v", s)
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}

func TestServiceDown(t *testing.T) {
	dir := t.TempDir()
	clk := &clock{at: time.Unix(1000, 0)}
	kms := &service{Master: master(t, filepath.Join(dir, "m.json"))}
	k := ring(t, dir, clk.now, crypt.Service(kms.URI(), kms))
	create(t, k, "known")
	create(t, ring(t, dir, clk.now, crypt.Service(kms.URI(), kms)), "unknown")
	kms.set(true)
	clk.add(59 * time.Minute)
	if _, err := k.Tenant(ctx, "known", true); err != nil {
		t.Errorf("keys that are held: %v", err)
	}
	if _, err := k.Tenant(ctx, "unknown", false); !errors.Is(err, crypt.ErrUnavailable) {
		t.Errorf("keys that are not held: %v", err)
	}
	if _, err := k.Create(ctx, "new"); !errors.Is(err, crypt.ErrUnavailable) {
		t.Errorf("new keys: %v", err)
	}
	clk.add(2 * time.Minute)
	if _, err := k.Tenant(ctx, "known", false); !errors.Is(err, crypt.ErrUnavailable) {
		t.Errorf("keys that were held for too long: %v", err)
	}
	if ids, err := k.Destroy("known"); err != nil || len(ids) != 1 {
		t.Errorf("destroying needs no master key: %v, %v", ids, err)
	}
	kms.set(false)
	if _, err := k.Tenant(ctx, "unknown", false); err != nil {
		t.Error(err)
	}
	if _, err := k.Tenant(ctx, "known", false); !errors.Is(err, crypt.ErrNoKeys) {
		t.Errorf("%v", err)
	}
	before := kms.calls
	for range 100 {
		if _, err := k.Tenant(ctx, "unknown", true); err != nil {
			t.Fatal(err)
		}
	}
	if kms.calls != before {
		t.Errorf("%d calls for keys that are held", kms.calls-before)
	}
}

func TestMasterFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.json")
	if _, err := crypt.OpenFile(path, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Add(1)
		go func() {
			defer wg.Done()
			m, err := crypt.OpenFile(path, true)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = m.KeyIDs()[0]
		}()
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] != ids[7] {
		t.Errorf("several keys were made: %v", ids)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := crypt.OpenFile(path, true); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a file that others can read: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "bad.json"), dir, filepath.Join(path, "below")} {
		if _, err := crypt.OpenFile(bad, true); err == nil {
			t.Errorf("%s was opened", bad)
		}
	}
	for _, uri := range []string{"", "m.json", "nothing://x"} {
		if _, err := (crypt.Openers{}).Open(ctx, uri, false); err == nil {
			t.Errorf("%q was opened", uri)
		}
	}
}

func TestConcurrentCreation(t *testing.T) {
	dir := t.TempDir()
	m := master(t, filepath.Join(dir, "m.json"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 10 {
		k := ring(t, dir, time.Now, m)
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := k.Create(ctx, "a")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			seen[got.KeyIDs()[0]]++
			mu.Unlock()
		}()
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("keys %v", seen)
	}
	k := ring(t, dir, time.Now, m)
	if _, err := k.Destroy("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Destroy("a"); !errors.Is(err, crypt.ErrNoKeys) {
		t.Errorf("%v", err)
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "*.keys")); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
