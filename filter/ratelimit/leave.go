package ratelimit

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxLeaving is how many places wait to be given back in Redis.
	maxLeaving = 1 << 16
	// leaveBatch is how many are given back in one round trip.
	leaveBatch = 512
)

// leaving is a place in Redis that is to be given back.
type leaving struct{ key, id string }

// leaver gives places back in the background, as nobody waits for that. While
// Redis is away it keeps what is to be given back, up to maxLeaving; what does
// not fit is free when its hold is over.
type leaver struct {
	queue   chan leaving
	dropped atomic.Uint64
}

// Leave implements [Limiter]. It never waits. A place that this process gave
// while Redis was away is given back to this process, any other one in Redis.
func (s *Shared) Leave(group, key, id string) {
	if s.local.places.leave(group, key, id) {
		return
	}
	select {
	case s.leaver.queue <- leaving{s.placeKey(group, key), id}:
	default:
		s.leaver.dropped.Add(1)
	}
}

// placeKey is the name in Redis of the places of a group, on the node of its
// buckets.
func (s *Shared) placeKey(group, key string) string {
	return s.config.Prefix + ":{" + digest(group) + "}at:" + digest(key)
}

// leave works the queue off until the limiter is closed.
func (s *Shared) leave() {
	batch := make([]leaving, 0, leaveBatch)
	for {
		select {
		case <-s.ctx.Done():
			return
		case next := <-s.leaver.queue:
			batch = append(batch[:0], next)
		}
	gather:
		for len(batch) < leaveBatch {
			select {
			case next := <-s.leaver.queue:
				batch = append(batch, next)
			default:
				break gather
			}
		}
		// Giving a place back twice does no harm.
		for s.remove(batch) != nil {
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(probeEvery):
			}
		}
	}
}

func (s *Shared) remove(batch []leaving) error {
	limited, cancel := context.WithTimeout(s.ctx, probeTimeout)
	defer cancel()
	_, err := s.client.Pipelined(limited, func(p redis.Pipeliner) error {
		for _, l := range batch {
			p.ZRem(limited, l.key, l.id)
		}
		return nil
	})
	return err
}
