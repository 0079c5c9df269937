package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/ratelimit"
)

func enter(t testing.TB, l ratelimit.Limiter, group string, p ratelimit.Place, buckets ...ratelimit.Bucket) (free, allowed bool) {
	t.Helper()
	if len(buckets) == 0 {
		buckets = []ratelimit.Bucket{bucket("wide", 1_000_000)}
	}
	d, free, err := l.Enter(context.Background(), group, buckets, &p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return free, ratelimit.Allowed(d)
}

func place(id string, limit int) ratelimit.Place {
	return ratelimit.Place{Key: "tenant", ID: id, Limit: limit, Hold: time.Minute}
}

// TestPlaces runs on both limiters.
func TestPlaces(t *testing.T) {
	for name, limiter := range map[string]func(t *testing.T) ratelimit.Limiter{
		"memory": func(*testing.T) ratelimit.Limiter { return ratelimit.NewMemory(time.Now, 1000) },
		"redis":  func(t *testing.T) ratelimit.Limiter { return up(t, harness.StartRedis(t).URL, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			l := limiter(t)
			for _, id := range []string{"a", "b", "b"} {
				if free, ok := enter(t, l, "acme", place(id, 2)); !free || !ok {
					t.Fatalf("%s has no place", id)
				}
			}
			if free, _ := enter(t, l, "acme", place("c", 2)); free {
				t.Error("a third of two places")
			}
			// Places of other groups and keys are others.
			other := place("c", 1)
			other.Key = "class:write"
			for group, p := range map[string]ratelimit.Place{"calm": place("c", 1), "acme": other} {
				if free, _ := enter(t, l, group, p); !free {
					t.Errorf("%s %s is full", group, p.Key)
				}
			}
			l.Leave("acme", "tenant", "nobody")
			l.Leave("calm", "tenant", "a")
			l.Leave("acme", "tenant", "a")
			l.Leave("acme", "tenant", "a")
			harness.Eventually(t, func() error {
				if free, _ := enter(t, l, "acme", place("c", 2)); !free {
					return errors.New("the place of a is not free")
				}
				return nil
			})
			if free, _ := enter(t, l, "acme", place("d", 2)); free {
				t.Error("giving back twice made two places of one")
			}

			// Without room in a bucket no place is taken, without a place nothing is counted.
			one := bucket("one", 1)
			if free, ok := enter(t, l, "both", place("a", 1), one); !free || !ok {
				t.Fatal("the first is refused")
			}
			if free, _ := enter(t, l, "both", place("b", 1), bucket("two", 1)); free {
				t.Fatal("a second of one place")
			}
			if d := take(t, l, "both", bucket("two", 1)); !d[0].Allowed {
				t.Error("a request without a place was counted")
			}
			if _, ok := enter(t, l, "both", place("c", 2), one); ok {
				t.Error("a second request of one")
			}
			if free, ok := enter(t, l, "both", place("d", 2), bucket("three", 1)); !free || !ok {
				t.Error("a request that was not counted has a place")
			}
		})
	}
}

func TestPlacesThatAreNone(t *testing.T) {
	for name, l := range map[string]ratelimit.Limiter{"memory": ratelimit.NewMemory(time.Now, 10), "shared": shared(t, "redis://127.0.0.1:1", nil)} {
		for what, p := range map[string]ratelimit.Place{
			"no id":    {Limit: 1, Hold: time.Second},
			"no limit": {ID: "a", Hold: time.Second},
			"no hold":  {ID: "a", Limit: 1},
			"a year":   {ID: "a", Limit: 1, Hold: 400 * 24 * time.Hour},
			"long":     {ID: strings.Repeat("a", ratelimit.MaxKey), Limit: 1, Hold: time.Second},
		} {
			_, free, err := l.Enter(context.Background(), "g", []ratelimit.Bucket{bucket("b", 1)}, &p, nil)
			if free || !errors.Is(err, ratelimit.ErrPlace) && !errors.Is(err, ratelimit.ErrKey) {
				t.Errorf("%s: %s: %v, %v", name, what, free, err)
			}
		}
	}
}

// A place that nobody gives back is free when its hold is over, in whatever order
// places come and go.
func TestPlacesExpire(t *testing.T) {
	now := time.Unix(1000, 0)
	m := ratelimit.NewMemory(func() time.Time { return now }, 1000)
	for i := range 10 {
		now = now.Add(time.Second)
		enter(t, m, "acme", place(strconv.Itoa(i), 10))
	}
	for _, id := range []string{"0", "9", "4"} { // the ends of the list and its middle
		m.Leave("acme", "tenant", id)
	}
	if s := m.Stats(); s.Places != 7 || s.Expired != 0 {
		t.Fatalf("%+v", s)
	}
	now = now.Add(53 * time.Second) // 1 and 2 are over
	if free, _ := enter(t, m, "acme", place("x", 6)); !free {
		t.Error("what expired is not free")
	}
	if s := m.Stats(); s.Places != 6 || s.Expired != 2 {
		t.Errorf("%+v", s)
	}
	now = now.Add(time.Hour)
	if enter(t, m, "acme", place("y", 1)); m.Stats().Places != 1 {
		t.Errorf("%+v", m.Stats())
	}
}

// Places are bounded over all groups: one group that is full does not fill the
// memory, and what expired anywhere makes room.
func TestPlacesAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	m := ratelimit.NewMemory(func() time.Time { return now }, 100)
	for i := range 300 {
		if free, _ := enter(t, m, "group"+strconv.Itoa(i), place("a", 5)); free != (i < 100) {
			t.Fatalf("request %d: %v", i, free)
		}
	}
	now = now.Add(2 * time.Minute)
	if free, _ := enter(t, m, "late", place("a", 5)); !free {
		t.Error("what expired in other groups takes room")
	}
	if s := m.Stats(); s.Places != 1 || s.Expired != 100 {
		t.Errorf("%+v", s)
	}
}

