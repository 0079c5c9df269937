package ratelimit_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/ratelimit"
)

// Of all uses of an id, by any instance, one is the first.
func TestFirst(t *testing.T) {
	redis := harness.StartRedis(t)
	a, b := up(t, redis.URL, nil), up(t, redis.URL, nil)
	apart := up(t, redis.URL, func(c *ratelimit.SharedConfig) { c.Prefix = "apart" })
	id, ctx := sha256.Sum256([]byte("id")), context.Background()
	var first atomic.Int32
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			s := a
			if n%2 == 0 {
				s = b
			}
			ok, err := s.First(ctx, id, time.Hour)
			if err != nil {
				t.Error(err)
			}
			if ok {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != 1 {
		t.Errorf("%d first uses", first.Load())
	}
	for name, c := range map[string]struct {
		of   *ratelimit.Shared
		text string
	}{"another id": {a, "other"}, "another prefix": {apart, "id"}} {
		if ok, err := c.of.First(ctx, sha256.Sum256([]byte(c.text)), time.Hour); !ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
	// What is over is forgotten.
	short := sha256.Sum256([]byte("short"))
	if ok, err := a.First(ctx, short, 0); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	harness.Eventually(t, func() error {
		if ok, err := b.First(ctx, short, 0); err != nil || !ok {
			return context.DeadlineExceeded
		}
		return nil
	})

	redis.Stop()
	for range 10 {
		if ok, err := a.First(ctx, sha256.Sum256([]byte("down")), time.Hour); ok || err == nil {
			t.Fatalf("without Redis: %v %v", ok, err)
		}
	}
	if a.Stats().Up {
		t.Error("a Redis that is down is still asked")
	}
	redis.Restart()
	await(t, a, true)
	if ok, err := a.First(ctx, id, time.Hour); !ok || err != nil {
		t.Errorf("after an empty Redis came back: %v %v", ok, err)
	}
}
