package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/ratelimit"
)

func TestMain(m *testing.M) {
	logging.Disable() // of connections that cannot be had, which is what is tested
	m.Run()
}

// patient waits longer than a busy machine takes, where it is not the wait that
// is tested.
const patient = 2 * time.Second

func shared(t testing.TB, url string, change func(*ratelimit.SharedConfig)) *ratelimit.Shared {
	t.Helper()
	c := ratelimit.SharedConfig{URL: url, Prefix: "test", Timeout: patient, Instances: 1, MaxKeys: 1000, Now: time.Now}
	if change != nil {
		change(&c)
	}
	s, err := ratelimit.NewShared(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// up returns a limiter that has reached its Redis.
func up(t testing.TB, url string, change func(*ratelimit.SharedConfig)) *ratelimit.Shared {
	t.Helper()
	s := shared(t, url, change)
	await(t, s, true)
	return s
}

func await(t testing.TB, s *ratelimit.Shared, want bool) {
	t.Helper()
	harness.Eventually(t, func() error {
		if s.Stats().Up != want {
			return fmt.Errorf("up is not %v", want)
		}
		return nil
	})
}

func take(t testing.TB, l ratelimit.Limiter, group string, buckets ...ratelimit.Bucket) []ratelimit.Decision {
	t.Helper()
	d, err := l.Take(context.Background(), group, buckets, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// asked counts what a Redis is asked.
type asked struct{ commands, pipelines atomic.Int64 }

func (a *asked) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *asked) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		a.commands.Add(1)
		return next(ctx, command)
	}
}

func (a *asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		a.pipelines.Add(1)
		return next(ctx, commands)
	}
}

