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
	"strconv"
	"strings"
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
var ErrRate = errors.New("ratelimit: not a rate; write it as 60/m, or as 60/m burst 10")

// ParseRate reads "60/m": a number of requests, a slash, and s, m, h, d or a Go
// duration ("100/30s"), optionally followed by "burst" and a number. The error
// is [ErrRate].
func ParseRate(s string) (Rate, error) {
	fields := strings.Fields(s)
	if len(fields) != 1 && (len(fields) != 3 || fields[1] != "burst") {
		return Rate{}, ErrRate
	}
	limit, unit, found := strings.Cut(fields[0], "/")
	if !found {
		return Rate{}, ErrRate
	}
	var r Rate
	var ok bool
	if r.Limit, ok = parseCount(limit); !ok {
		return Rate{}, ErrRate
	}
	switch unit {
	case "s":
		r.Per = time.Second
	case "m":
		r.Per = time.Minute
	case "h":
		r.Per = time.Hour
	case "d":
		r.Per = 24 * time.Hour
	default:
		var err error
		if r.Per, err = time.ParseDuration(unit); err != nil {
			return Rate{}, ErrRate
		}
	}
	if len(fields) == 3 {
		if r.Burst, ok = parseCount(fields[2]); !ok {
			return Rate{}, ErrRate
		}
	}
	return r, r.Validate()
}

// parseCount takes decimal digits only, 1 to 999999999.
func parseCount(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0
}

// String writes the rate as [ParseRate] reads it.
func (r Rate) String() string {
	s := strconv.Itoa(r.Limit) + "/"
	switch r.Per {
	case time.Second:
		s += "s"
	case time.Minute:
		s += "m"
	case time.Hour:
		s += "h"
	case 24 * time.Hour:
		s += "d"
	default:
		s += r.Per.String()
	}
	if r.Burst != 0 {
		s += " burst " + strconv.Itoa(r.Burst)
	}
	return s
}

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

// Decision is a limiter's answer for one request.
type Decision struct {
	// Allowed says whether the request may go on. Only then it was counted.
	Allowed bool
	// Limit is how many requests an idle key could make at once.
	Limit int
	// Remaining is how many requests could follow at once.
	Remaining int
	// Reset is the time until Remaining grows by one.
	Reset time.Duration
	// RetryAfter is the time until a refused request would be allowed, the same
	// as Reset; zero when it was allowed.
	RetryAfter time.Duration
}

// Limiter counts requests. It is safe for concurrent use.
type Limiter interface {
	// Allow counts one request of key at rate r, if that is still within it. A
	// key belongs to one rate; when the rate changes, what the key has used
	// stays used, up to a whole burst of the new rate. An error means that no
	// decision could be made.
	Allow(ctx context.Context, key string, r Rate) (Decision, error)
}

// decide is GCRA. tat, the theoretical arrival time, is when the bucket will be
// full again; it and now are nanoseconds on one clock. It returns the new tat.
//
// A tat further away than a whole burst cannot come from this rate: the clock
// went backwards, or the rate was higher. It then counts as a burst just used
// up, so a clock that jumps never admits more and never locks a key out for
// longer than a burst takes to refill.
func decide(tat, now, interval, burst int64) (int64, Decision) {
	span := interval * burst
	used := min(max(tat-now, 0), span)
	d := Decision{Limit: int(burst)}
	if free := span - used; free >= interval {
		used += interval
		d.Allowed = true
		d.Remaining = int((free - interval) / interval)
		d.Reset = time.Duration(interval - (free-interval)%interval)
	} else {
		d.Reset = time.Duration(interval - free)
		d.RetryAfter = d.Reset
	}
	return now + used, d
}
