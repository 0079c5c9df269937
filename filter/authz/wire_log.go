package authz

import (
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	protobuf "google.golang.org/protobuf/proto"
)

// logBatch are the entries of one StreamAccessLogsMessage.
type logBatch []logEntry

// read replaces b by what message holds. An entry of another shape than that of a
// usual request is left to the protobuf library.
func (b *logBatch) read(message string) error {
	*b = (*b)[:0]
	list, ok := once(message, 2)
	if !ok {
		var m alsv3.StreamAccessLogsMessage
		if err := protobuf.Unmarshal([]byte(message), &m); err != nil {
			return err
		}
		for _, entry := range m.GetHttpLogs().GetLogEntry() {
			*b = append(*b, fromEntry(entry))
		}
		return nil
	}
	for list != "" {
		f, rest, ok := next(list)
		if !ok {
			var m alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries
			return protobuf.Unmarshal([]byte(list), &m) // which says what is wrong
		}
		list = rest
		if f.number != 1 || !f.long {
			continue
		}
		var entry logEntry
		if !readEntry(&entry, f.text) {
			var m accesslogdata.HTTPAccessLogEntry
			if err := protobuf.Unmarshal([]byte(f.text), &m); err != nil {
				return err
			}
			entry = fromEntry(&m)
		}
		*b = append(*b, entry)
	}
	return nil
}

// readEntry reads an HTTPAccessLogEntry as [fromEntry] does. It is false for one that is
// none, and for one with what few requests have: response flags, or findings of the Wasm
// filter. Those are for the protobuf library to read.
func readEntry(l *logEntry, message string) bool {
	l.start = time.Unix(0, 0).UTC()
	method := int32(0)
	var have [5]bool // of the parts that stand once
	for message != "" {
		f, rest, ok := next(message)
		if !ok {
			return false
		}
		message = rest
		if !f.long || f.number != 1 && f.number != 3 && f.number != 4 {
			continue
		}
		if have[f.number] {
			return false
		}
		have[f.number] = true
		switch f.number {
		case 1:
			ok = l.readCommon(f.text)
		case 3:
			ok = l.readRequest(f.text, &method)
		case 4:
			ok = l.readResponse(f.text)
		}
		if !ok {
			return false
		}
	}
	l.method = corev3.RequestMethod(method).String()
	return utf8.ValidString(l.requestID) && utf8.ValidString(l.details)
}

// readCommon reads AccessLogCommon.
func (l *logEntry) readCommon(message string) bool {
	var have [24]bool
	for message != "" {
		f, rest, ok := next(message)
		if !ok {
			return false
		}
		message = rest
		if !f.long {
			continue
		}
		switch f.number {
		case 5, 16, 17, 23:
			if have[f.number] {
				return false
			}
			have[f.number] = true
		}
		switch f.number {
		case 5:
			seconds, nanos, ok := readTime(f.text)
			if !ok {
				return false
			}
			l.start = time.Unix(seconds, nanos).UTC()
		case 23:
			seconds, nanos, ok := readTime(f.text)
			if !ok {
				return false
			}
			l.duration = time.Duration(seconds)*time.Second + time.Duration(nanos)
		case 16:
			if f.text != "" {
				return false
			}
		case 17:
			if !l.readMetadata(f.text) {
				return false
			}
		case 21:
			return false
		}
	}
	return true
}

// readTime reads a Timestamp or a Duration, neither of which is negative or far off.
func readTime(message string) (seconds, nanos int64, ok bool) {
	for message != "" {
		f, rest, ok := next(message)
		if !ok || !f.varint || f.value >= 1<<33 {
			return 0, 0, false
		}
		message = rest
		switch f.number {
		case 1:
			seconds = int64(f.value)
		case 2:
			if nanos = int64(f.value); nanos >= int64(time.Second) {
				return 0, 0, false
			}
		}
	}
	return seconds, nanos, true
}

// readMetadata reads core.v3.Metadata.
func (l *logEntry) readMetadata(message string) bool {
	found := false
	for message != "" {
		f, rest, ok := next(message)
		if !ok {
			return false
		}
		message = rest
		if f.number != 1 || !f.long {
			continue
		}
		namespace, fields, ok := readMember(f.text)
		if !ok || namespace == MetadataNamespace && found {
			return false
		}
		if namespace != MetadataNamespace {
			continue
		}
		found = true
		for fields != "" {
			if f, fields, ok = next(fields); !ok || f.number != 1 || !f.long {
				return false
			}
			name, value, ok := readMember(f.text)
			if !ok {
				return false
			}
			if name != metaRoute && name != metaLog {
				continue
			}
			f, rest, ok := next(value)
			if !ok || rest != "" || f.number != 3 || !f.long || !utf8.ValidString(f.text) {
				return false
			}
			if name == metaRoute {
				l.route = f.text
			} else {
				l.verdict = f.text
			}
		}
	}
	return true
}

// readMember reads an entry of a map from strings to messages, with both.
func readMember(message string) (key, value string, ok bool) {
	first, rest, ok := next(message)
	if !ok || first.number != 1 || !first.long || !utf8.ValidString(first.text) {
		return "", "", false
	}
	second, rest, ok := next(rest)
	return first.text, second.text, ok && rest == "" && second.number == 2 && second.long
}

// readRequest reads HTTPRequestProperties.
func (l *logEntry) readRequest(message string, method *int32) bool {
	for message != "" {
		f, rest, ok := next(message)
		if !ok {
			return false
		}
		message = rest
		switch {
		case f.number == 9 && f.long:
			l.requestID = f.text
		case !f.varint:
		case f.number == 1:
			*method = int32(f.value)
		case f.number == 12:
			l.received = int64(f.value)
		}
	}
	return true
}

// readResponse reads HTTPResponseProperties.
func (l *logEntry) readResponse(message string) bool {
	found := false
	for message != "" {
		f, rest, ok := next(message)
		if !ok {
			return false
		}
		message = rest
		switch {
		case f.number == 1 && f.long: // UInt32Value
			if found {
				return false
			}
			found = true
			for code := f.text; code != ""; {
				if f, code, ok = next(code); !ok || f.number != 1 || !f.varint || f.value >= 1<<32 {
					return false
				}
				l.status = int(f.value)
			}
		case f.number == 6 && f.long:
			l.details = f.text
		case f.number == 3 && f.varint:
			l.sent = int64(f.value)
		}
	}
	return true
}
