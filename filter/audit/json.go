package audit

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/memgate/memgate/filter/jsontext"
)

const (
	// MaxString is how many bytes of a string are written; what was cut ends
	// in "…".
	MaxString = 256
	// MaxList is how many entries of a list are written.
	MaxList = 64
)

// AppendJSON appends the event as one JSON object without a line end, as an event
// of OCSF's class HTTP Activity. Whatever its strings hold, it is valid JSON in
// valid UTF-8 on one line. The members are always in the same order.
//
// What memgate says of a request stands in the member unmapped, under names that
// do not change: time, request_id, route, method, decision, status, duration_ms,
// bytes_received and bytes_sent always, the others only when they say something.
// There time is RFC 3339 in UTC with nanoseconds, duration_ms has three decimals,
// findings is an object of entity and count in the order of Findings, and poison one of
// score, outcome and rules.
func (e *Event) AppendJSON(dst []byte) []byte { return e.appendLine(dst, -1) }

// appendLine is AppendJSON with the number of the entry in its log, which is left
// out when it is below zero.
func (e *Event) appendLine(dst []byte, sequence int64) []byte {
	dst = e.appendOCSF(dst, sequence)
	dst = append(dst, `,"unmapped":{"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","request_id":`...)
	dst = appendString(dst, e.RequestID)
	dst = append(dst, `,"route":`...)
	dst = appendString(dst, e.Route)
	dst = append(dst, `,"method":`...)
	dst = appendString(dst, e.Method)
	dst = appendMember(dst, "tenant", e.Tenant)
	dst = appendMember(dst, "subject", e.Subject)
	dst = appendMember(dst, "kind", e.Kind)
	dst = appendMember(dst, "principal", e.Principal)
	dst = append(dst, `,"decision":`...)
	dst = appendString(dst, e.Decision)
	dst = appendMember(dst, "stage", e.Stage)
	dst = appendMember(dst, "reason", e.Reason)
	dst = appendList(dst, "shadow", e.Shadow)
	if e.Opened > 0 {
		dst = append(dst, `,"opened_pseudonyms":`...)
		dst = strconv.AppendUint(dst, e.Opened, 10)
	}
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, `,"duration_ms":`...)
	dst = appendMilliseconds(dst, e.Duration)
	dst = append(dst, `,"bytes_received":`...)
	dst = strconv.AppendInt(dst, e.Received, 10)
	dst = append(dst, `,"bytes_sent":`...)
	dst = strconv.AppendInt(dst, e.Sent, 10)
	dst = appendFindings(dst, e.Findings)
	dst = appendPoison(dst, &e.Poison)
	dst = appendMember(dst, "refusal", e.Refusal)
	dst = appendList(dst, "spoofed_headers", e.Spoofed)
	dst = appendList(dst, "response_flags", e.Flags)
	dst = appendMember(dst, "response_details", e.Details)
	return append(dst, '}', '}')
}

func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return appendString(dst, value)
}

func appendList(dst []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":[`...)
	for i, s := range list {
		if i == MaxList {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func appendPoison(dst []byte, p *Poison) []byte {
	if p.Score == 0 {
		return dst
	}
	dst = append(dst, `,"poison":{"score":`...)
	dst = strconv.AppendInt(dst, int64(p.Score), 10)
	dst = appendMember(dst, "outcome", p.Outcome)
	dst = appendList(dst, "rules", p.Rules)
	return append(dst, '}')
}

func appendFindings(dst []byte, list []Finding) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(dst, `,"findings":{`...)
	for i, f := range list {
		if i == MaxList {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, f.Entity)
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, f.Count, 10)
	}
	return append(dst, '}')
}

// appendMilliseconds writes microseconds as decimals; a negative duration, which
// only a clock that fell back can give, is zero.
func appendMilliseconds(dst []byte, d time.Duration) []byte {
	us := max(d, 0).Microseconds()
	dst = strconv.AppendInt(dst, us/1000, 10)
	rest := us % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// appendString writes s as a JSON string, cut to MaxString bytes at a character's end.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if len(s) <= MaxString {
		return append(jsontext.Append(dst, s), '"')
	}
	end := MaxString
	for end > MaxString-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return append(jsontext.Append(dst, s[:end]), `…"`...)
}
