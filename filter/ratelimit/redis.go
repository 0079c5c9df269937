package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/memgate/memgate/filter/redisconn"
)

// Shared is a [Limiter] whose counts are in Redis, so that several instances
// share them. It asks Redis once for each request, by one script that looks at
// all of the request's buckets and counts in all or none of them. The clock is
// that of Redis, so the instances' own clocks do not matter.
//
// While Redis is down or slow, each instance keeps its share of each rate by
// itself, see [SharedConfig.Instances]; it goes on counting what Redis admits,
// so that its share is as used up as its part of the requests made it. The first
// requests after Redis failed wait for it no longer than [SharedConfig.Timeout];
// after a few of them none waits, until Redis was seen to answer again.
//
// Together the instances never admit more than the rate while Redis answers, and
// never more than the rate while it does not, when Instances is their number and
// the rate no lower than that. Each change from one to the other can admit up to
// one burst more, and so can a restart of a Redis that keeps nothing.
type Shared struct {
	config SharedConfig
	client redis.UniversalClient
	script *redis.Script
	local  *Memory

	up       atomic.Bool
	failures atomic.Int32 // in a row

	leaver   leaver
	expired  atomic.Uint64
	fallback atomic.Uint64
	errors   atomic.Uint64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
}

// SharedConfig configures a [Shared].
type SharedConfig struct {
	// URL is where Redis is and may hold a password: redis://, or rediss:// for
	// TLS. With Cluster it may name more nodes by addr=host:port in its query.
	URL     string
	Cluster bool
	// Prefix is what all keys start with, at most 64 bytes. Limiters that share a
	// Redis and not their counts have different ones.
	Prefix string
	// Timeout is how long one request waits for Redis.
	Timeout time.Duration
	// Instances is how many limiters share the Redis, 1 to 1000. Without Redis
	// each keeps a rate of this part.
	Instances int
	// MaxKeys is how many keys this instance holds for when it is without Redis.
	MaxKeys int
	// Now is the clock of that time.
	Now func() time.Time
	// Changed is told when Redis is reached for the first time or again, with
	// nil, and when it is given up, with the reason. It may be nil.
	Changed func(err error)
	// Hook, if not nil, is told of what Redis is asked, with the context of the request
	// for which it is asked.
	Hook redis.Hook
}

const (
	// giveUpAfter is how many requests in a row may fail before none waits.
	giveUpAfter = 3
	// probeEvery and probeTimeout are about asking a Redis that failed. A new
	// connection may take longer than a request may wait.
	probeEvery   = 100 * time.Millisecond
	probeTimeout = time.Second
)

// gcra counts one request in the buckets of KEYS. Of each bucket it gets, in
// microseconds, the interval, the span of a burst and the cost; see cells. It
// answers whether the request was counted, and how much of each bucket was used
// before. A bucket's value is its tat, and is gone when that is reached.
//
// With a place the last of KEYS is a sorted set of those that are held, by when
// they expire, and the last three of ARGV are the limit, the hold and the id. The
// answer then goes on with how many are held and how many had expired. A place
// that the id has already is its own.
const gcra = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local n, place = #KEYS, nil
if #ARGV % 2 == 1 then
  n, place = n - 1, KEYS[n]
end
local tats = redis.call('MGET', unpack(KEYS, 1, n))
local answer = {1}
for i = 1, n do
  local span, cost = tonumber(ARGV[2*i-1]), tonumber(ARGV[2*i])
  local used = math.min(math.max((tonumber(tats[i] or 0) or 0) - now, 0), span)
  if span - used < cost then answer[1] = 0 end
  answer[i+1] = used
