package ratelimit

import (
	"strconv"
	"time"

	"github.com/memgate/memgate/filter/headers"
)

// Headers appends the response headers of the decisions about buckets to dst
// (draft-ietf-httpapi-ratelimit-headers-11, as Structured Fields, RFC 9651). Of
// the bucket "write" alone they are:
//
//	ratelimit-policy: "write";q=60;w=60
//	ratelimit: "write";r=59;t=1
//	retry-after: 1
//
// More buckets stand behind it, separated by commas. names are those of the
// policies; of their characters only visible ASCII is kept. q and w are the
// rate, w only when it is of whole seconds; a burst other than the limit stands
// as the parameter memgate-burst. r is how many requests could follow at once, t
// the seconds until there is one more. Retry-After (RFC 9110, section 10.2.3) is
// there on a refusal only, and is the longest that one of the buckets asks for.
// Seconds are rounded up.
func Headers(dst []headers.Header, names []string, buckets []Bucket, decisions []Decision) []headers.Header {
	var policies, states [128]byte
	p, s := policies[:0], states[:0]
	wait, refused := time.Duration(0), false
	for i, d := range decisions {
		r := buckets[i].Rate
		if i > 0 {
			p, s = append(p, ", "...), append(s, ", "...)
		}
		p = append(appendName(p, names[i]), ";q="...)
		p = strconv.AppendInt(p, int64(r.Limit), 10)
		if r.Per > 0 && r.Per%time.Second == 0 {
			p = append(p, ";w="...)
			p = strconv.AppendInt(p, int64(r.Per/time.Second), 10)
		}
		if r.Burst != 0 && r.Burst != r.Limit {
			p = append(p, ";memgate-burst="...)
			p = strconv.AppendInt(p, int64(r.Burst), 10)
		}
		s = append(appendName(s, names[i]), ";r="...)
		s = strconv.AppendInt(s, int64(d.Remaining), 10)
		s = append(s, ";t="...)
		s = strconv.AppendInt(s, seconds(d.Reset), 10)
		if !d.Allowed {
			wait, refused = max(wait, d.RetryAfter), true
		}
	}
	n := len(p)
	both := string(append(p, s...)) // one text for both
	dst = append(dst, headers.Header{Name: "ratelimit-policy", Value: both[:n]}, headers.Header{Name: "ratelimit", Value: both[n:]})
	if refused {
		dst = append(dst, headers.Header{Name: "retry-after", Value: strconv.FormatInt(max(seconds(wait), 1), 10)})
	}
	return dst
}

// seconds rounds up.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Second) + 1
}

// appendName appends a String of RFC 9651, section 3.3.3.
func appendName(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20 && c < 0x7f:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
