package ratelimit

import (
	"context"
	"encoding/base64"
	"errors"
	"time"
)

// errDown is the reason why a Redis is not asked.
var errDown = errors.New("ratelimit: Redis does not answer")

// First says whether id, a digest, is used for the first time within ttl by any of the
// instances that share the Redis, and takes note of the use there. It waits as long as a
// request may, see [SharedConfig.Timeout], and not at all while Redis is down. With an
// error it cannot say; the use may have been noted or not.
func (s *Shared) First(ctx context.Context, id [32]byte, ttl time.Duration) (bool, error) {
	if !s.up.Load() {
		return false, errDown
	}
	limited, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	key := s.config.Prefix + ":once:" + base64.RawURLEncoding.EncodeToString(id[:])
	first, err := s.client.SetNX(limited, key, 1, max(ttl, time.Millisecond)).Result()
	switch {
	case err == nil:
		if s.failures.Load() != 0 {
			s.failures.Store(0)
		}
	case ctx.Err() != nil:
		return false, ctx.Err() // the caller's time is over, which says nothing of Redis
	default:
		s.failed(err)
	}
	return first, err
}