end
local hold = 0
if place then
  hold = tonumber(ARGV[#ARGV-1])
  local expired = redis.call('ZREMRANGEBYSCORE', place, '-inf', now)
  answer[n+2] = redis.call('ZCARD', place)
  answer[n+3] = expired
  if answer[n+2] >= tonumber(ARGV[#ARGV-2]) and not redis.call('ZSCORE', place, ARGV[#ARGV]) then answer[1] = 0 end
end
if answer[1] == 1 then
  if place then
    redis.call('ZADD', place, now + hold, ARGV[#ARGV])
    redis.call('PEXPIRE', place, math.ceil(hold / 1000) + 1000)
  end
  for i = 1, n do
    local used = answer[i+1] + tonumber(ARGV[2*i])
    redis.call('SET', KEYS[i], string.format('%.0f', now + used), 'PX', math.ceil(used / 1000))
  end
end
return answer
`

// NewShared returns a limiter that does not know yet whether Redis answers, and
// finds out in the background. [Shared.Close] ends it. The error is [redisconn.ErrURL].
func NewShared(c SharedConfig) (*Shared, error) {
	c.Instances, c.Timeout = min(max(c.Instances, 1), 1000), max(c.Timeout, time.Millisecond)
	s := &Shared{config: c, script: redis.NewScript(gcra), local: NewMemory(c.Now, c.MaxKeys)}
	var err error
	if s.client, err = redisconn.Open(c.URL, c.Cluster); err != nil {
		return nil, err
	}
	if c.Hook != nil {
		s.client.AddHook(c.Hook)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.leaver.queue = make(chan leaving, maxLeaving)
	go s.recover()
	go s.leave()
	return s, nil
}

// Close ends the limiter's connections and its work in the background. It is for
// a limiter that no request uses any more.
func (s *Shared) Close() error {
	s.cancel()
	return s.client.Close()
}

// SharedStats are numbers about a [Shared].
type SharedStats struct {
	Up       bool   // whether Redis is asked
	Fallback uint64 // requests that were decided without Redis
	Errors   uint64 // questions that Redis did not answer in time, or with an error
	Expired  uint64 // places that were held until their time was over, as this process saw
	Dropped  uint64 // places that could not be given back while Redis was away
	Local    Stats  // of the counts in this process
}

// Stats returns the numbers of now.
func (s *Shared) Stats() SharedStats {
	return SharedStats{Up: s.up.Load(), Fallback: s.fallback.Load(), Errors: s.errors.Load(), Expired: s.expired.Load(), Dropped: s.leaver.dropped.Load(), Local: s.local.Stats()}
}

// Take implements [Limiter]. The error is [ErrRate], [ErrKey] or [ErrBuckets],
// or that of ctx when it ended before Redis answered.
func (s *Shared) Take(ctx context.Context, group string, buckets []Bucket, dst []Decision) ([]Decision, error) {
	out, _, err := s.Enter(ctx, group, buckets, nil, dst)
	return out, err
}

// Enter implements [Limiter], in one round trip. While Redis is away this
// instance has its share of the places, one at least; it does not know then of
// those that Redis gave. The error is one of Take's, or [ErrPlace].
func (s *Shared) Enter(ctx context.Context, group string, buckets []Bucket, place *Place, dst []Decision) ([]Decision, bool, error) {
	if err := check(group, buckets); err != nil {
		return dst, false, err
	}
	if err := place.check(group); err != nil {
		return dst, false, err
	}
	var array [MaxBuckets]cells
	all := array[:len(buckets)]
	for i := range buckets {
		var err error
		if all[i], err = cellsOf(&buckets[i], time.Microsecond); err != nil {
			return dst, false, err
		}
	}
	var shares [MaxBuckets]Bucket
	for i := range buckets {
		shares[i] = share(buckets[i], s.config.Instances)
	}
	if s.up.Load() {
		limited, cancel := context.WithTimeout(ctx, s.config.Timeout)
		out, free, err := s.ask(limited, s.keys(group, buckets, place), all, place, dst)
		cancel()
		if err == nil {
			if s.failures.Load() != 0 {
				s.failures.Store(0)
			}
			if free && Allowed(out[len(dst):]) {
				var scratch [MaxBuckets]Decision
				_, err = s.local.take(group, shares[:len(buckets)], scratch[:0], true)
			}
			return out, free, err
		}
		if place != nil { // Redis may have given it without saying so in time
			s.Leave(group, place.Key, place.ID)
		}
		if ctx.Err() != nil {
			return dst, false, ctx.Err() // the caller's time is over, which says nothing of Redis
		}
		s.failed(err)
	}
	s.fallback.Add(1)
	if place != nil {
		own := *place
		own.Limit = max(own.Limit/s.config.Instances, 1)
		place = &own
	}
	return s.local.Enter(ctx, group, shares[:len(buckets)], place, dst)
}

// failed takes note that Redis did not answer a request.
func (s *Shared) failed(err error) {
	s.errors.Add(1)
	if s.failures.Add(1) >= giveUpAfter && s.up.CompareAndSwap(true, false) {
		s.changed(err)
		go s.recover()
	}
}

// ask runs the script.
func (s *Shared) ask(ctx context.Context, keys []string, all []cells, place *Place, dst []Decision) ([]Decision, bool, error) {
	args, want := make([]any, 0, 2*MaxBuckets+3), len(all)+1
	for _, c := range all {
		args = append(args, c.span, c.cost)
	}
	if place != nil {
		args = append(args, place.Limit, int64((place.Hold-1)/time.Microsecond)+1, place.ID)
		want += 2
	}
	answer, err := s.script.Run(ctx, s.client, keys, args...).Int64Slice()
	if err != nil {
		return dst, false, err
	}
	if len(answer) != want {
		return dst, false, errors.New("ratelimit: Redis answered " + strconv.Itoa(len(answer)) + " numbers")
	}
	for i, c := range all {
		dst = append(dst, c.decision(c.used(answer[i+1], 0), answer[0] == 1, time.Microsecond))
	}
	if place == nil {
		return dst, true, nil
	}
	if gone := answer[want-1]; gone > 0 {
		s.expired.Add(uint64(gone))
	}
	// What was not counted although all buckets have room had no place.
	return dst, answer[0] == 1 || !Allowed(dst[len(dst)-len(all):]), nil
}

// keys are the names in Redis. They have a fixed size and show neither a subject
// nor an address. What is in braces decides the node of a cluster, so that all
// buckets of a group are on one.
func (s *Shared) keys(group string, buckets []Bucket, place *Place) []string {
	tag := digest(group)
	out := make([]string, len(buckets), MaxBuckets+1)
	for i := range buckets {
		out[i] = s.config.Prefix + ":{" + tag + "}" + digest(buckets[i].Key)
	}
	if place != nil {
		out = append(out, s.placeKey(group, place.Key))
	}
	return out
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// share is the bucket of one of n instances: as many of them together are no
// more than the whole, apart from one request, of any cost, that each must be
// able to admit.
func share(b Bucket, n int) Bucket {
	if n == 1 {
		return b
	}
	burst := b.Rate.Burst
	if burst == 0 {
		burst = b.Rate.Limit
	}
	whole := burst
	burst = max(burst/n, 1)
	if b.Cost <= whole {
		burst = max(burst, b.Cost)
	}
	// The rate is lower by a longer time, as its limit may not divide.
	part := Rate{Limit: b.Rate.Limit, Per: b.Rate.Per * time.Duration(n), Burst: burst}
	if part.Validate() != nil {
		part.Per = b.Rate.Per // its burst would take more than a year to refill
	}
	b.Rate = part
	return b
}

// recover asks Redis until it answers.
func (s *Shared) recover() {
	bucket := []Bucket{{Key: "probe", Rate: Rate{Limit: 1000, Per: time.Second}}}
	all := []cells{{interval: 1000, span: 1_000_000, cost: 1000}}
	keys := s.keys("probe", bucket, nil)
	for {
		limited, cancel := context.WithTimeout(s.ctx, probeTimeout)
		_, _, err := s.ask(limited, keys, all, nil, nil)
		cancel()
		if err == nil {
			// That was over a new connection; what a request gets must be as
			// fast as a request may wait.
			limited, cancel = context.WithTimeout(s.ctx, s.config.Timeout)
			_, _, err = s.ask(limited, keys, all, nil, nil)
			cancel()
		}
		if err == nil {
			s.failures.Store(0)
			s.up.Store(true)
			s.changed(nil)
			return
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(probeEvery):
		}
	}
}

func (s *Shared) changed(err error) {
	if s.config.Changed != nil && s.ctx.Err() == nil {
		s.config.Changed(err)
	}
}