// A request asks Redis once, however many buckets it counts in and whether or not it has a
// place among those under way.
func TestOneRoundTrip(t *testing.T) {
	a := new(asked)
	l := up(t, harness.StartRedis(t).URL, func(c *ratelimit.SharedConfig) { c.Hook = a })
	take(t, l, "acme", bucket("write", 10)) // the script is known now
	before := a.commands.Load()
	const requests = 20
	for n := range requests {
		place := &ratelimit.Place{Key: "tenant", ID: strconv.Itoa(n), Limit: 5, Hold: time.Hour}
		if n%2 == 0 {
			place = nil
		}
		if _, _, err := l.Enter(t.Context(), "acme", []ratelimit.Bucket{bucket("write", 10), bucket("principal", 10), bucket("address", 10)}, place, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.commands.Load() - before; n != requests || a.pipelines.Load() != 0 {
		t.Errorf("%d commands and %d pipelines for %d requests", n, a.pipelines.Load(), requests)
	}
}

func bucket(key string, limit int) ratelimit.Bucket {
	return ratelimit.Bucket{Key: key, Rate: ratelimit.Rate{Limit: limit, Per: time.Hour}}
}

// TestBucketsAreTakenTogether runs on both limiters: a request counts in all of
// its buckets or in none.
func TestBucketsAreTakenTogether(t *testing.T) {
	for name, limiter := range map[string]func(t *testing.T) ratelimit.Limiter{
		"memory": func(*testing.T) ratelimit.Limiter { return ratelimit.NewMemory(time.Now, 100) },
		"redis":  func(t *testing.T) ratelimit.Limiter { return up(t, harness.StartRedis(t).URL, nil) },
		"without redis": func(t *testing.T) ratelimit.Limiter {
			return shared(t, "redis://"+harness.FreeAddress(t), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := limiter(t)
			tenant, small := bucket("tenant", 10), bucket("principal", 3)
			for n := range 3 {
				d := take(t, l, "acme", tenant, small)
				if !ratelimit.Allowed(d) || d[0].Limit != 10 || d[0].Remaining != 9-n || d[1].Limit != 3 || d[1].Remaining != 2-n {
					t.Fatalf("request %d: %+v", n, d)
				}
			}
			for range 5 {
				d := take(t, l, "acme", tenant, small)
				if ratelimit.Allowed(d) || !d[0].Allowed || d[1].Allowed || d[0].Remaining != 7 || d[1].RetryAfter <= 0 || d[1].RetryAfter > 20*time.Minute {
					t.Fatalf("above the smaller limit: %+v", d)
				}
			}
			// Nothing was counted of those, and another group has its own.
			if d := take(t, l, "acme", tenant); d[0].Remaining != 6 {
				t.Errorf("refused requests were counted: %+v", d)
			}
			if d := take(t, l, "other", tenant, small); d[0].Remaining != 9 || d[1].Remaining != 2 {
				t.Errorf("groups are not apart: %+v", d)
			}

			heavy := tenant
			heavy.Cost = 5
			if d := take(t, l, "acme", heavy); !d[0].Allowed || d[0].Remaining != 1 {
				t.Errorf("a cost of 5 of 6: %+v", d)
			}
			if d := take(t, l, "acme", heavy); d[0].Allowed || d[0].Remaining != 1 || d[0].RetryAfter <= 23*time.Minute || d[0].RetryAfter > 24*time.Minute {
				t.Errorf("a cost of 5 of 1: %+v", d)
			}
			if d := take(t, l, "acme", tenant); !d[0].Allowed {
				t.Errorf("a cost of 1 of 1: %+v", d)
			}
			heavy.Cost = 11
			if d := take(t, l, "new", heavy); d[0].Allowed || d[0].Remaining != 10 || d[0].Reset != 0 {
				t.Errorf("a cost above the burst: %+v", d)
			}

			for _, c := range []struct {
				group   string
				buckets []ratelimit.Bucket
				err     error
			}{
				{"", []ratelimit.Bucket{tenant}, ratelimit.ErrKey},
				{"a", nil, ratelimit.ErrBuckets},
				{"a", make([]ratelimit.Bucket, ratelimit.MaxBuckets+1), ratelimit.ErrBuckets},
				{"a", []ratelimit.Bucket{{Key: "k"}}, ratelimit.ErrRate},
				{"a", []ratelimit.Bucket{bucket(strings.Repeat("k", ratelimit.MaxKey), 1)}, ratelimit.ErrKey},
			} {
				if d, err := l.Take(context.Background(), c.group, c.buckets, nil); !errors.Is(err, c.err) || ratelimit.Allowed(d) {
					t.Errorf("%q, %d buckets: %+v, %v", c.group, len(c.buckets), d, err)
				}
			}
		})
	}
}

// TestRedisAgainstMemory runs both at once: they decide the same, as far as they
// have the same clock, which both have to the rate of one request.
func TestRedisAgainstMemory(t *testing.T) {
	s, m := up(t, harness.StartRedis(t).URL, nil), ratelimit.NewMemory(time.Now, 1000)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 3000 {
		b := bucket("k"+strconv.Itoa(random.IntN(3)), 50+random.IntN(3))
		b.Cost = random.IntN(4)
		group := "g" + strconv.Itoa(random.IntN(3))
		got, want := take(t, s, group, b), take(t, m, group, b)
		got[0].Reset, want[0].Reset, got[0].RetryAfter, want[0].RetryAfter = 0, 0, 0, 0
		if got[0] != want[0] {
			t.Fatalf("request %d: Redis says %+v, memory %+v", i, got[0], want[0])
		}
	}
	if st := s.Stats(); st.Fallback != 0 || st.Errors != 0 {
		t.Errorf("%+v", st)
	}
}

// TestInstancesTogetherKeepTheLimit has several limiters and many callers at one
// Redis.
func TestInstancesTogetherKeepTheLimit(t *testing.T) {
	redis := harness.StartRedis(t)
	const instances, limit = 4, 500
	var allowed atomic.Int64
	var group sync.WaitGroup
	for range instances {
		s := up(t, redis.URL, func(c *ratelimit.SharedConfig) { c.Instances = instances })
		for range 4 {
			group.Go(func() {
				for range 100 {
					if ratelimit.Allowed(take(t, s, "acme", bucket("class", limit), bucket("principal", 10*limit))) {
						allowed.Add(1)
					}
				}
			})
		}
		t.Cleanup(func() {
			if st := s.Stats(); st.Fallback != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
	group.Wait()
	// An hour refills 500: in the seconds that this takes, next to nothing.
	if n := allowed.Load(); n < limit || n > limit+3 {
		t.Errorf("%d of %d requests were admitted, the limit is %d", n, instances*400, limit)
	}
}

// TestOutage kills, pauses and restarts Redis under load. What all instances
// admit stays below the documented bound, no request waits longer than it may,
// and each limiter comes back.
func TestOutage(t *testing.T) {
	redis := harness.StartRedis(t)
	const instances, limit = 3, 300
	var limiters []*ratelimit.Shared
	var changes atomic.Int64
	for range instances {
		limiters = append(limiters, up(t, redis.URL, func(c *ratelimit.SharedConfig) {
			c.Instances, c.Timeout = instances, 200*time.Millisecond
			c.Changed = func(error) { changes.Add(1) }
		}))
	}
	// spend asks each instance n times and returns how many requests they admit.
	spend := func(n int) (allowed int) {
		t.Helper()
		for range n {
			for _, s := range limiters {
				if ratelimit.Allowed(take(t, s, "acme", bucket("class", limit))) {
					allowed++
				}
			}
		}
		return allowed
	}
	all := func(want bool) {
		t.Helper()
		for _, s := range limiters {
			await(t, s, want)
		}
	}
	near := func(what string, got, want int) {
		t.Helper()
		if got < want || got > want+instances {
			t.Errorf("%s: %d requests were admitted, want %d", what, got, want)
		}
	}
	near("with Redis", spend(20), 60)

	redis.Pause()
	// The share of an instance is 100, of which Redis admitted 20 for it.
	near("while Redis is paused", spend(150), 240)
	all(false)
	for _, s := range limiters {
		before := s.Stats()
		take(t, s, "acme", bucket("class", limit))
		if after := s.Stats(); after.Errors != before.Errors || after.Fallback != before.Fallback+1 {
			t.Errorf("a request still waited for Redis: %+v, %+v", before, after)
		}
	}
	redis.Resume()
	all(true)
	// Redis knows of the 60 that it admitted, and of those that it was asked for
	// before it was given up, which each instance had decided for itself.
	got := spend(150)
	if most := limit - 60 + instances; got < limit-60-3*3*instances || got > most {
		t.Errorf("after the pause: %d requests were admitted, want about %d", got, most)
	}

	redis.Kill()
	if got := spend(150); got > 3+instances {
		t.Errorf("while Redis is dead: %d requests were admitted, want what is refilled only", got)
	}
	all(false)
	redis.Restart()
	all(true)
	near("a Redis that forgot", spend(150), limit)
	if changes.Load() < 5*instances {
		t.Errorf("%d changes were told", changes.Load())
	}
}

// TestSlowRedisIsGivenUp: a request waits for Redis as long as it may, and no
// longer, and after a few none waits.
func TestSlowRedisIsGivenUp(t *testing.T) {
	redis := harness.StartRedis(t)
	s := up(t, redis.URL, func(c *ratelimit.SharedConfig) { c.Timeout = 20 * time.Millisecond })
	redis.Pause()
	for range 10 {
		if d := take(t, s, "acme", bucket("class", 100)); !d[0].Allowed {
			t.Errorf("%+v", d)
		}
	}
	if st := s.Stats(); st.Up || st.Errors != 3 || st.Fallback != 10 {
		t.Errorf("%+v", st)
	}
}

// TestCallerWhoLeftIsNoFailure: a context that ends says nothing of Redis.
func TestCallerWhoLeftIsNoFailure(t *testing.T) {
	s := up(t, harness.StartRedis(t).URL, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 10 {
		if _, err := s.Take(ctx, "acme", []ratelimit.Bucket{bucket("class", 100)}, nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); !st.Up || st.Errors != 0 || st.Fallback != 0 {
		t.Errorf("%+v", st)
	}
}

// TestRedisThatRefuses: one that answers with errors is given up too, whatever
// they are, and taken back when it stops.
func TestRedisThatRefuses(t *testing.T) {
	redis := harness.StartRedis(t)
	s := up(t, redis.URL, nil)
	for name, c := range map[string]struct{ off, on []string }{
		"full":     {[]string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
		"replica":  {[]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}},
		"password": {[]string{"CONFIG", "SET", "requirepass", "other"}, nil},
	} {
		if c.on == nil {
			continue // last, as nothing else could be said to it then
		}
		redis.Command(c.off...)
		for range 5 {
			take(t, s, "acme", bucket(name, 100))
		}
		await(t, s, false)
		redis.Command(c.on...)
		await(t, s, true)
	}
	redis.Command("CONFIG", "SET", "requirepass", "the-password")
	redis.Command("PING") // NOAUTH, from here on
	wrong := shared(t, redis.URL, nil)
	right := up(t, strings.Replace(redis.URL, "//", "//:the-password@", 1), nil)
	if d := take(t, right, "acme", bucket("auth", 10)); !d[0].Allowed || right.Stats().Fallback != 0 {
		t.Error("the password of the URL is not used")
	}
	if d := take(t, wrong, "acme", bucket("auth", 10)); !d[0].Allowed || wrong.Stats().Up || wrong.Stats().Fallback != 1 {
		t.Errorf("without the password: %+v", wrong.Stats())
	}
}

// TestCluster: the keys of a request are on one node, whatever its group is
// called.
func TestCluster(t *testing.T) {
	redis := harness.StartRedisCluster(t, 1, 0)
	s := up(t, redis.URL, func(c *ratelimit.SharedConfig) { c.Cluster = true })
	for _, group := range []string{"acme", "{", "}", "{}", "a}b{c", "\x00", "é"} {
		if d := take(t, s, group, bucket("a", 3), bucket("b", 2), bucket("{c}", 9)); !ratelimit.Allowed(d) || d[2].Remaining != 8 {
			t.Errorf("%q: %+v", group, d)
		}
	}
	if st := s.Stats(); st.Fallback != 0 || st.Errors != 0 {
		t.Errorf("%+v", st)
	}
}

// TestManyKeys: what Redis holds goes when it is refilled, and what it holds
// at once is small.
func TestManyKeys(t *testing.T) {
	const keys = 200_000
	redis := harness.StartRedis(t)
	s := up(t, redis.URL, nil)
	var group sync.WaitGroup
	var next atomic.Int64
	quick := func(key string) ratelimit.Bucket {
		return ratelimit.Bucket{Key: key, Rate: ratelimit.Rate{Limit: 1, Per: time.Hour}}
	}
	for range 32 {
		group.Go(func() {
			var buckets [ratelimit.MaxBuckets]ratelimit.Bucket
			for i := range buckets {
				buckets[i] = quick(strconv.Itoa(i))
			}
			for n := next.Add(ratelimit.MaxBuckets); n <= keys; n = next.Add(ratelimit.MaxBuckets) {
				take(t, s, strconv.FormatInt(n, 10), buckets[:]...)
			}
		})
	}
	group.Wait()
	if st := s.Stats(); st.Fallback > 0 || st.Local.Keys > 1000+32*ratelimit.MaxBuckets {
		t.Errorf("%+v", st)
	}
	var used int64
	for line := range strings.Lines(redis.Command("INFO", "memory")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			used, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	t.Logf("%s keys in %d MiB", redis.Command("DBSIZE"), used>>20)
	if used == 0 || used > keys*300 {
		t.Errorf("%d bytes for %d keys", used, keys)
	}
	// Each has a time at which it goes: none but the probe's were there before.
	info := redis.Command("INFO", "keyspace")
	var total, expiring int64
	if i := strings.Index(info, "keys="); i < 0 {
		t.Fatal(info)
	} else if _, err := fmt.Sscanf(info[i:], "keys=%d,expires=%d", &total, &expiring); err != nil {
		t.Fatal(err)
	}
	if total != expiring {
		t.Errorf("%d of %d keys never go", total-expiring, total)
	}
}

// go test -run='^$' -bench=Take -cpu=1,16 -count=6 ./filter/ratelimit | benchstat -
func BenchmarkTake(b *testing.B) {
	three := []ratelimit.Bucket{bucket("class", 1_000_000), bucket("principal", 1_000_000), bucket("address", 1_000_000)}
	run := func(b *testing.B, l ratelimit.Limiter, buckets []ratelimit.Bucket) {
		groups := make([]string, 1000)
		for i := range groups {
			groups[i] = fmt.Sprint("tenant", i)
		}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			var room [ratelimit.MaxBuckets]ratelimit.Decision
			for i := rand.IntN(len(groups)); pb.Next(); i++ {
				if _, err := l.Take(context.Background(), groups[i%len(groups)], buckets, room[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("memory/%dbuckets", n), func(b *testing.B) {
			run(b, ratelimit.NewMemory(time.Now, 100_000), three[:n])
		})
		b.Run(fmt.Sprintf("redis/%dbuckets", n), func(b *testing.B) {
			run(b, up(b, harness.StartRedis(b).URL, func(c *ratelimit.SharedConfig) { c.MaxKeys = 100_000 }), three[:n])
		})
		b.Run(fmt.Sprintf("without-redis/%dbuckets", n), func(b *testing.B) {
			run(b, shared(b, "redis://"+harness.FreeAddress(b), func(c *ratelimit.SharedConfig) { c.MaxKeys = 100_000 }), three[:n])
		})
	}
}
