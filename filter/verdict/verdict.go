// Package verdict is what the authz service tells of a decision to those who
// come after it: to the Wasm filter, what a request that may pass is to be
// searched by, and to the access log, what is to be written down.
//
// Each is one text, which proxies hand on without reading it: every part of a
// structured value would cost them an allocation at each of several stops. It
// is the version, and then all values in a fixed order, each as its length in
// bytes, a colon and its bytes.
package verdict

import "strconv"

// Version is the first byte of each text. Another one is not read.
const Version = '1'

// Filter is what the Wasm filter learns. That there is one says that the request
// may pass.
type Filter struct {
	Content       string // digest of the content policy
	RequestID     string
	Tenant        string // of the caller, or ""
	Agent         string // that the body may name, or "" for any
	HashKey       string // of the tenant's hashes, base64url, or ""
	PseudonymKeys string // of the tenant, each in base64url, by commas, or ""
	Reveal        bool   // pseudonyms in the response are opened
}

// Log is what the access log learns.
type Log struct {
	RequestID string
	Tenant    string
	Subject   string
	Kind      string // of the credential
	Principal string // its id
	Decision  string
	Stage     string // that decided
	Reason    string
	Spoofed   string // headers that the client sent and may not, by commas
	Shadow    string // what would have been refused, by commas
	Lease     string // of the request's place among those under way
}

const reveal = "1"

// Append appends the text of f.
func (f *Filter) Append(dst []byte) []byte {
	dst = append(dst, Version)
	dst = put(put(put(dst, f.Content), f.RequestID), f.Tenant)
	dst = put(put(put(dst, f.Agent), f.HashKey), f.PseudonymKeys)
	if f.Reveal {
		return put(dst, reveal)
	}
	return put(dst, "")
}

// ParseFilter reads what [Filter.Append] wrote. The values are pieces of text. It
// is false for anything else.
func ParseFilter(text string) (f Filter, ok bool) {
	r, ok := begin(text)
	f.Content, f.RequestID, f.Tenant = r.next(), r.next(), r.next()
	f.Agent, f.HashKey, f.PseudonymKeys = r.next(), r.next(), r.next()
	last := r.next()
	f.Reveal = last == reveal
	if !ok || !r.ended() || last != "" && last != reveal {
		return Filter{}, false
	}
	return f, true
}

// Append appends the text of l.
func (l *Log) Append(dst []byte) []byte {
	dst = append(dst, Version)
	for _, value := range l.values() {
		dst = put(dst, *value)
	}
	return dst
}

// ParseLog reads what [Log.Append] wrote. The values are pieces of text. It is
// false for anything else.
func ParseLog(text string) (l Log, ok bool) {
	r, ok := begin(text)
	for _, value := range l.values() {
		*value = r.next()
	}
	if !ok || !r.ended() {
		return Log{}, false
	}
	return l, true
}

func (l *Log) values() [11]*string {
	return [...]*string{
		&l.RequestID, &l.Tenant, &l.Subject, &l.Kind, &l.Principal, &l.Decision,
		&l.Stage, &l.Reason, &l.Spoofed, &l.Shadow, &l.Lease,
	}
}

func put(dst []byte, value string) []byte {
	dst = strconv.AppendUint(dst, uint64(len(value)), 10)
	dst = append(dst, ':')
	return append(dst, value...)
}

// reader takes values off a text.
type reader struct {
	rest string
	bad  bool
}

func begin(text string) (reader, bool) {
	if text == "" || text[0] != Version {
		return reader{bad: true}, false
	}
	return reader{rest: text[1:]}, true
}

// next takes a value, "" when there is none.
func (r *reader) next() string {
	n, i := 0, 0
	for i < len(r.rest) && '0' <= r.rest[i] && r.rest[i] <= '9' && n <= len(r.rest) {
		n = 10*n + int(r.rest[i]-'0')
		i++
	}
	// A length is written in one way only: without zeros in front.
	if i == 0 || i > 1 && r.rest[0] == '0' || i == len(r.rest) || r.rest[i] != ':' || n > len(r.rest)-i-1 {
		r.bad, r.rest = true, ""
		return ""
	}
	value := r.rest[i+1 : i+1+n]
	r.rest = r.rest[i+1+n:]
	return value
}

func (r *reader) ended() bool { return !r.bad && r.rest == "" }
