package apikey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/redisconn"
)

var sharedPepper = []byte("0123456789abcdef0123456789abcdef")

// clock is one that a test moves on top of the real one.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) add(d time.Duration) { c.ahead.Add(int64(d)) }

func client(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	logging.Disable() // of connections that cannot be had, which is what is tested
	c, err := redisconn.Open(url, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func records(t testing.TB, url string) *apikey.Redis {
	t.Helper()
	r, err := apikey.NewRedis(client(t, url), "test", sharedPepper)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// instance is a verifier that follows changes.
func instance(t testing.TB, url string, edit func(*apikey.SharedConfig)) *apikey.Shared {
	t.Helper()
	c := apikey.SharedConfig{Redis: records(t, url), Env: apikey.Development, MaxKeys: 1000, MaxStale: time.Hour, Timeout: 2 * time.Second, Now: time.Now}
	if edit != nil {
		edit(&c)
	}
	s, err := apikey.NewShared(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	awaitUp(t, s, true)
	return s
}

func awaitUp(t testing.TB, s *apikey.Shared, want bool) {
	t.Helper()
	harness.Eventually(t, func() error {
		if s.Up() != want {
			return fmt.Errorf("up is not %v", want)
		}
		return nil
	})
}

func issue(t testing.TB, r *apikey.Redis, tenant string) (apikey.Record, string) {
	t.Helper()
	record, key, err := r.Create(t.Context(), apikey.Development, apikey.Record{Tenant: tenant, Scopes: []string{"a", "b"}}, rand.Reader, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return record, key
}

func reasonOf(s *apikey.Shared, key string) identity.Reason {
	_, err := s.Verify(context.Background(), key)
	if err == nil {
		return ""
	}
	return identity.ReasonOf(err)
}

func awaitReason(t *testing.T, s *apikey.Shared, key string, want identity.Reason) {
	t.Helper()
	harness.Eventually(t, func() error {
		if got := reasonOf(s, key); got != want {
			return fmt.Errorf("%q, want %q", got, want)
		}
		return nil
	})
}

// What the command line does to a key every instance knows, without a restart.
func TestSharedKeys(t *testing.T) {
	server := harness.StartRedis(t)
	r := records(t, server.URL)
	one, other := instance(t, server.URL, nil), instance(t, server.URL, nil)
	record, key := issue(t, r, "acme")
	for _, s := range []*apikey.Shared{one, other} {
		p, err := s.Verify(t.Context(), key)
		if err != nil || p.Tenant != "acme" || p.ID != record.ID || !slices.Equal(p.Scopes, []string{"a", "b"}) {
			t.Fatalf("%+v, %v", p, err)
		}
		if s.Revoked(t.Context(), record.ID) {
			t.Error("revoked")
		}
	}
	// Rotation: the old key works beside the new one until its time has come.
	if _, err := r.Revoke(t.Context(), record.ID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, next := issue(t, r, "acme")
	for _, s := range []*apikey.Shared{one, other} {
		awaitReason(t, s, next, "")
		if got := reasonOf(s, key); got != "" {
			t.Errorf("during the overlap: %s", got)
		}
	}
	// A key that is revoked keeps the earlier time.
	if again, err := r.Revoke(t.Context(), record.ID, time.Now()); err != nil || again.Revoked.After(time.Now()) {
		t.Errorf("%+v, %v", again, err)
	}
	if late, err := r.Revoke(t.Context(), record.ID, time.Now().Add(time.Hour)); err != nil || late.Revoked.After(time.Now()) {
		t.Errorf("%+v, %v", late, err)
	}
	for _, s := range []*apikey.Shared{one, other} {
		awaitReason(t, s, key, identity.ReasonAPIKeyRevoked)
		if !s.Revoked(t.Context(), record.ID) {
			t.Error("not revoked")
		}
		if got := reasonOf(s, next); got != "" {
			t.Errorf("the successor: %s", got)
		}
	}
	if _, err := r.Revoke(t.Context(), "000000000000", time.Now()); !errors.Is(err, apikey.ErrUnknownID) {
		t.Errorf("%v", err)
	}
	list, err := r.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSharedRefuses(t *testing.T) {
	server := harness.StartRedis(t)
	r := records(t, server.URL)
	s := instance(t, server.URL, nil)
	_, key := issue(t, r, "acme")
	_, stranger, err := apikey.Generate(apikey.Development, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, production, err := apikey.Generate(apikey.Production, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key  string
		want identity.Reason
	}{
		"a key":               {key, ""},
		"an unknown id":       {stranger, identity.ReasonAPIKeyUnknown},
		"another environment": {production, identity.ReasonAPIKeyEnvironment},
		"a wrong checksum":    {key[:len(key)-1] + "_", identity.ReasonAPIKeyMalformed},
		"not a key":           {"mg_x", identity.ReasonAPIKeyMalformed},
	} {
		if got := reasonOf(s, c.key); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if s.Len() != 1 {
		t.Errorf("%d records are held; what strangers make up must not be", s.Len())
	}
}

// Who can write to the Redis cannot widen what a key grants, nor keep one from being
// revoked.
func TestSharedTampered(t *testing.T) {
	server := harness.StartRedis(t)
	r := records(t, server.URL)
	mine, key := issue(t, r, "acme")
	other, _ := issue(t, r, "other")
	c := client(t, server.URL)
	const hash, changes = "{test:keys}:records", "{test:keys}:changes"
	sealed := c.HGet(t.Context(), hash, mine.ID).Val()
	if sealed == "" {
		t.Fatal("no record")
	}
	s := instance(t, server.URL, nil)
	if got := reasonOf(s, key); got != "" {
		t.Fatal(got)
	}
	for name, text := range map[string]string{
		"widened":          sealed + "scopes: [admin]\n",
		"another's record": c.HGet(t.Context(), hash, other.ID).Val(),
		"nothing":          "",
		"no seal":          "id: " + mine.ID,
	} {
		c.HSet(t.Context(), hash, mine.ID, text)
		c.HIncrBy(t.Context(), changes, "number", 1)
		awaitReason(t, s, key, identity.ReasonAPIKeysUnavailable)
		if _, err := r.List(t.Context()); err == nil {
			t.Errorf("%s: listed", name)
		}
		c.HSet(t.Context(), hash, mine.ID, sealed)
		c.HIncrBy(t.Context(), changes, "number", 1)
		awaitReason(t, s, key, "")
	}
	foreign, err := apikey.NewRedis(c, "test", []byte("another pepper, of 32 bytes also."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.List(t.Context()); err == nil {
		t.Error("records are read with another pepper")
	}
}

// While the Redis is away, known keys work for a bounded time, and unknown ones get 503.
func TestSharedOutage(t *testing.T) {
	for name, away := range map[string]struct{ down, up func(*harness.Redis) }{
		"killed": {(*harness.Redis).Kill, nil},
		"paused": {(*harness.Redis).Pause, (*harness.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			server := harness.StartRedis(t)
			r := records(t, server.URL)
			var c clock
			s := instance(t, server.URL, func(cfg *apikey.SharedConfig) { cfg.Now, cfg.Timeout = c.now, 200*time.Millisecond })
			record, key := issue(t, r, "acme")
			_, unseen := issue(t, r, "acme")
			awaitReason(t, s, key, "")
			away.down(server)
			awaitUp(t, s, false)
			if got := reasonOf(s, key); got != "" {
				t.Errorf("a known key: %s", got)
			}
			if _, err := s.Verify(t.Context(), unseen); !identity.IsUnavailable(err) {
				t.Errorf("an unseen key: %v", err)
			}
			c.add(2 * time.Hour)
			if _, err := s.Verify(t.Context(), key); !identity.IsUnavailable(err) {
				t.Errorf("a known key after too long: %v", err)
			}
			if !s.Revoked(t.Context(), record.ID) {
				t.Error("what cannot be looked up counts as not revoked")
			}
			if away.up == nil {
				return
			}
			away.up(server)
			awaitReason(t, s, unseen, "")
			awaitReason(t, s, key, "")
			awaitUp(t, s, true)
		})
	}
	// One that comes back with nothing has no keys.
	t.Run("emptied", func(t *testing.T) {
		server := harness.StartRedis(t)
		s := instance(t, server.URL, nil)
		_, key := issue(t, records(t, server.URL), "acme")
		awaitReason(t, s, key, "")
		server.Kill()
		server.Restart()
		awaitReason(t, s, key, identity.ReasonAPIKeyUnknown)
	})
}

// A change that happened while an instance was cut off is known to it afterwards.
func TestSharedCatchesUp(t *testing.T) {
	server := harness.StartRedis(t)
	r := records(t, server.URL)
	s := instance(t, server.URL, func(c *apikey.SharedConfig) { c.Timeout = 200 * time.Millisecond })
	record, key := issue(t, r, "acme")
	awaitReason(t, s, key, "")
	server.Command("CLIENT", "KILL", "TYPE", "normal")
	if _, err := records(t, server.URL).Revoke(t.Context(), record.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, s, key, identity.ReasonAPIKeyRevoked)
}

// The records that are held are bounded, whatever number there is, and a look-up gets one.
func TestSharedIsBounded(t *testing.T) {
	server := harness.StartRedis(t)
	r := records(t, server.URL)
	const held, all = 64, 400
	var keys []string
	ids := make(map[string]bool)
	for range all {
		record, key := issue(t, r, "acme")
		keys, ids[record.ID] = append(keys, key), true
	}
	s := instance(t, server.URL, func(c *apikey.SharedConfig) { c.MaxKeys = held })
	for _, key := range keys {
		if got := reasonOf(s, key); got != "" {
			t.Fatal(got)
		}
	}
	if n := s.Len(); n > held || n == 0 {
		t.Errorf("%d records are held", n)
	}
	// What was dropped was used all the same.
	used := s.TakeUsed()
	for id := range ids {
		if used[id].IsZero() {
			t.Fatalf("%s was used, and is not among %d", id, len(used))
		}
	}
	if again := s.TakeUsed(); len(again) != 0 {
		t.Errorf("taken twice: %d", len(again))
	}
	// However many there are, a key that is held asks nobody, and one that is not asks once.
	c := client(t, server.URL)
	commands := func() int64 {
		info, err := c.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		return calls(info, "hget")
	}
	if got := reasonOf(s, keys[0]); got != "" { // gets it, if it is not held
		t.Fatal(got)
	}
	before := commands()
	for range 50 {
		if got := reasonOf(s, keys[0]); got != "" {
			t.Fatal(got)
		}
	}
	if n := commands() - before; n != 0 {
		t.Errorf("%d look-ups of a key that is held", n)
	}
	_, stranger, err := apikey.Generate(apikey.Development, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	before = commands()
	if got := reasonOf(s, stranger); got != identity.ReasonAPIKeyUnknown {
		t.Fatal(got)
	}
	if n := commands() - before; n != 1 {
		t.Errorf("%d look-ups of a key that is not", n)
	}
}

// calls reads how often a command was called from INFO commandstats.
func calls(info, command string) (n int64) {
	for line := range strings.Lines(info) {
		if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d,", &n); err == nil {
			return n
		}
	}
	return 0
}

func TestRedisUsed(t *testing.T) {
	server := harness.StartRedis(t)
	r := records(t, server.URL)
	early, late := time.Unix(1_800_000_000, 0), time.Unix(1_800_000_060, 0)
	many := map[string]time.Time{"a": late, "b": early}
	for i := range 1200 {
		many[fmt.Sprintf("k%d", i)] = early
	}
	for _, used := range []map[string]time.Time{many, {"a": early, "b": late}, {}} {
		if err := r.PutUsed(t.Context(), used); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.Used(t.Context())
	if err != nil || len(got) != 1202 || !got["a"].Equal(late) || !got["b"].Equal(late) || !got["k7"].Equal(early) {
		t.Errorf("%d, %v", len(got), err)
	}
}