// Many callers never hold more places than there are, on either limiter.
func TestPlacesUnderLoad(t *testing.T) {
	redis := harness.StartRedis(t)
	for name, limiters := range map[string][]ratelimit.Limiter{
		"memory":         {ratelimit.NewMemory(time.Now, 1000)},
		"two, one Redis": {up(t, redis.URL, nil), up(t, redis.URL, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 5
			var inside, most, entered atomic.Int64
			var wait sync.WaitGroup
			for worker := range 16 {
				wait.Go(func() {
					l := limiters[worker%len(limiters)]
					for i := range 50 {
						p := place(fmt.Sprintf("%d-%d", worker, i), limit)
						_, free, err := l.Enter(context.Background(), "acme", []ratelimit.Bucket{bucket("wide", 1_000_000)}, &p, nil)
						if err != nil {
							t.Error(err)
							return
						}
						if !free {
							continue
						}
						entered.Add(1)
						now := inside.Add(1)
						for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
						}
						inside.Add(-1)
						l.Leave("acme", p.Key, p.ID)
					}
				})
			}
			wait.Wait()
			if most.Load() > limit || entered.Load() < limit {
				t.Errorf("%d at once of %d, %d in all", most.Load(), limit, entered.Load())
			}
		})
	}
}

// While Redis is away each instance has its share, what is given back meanwhile
// arrives later, and a place whose instance is gone is free when its hold is over.
func TestPlacesWithoutRedis(t *testing.T) {
	redis := harness.StartRedis(t)
	half := func(c *ratelimit.SharedConfig) { c.Instances = 2 }
	l, other := up(t, redis.URL, half), up(t, redis.URL, half)
	if free, _ := enter(t, l, "acme", place("shared", 4)); !free || l.Stats().Local.Places != 0 {
		t.Fatalf("Redis gives no place: %+v", l.Stats())
	}
	redis.Pause()
	harness.Eventually(t, func() error {
		free, _ := enter(t, l, "probe", place("x", 4))
		if l.Leave("probe", "tenant", "x"); l.Stats().Up {
			return fmt.Errorf("Redis counts as up (%v)", free)
		}
		return nil
	})
	for i, want := range []bool{true, true, false} {
		if free, _ := enter(t, l, "calm", place(strconv.Itoa(i), 4)); free != want {
			t.Errorf("request %d of a share of 2: %v", i, free)
		}
	}
	l.Leave("acme", "tenant", "shared")
	l.Leave("calm", "tenant", "0")
	if free, _ := enter(t, l, "calm", place("3", 4)); !free {
		t.Error("a place of the share is not free again")
	}
	redis.Resume()
	await(t, l, true)
	await(t, other, true)
	harness.Eventually(t, func() error {
		d, free, err := other.Enter(context.Background(), "acme", []ratelimit.Bucket{bucket("wide", 1_000_000)}, &ratelimit.Place{Key: "tenant", ID: "last", Limit: 1, Hold: 100 * time.Millisecond}, nil)
		if err != nil || !free || !ratelimit.Allowed(d) {
			return fmt.Errorf("what was given back without Redis is still held: %v, %v", free, err)
		}
		return nil
	})
	harness.Eventually(t, func() error {
		if free, _ := enter(t, other, "acme", place("next", 1)); !free {
			return errors.New("the hold of the last is not over")
		}
		return nil
	})
	if other.Stats().Expired == 0 {
		t.Error("no place counts as expired")
	}
}
