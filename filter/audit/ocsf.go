package audit

import "strconv"

// OCSFVersion is the version of the Open Cybersecurity Schema Framework whose
// HTTP Activity class (4002, in category 4) the lines of requests follow, and whose Entity
// Management class (3004, in category 3) those of actions.
const OCSFVersion = "1.3.0"

// The start of every line, up to the sequence number, and what follows it.
const (
	sequencePrefix = `{"metadata":{"sequence":`
	noSequence     = `{"metadata":{`
	product        = `"version":"` + OCSFVersion + `","product":{"name":"memgate","vendor_name":"memgate"},"profiles":["host","security_control"]`
	class          = `,"category_uid":4,"class_uid":4002,"activity_id":`
	endpoint       = `,"dst_endpoint":{"svc_name":"memgate"},"http_request":{"uid":`
)

// activity is OCSF's activity_id of the class HTTP Activity for a method.
func activity(method string) int64 {
	switch method {
	case "":
		return 0
	case "CONNECT":
		return 1
	case "DELETE":
		return 2
	case "GET":
		return 3
	case "HEAD":
		return 4
	case "OPTIONS":
		return 5
	case "POST":
		return 6
	case "PUT":
		return 7
	case "TRACE":
		return 8
	}
	return 99
}

// appendOCSF appends the members that OCSF defines, up to "unmapped". A
// sequence below zero is left out.
func (e *Event) appendOCSF(dst []byte, sequence int64) []byte {
	dst = appendMetadata(dst, sequence, e.Tenant)
	act := activity(e.Method)
	dst = append(dst, class...)
	dst = strconv.AppendInt(dst, act, 10)
	dst = append(dst, `,"type_uid":`...)
	dst = strconv.AppendInt(dst, 400200+act, 10)
	dst = append(dst, `,"severity_id":`...)
	dst = append(dst, e.severity())
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, e.Time.UnixMilli(), 10)
	dst = append(dst, `,"status_id":`...)
	dst = append(dst, e.outcome())
	dst = append(dst, `,"action_id":`...)
	dst = append(dst, e.action())
	dst = append(dst, endpoint...)
	dst = appendString(dst, e.RequestID)
	dst = appendMember(dst, "http_method", e.Method)
	dst = append(dst, '}')
	if e.Status != 0 {
		dst = append(dst, `,"http_response":{"code":`...)
		dst = strconv.AppendInt(dst, int64(e.Status), 10)
		dst = append(dst, '}')
	}
	if e.Subject != "" {
		dst = append(dst, `,"actor":{"user":{"uid":`...)
		dst = appendString(dst, e.Subject)
		dst = append(dst, `}}`...)
	}
	return dst
}

// appendMetadata appends the start of a line. A sequence below zero is left out.
func appendMetadata(dst []byte, sequence int64, tenant string) []byte {
	if sequence < 0 {
		dst = append(dst, noSequence...)
	} else {
		dst = append(dst, sequencePrefix...)
		dst = strconv.AppendInt(dst, sequence, 10)
		dst = append(dst, ',')
	}
	dst = append(dst, product...)
	dst = appendMember(dst, "tenant_uid", tenant)
	return append(dst, '}')
}

// severity is informational for what was let through, low for a denial and
// medium for what could not be decided.
func (e *Event) severity() byte {
	switch e.Decision {
	case Allow:
		return '1'
	case Deny:
		return '2'
	}
	return '3'
}

// outcome is success for a status below 400, failure for any other, and unknown
// when there was none.
func (e *Event) outcome() byte {
	switch {
	case e.Status == 0:
		return '0'
	case e.Status < 400:
		return '1'
	}
	return '2'
}

// action is allowed when neither the authz service nor the content filter
// refused.
func (e *Event) action() byte {
	if e.Decision == Allow && e.Refusal == "" {
		return '1'
	}
	return '2'
}

// sequenceOf reads the sequence number of a line. Numbers that are not written
// as [Event] writes them are not taken.
func sequenceOf(line []byte) (int64, bool) {
	if len(line) < len(sequencePrefix) || string(line[:len(sequencePrefix)]) != sequencePrefix {
		return 0, false
	}
	rest := line[len(sequencePrefix):]
	var n int64
	for i, c := range rest {
		switch {
		case c >= '0' && c <= '9' && i < 18:
			n = n*10 + int64(c-'0')
		case c == ',' && i > 0 && (i == 1 || rest[0] != '0'):
			return n, true
		default:
			return 0, false
		}
	}
	return 0, false
}
