// Package ratelimit decides how many requests a key, such as a tenant and a
// class of routes, may make.
//
// The algorithm is GCRA (ITU-T I.371, Annex A), which is a token bucket that
// keeps one time per key instead of a level and a time. A key may make
// [Rate.Burst] requests at once and [Rate.Limit] per [Rate.Per] in the long
// run, evenly refilled: in any window of length t at most Burst + t·Limit/Per.
// All arithmetic is in integer nanoseconds and rounds against the caller.
package ratelimit

import (
	"context"
	"errors"
	"time"
)

// Rate is a number of requests per length of time.
type Rate struct {
	Limit int
	Per   time.Duration
	// Burst is how many requests may come at once. Zero means Limit.
	Burst int
}

// maxSpan is the longest that an empty bucket may take to fill. It keeps all
// sums far from overflow.
const maxSpan = 366 * 24 * time.Hour

// ErrRate is returned for a rate that cannot be kept: a limit or time that is
// not positive, a negative burst, or a burst that takes more than 366 days to
// refill.
var ErrRate = errors.New("ratelimit: not a rate that can be kept")

// Validate returns [ErrRate] for a rate that no limiter keeps.
func (r Rate) Validate() error {
	_, _, err := r.cell()
	return err
}

// cell returns the time in which one request is refilled, rounded up, so that
// the limit is never exceeded, and how many requests the bucket holds.
func (r Rate) cell() (interval, burst int64, err error) {
	if r.Limit <= 0 || r.Per <= 0 || r.Burst < 0 {
		return 0, 0, ErrRate
	}
	limit := int64(r.Limit)
	interval = (int64(r.Per)-1)/limit + 1
	burst = int64(r.Burst)
	if burst == 0 {
		burst = limit
	}
	if burst > int64(maxSpan)/interval {
		return 0, 0, ErrRate
	}
	return interval, burst, nil
}

// Bucket is one count that a request is held against, such as that of a tenant
// and a class of routes.
type Bucket struct {
	// Key names the bucket within its group. A key belongs to one rate; when the
	// rate changes, what the key has used stays used, up to a whole burst of the
	// new rate.
	Key  string
	Rate Rate
	// Cost is how many requests the request counts as. Zero means one. A cost
	// above the burst is always refused.
	Cost int
}

// Decision is a limiter's answer about one bucket.
type Decision struct {
	// Allowed says whether the bucket has room for the request.
	Allowed bool
	// Limit is how many requests an idle key could make at once.
	Limit int
	// Remaining is how many requests of cost 1 could follow at once.
	Remaining int
	// Reset is the time until Remaining grows by one; zero when nothing is used.
	Reset time.Duration
	// RetryAfter is the time until a refused request would be allowed; zero when
	// it was allowed. For a cost above the burst that time never comes, and it is
	// the time until the bucket is full.
	RetryAfter time.Duration
}

// MaxBuckets is how many buckets one request can be held against.
const MaxBuckets = 8

// ErrBuckets is returned for a request with no bucket or more than [MaxBuckets].
var ErrBuckets = errors.New("ratelimit: no buckets, or too many")

// Limiter counts requests. It is safe for concurrent use.
type Limiter interface {
	// Take counts one request in all of the buckets, which have different keys,
	// or, when one of them has no room, in none; in one step either way. It
	// appends a decision for each bucket to dst; the request may go on if
	// [Allowed] says so of them. The buckets of a group, such as those of a
	// tenant, are kept together. An error means that no decision could be made.
	Take(ctx context.Context, group string, buckets []Bucket, dst []Decision) ([]Decision, error)
	// Enter is Take for a request that takes a place, too, or none if place is
	// nil: it counts in all buckets and has the place, or neither. False means
	// that no place was free; there may be no decisions then.
	Enter(ctx context.Context, group string, buckets []Bucket, place *Place, dst []Decision) ([]Decision, bool, error)
	// Leave gives back the place of that group, key and id. One that is not held
	// any more is no error.
	Leave(group, key, id string)
}

// Allowed reports whether all of the buckets had room, so that the request was
// counted.
func Allowed(decisions []Decision) bool {
	for i := range decisions {
		if !decisions[i].Allowed {
			return false
		}
	}
	return len(decisions) > 0
}

// check refuses what no limiter takes.
func check(group string, buckets []Bucket) error {
	if len(buckets) == 0 || len(buckets) > MaxBuckets {
		return ErrBuckets
	}
	for i := range buckets {
		if len(group)+len(buckets[i].Key) > MaxKey {
			return ErrKey
		}
	}
	if group == "" {
		return ErrKey
	}
	return nil
}

// cells is the arithmetic of GCRA for one bucket and one request: all are times
// on one clock, in one unit.
//
// What is kept of a bucket is its tat, the theoretical arrival time: when it
// will be full again. A tat further away than a whole burst cannot come from
// this rate: the clock went backwards, or the rate was higher. It then counts as
// a burst just used up, so a clock that jumps never admits more and never locks
// a key out for longer than a burst takes to refill.
type cells struct {
	interval int64 // in which one request is refilled
	span     int64 // in which a whole burst is
	cost     int64 // of this request, as a time
}

// cellsOf returns the arithmetic of b in units of unit.
func cellsOf(b *Bucket, unit time.Duration) (cells, error) {
	interval, burst, err := b.Rate.cell()
	if err != nil {
		return cells{}, err
	}
	if unit > 1 {
		interval = (interval-1)/int64(unit) + 1
	}
	cost := max(int64(b.Cost), 1)
	return cells{interval, interval * burst, interval * min(cost, burst+1)}, nil
}

// used is how much of the burst is used up.
func (c cells) used(tat, now int64) int64 { return min(max(tat-now, 0), c.span) }

func (c cells) room(used int64) bool { return c.span-used >= c.cost }

// decision tells what is so after the request was counted, or was not.
func (c cells) decision(used int64, counted bool, unit time.Duration) Decision {
	d := Decision{Allowed: c.room(used), Limit: int(c.span / c.interval)}
	free := c.span - used
	if !d.Allowed {
		d.RetryAfter = unit * time.Duration(min(c.cost, c.span)-free)
	} else if counted {
		free -= c.cost
	}
	d.Remaining = int(free / c.interval)
	if free < c.span {
		d.Reset = unit * time.Duration(c.interval-free%c.interval)
	}
	return d
}
