package ratelimit

import (
	"strconv"
	"time"

	"github.com/memgate/memgate/filter/headers"
)

// Headers appends the response headers of a decision at rate r to dst
// (draft-ietf-httpapi-ratelimit-headers-11, as Structured Fields, RFC 9651):
//
//	ratelimit-policy: "write";q=60;w=60
//	ratelimit: "write";r=59;t=1
//	retry-after: 1
//
// name is the policy's name; of its characters only visible ASCII is kept. q and
// w are the rate, w only when it is of whole seconds; a burst other than the
// limit stands as the parameter memgate-burst. r is how many requests could
// follow at once, t the seconds until there is one more. Retry-After (RFC 9110,
// section 10.2.3) is there on a refusal only, and never earlier than t. Seconds
// are rounded up.
func (d Decision) Headers(dst []headers.Header, name string, r Rate) []headers.Header {
	var array [96]byte
	b := appendName(array[:0], name)
	quoted := len(b)
	b = append(b, ";q="...)
	b = strconv.AppendInt(b, int64(r.Limit), 10)
	if r.Per > 0 && r.Per%time.Second == 0 {
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, int64(r.Per/time.Second), 10)
	}
	if r.Burst != 0 && r.Burst != r.Limit {
		b = append(b, ";memgate-burst="...)
		b = strconv.AppendInt(b, int64(r.Burst), 10)
	}
	dst = append(dst, headers.Header{Name: "ratelimit-policy", Value: string(b)})

	b = append(b[:quoted], ";r="...)
	b = strconv.AppendInt(b, int64(d.Remaining), 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, seconds(d.Reset), 10)
	dst = append(dst, headers.Header{Name: "ratelimit", Value: string(b)})

	if !d.Allowed {
		dst = append(dst, headers.Header{Name: "retry-after", Value: strconv.FormatInt(max(seconds(d.RetryAfter), 1), 10)})
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
