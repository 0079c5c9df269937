// Package revocation knows what was revoked before its time: API keys, tokens, all tokens
// or all keys of a subject, peers of a mesh, and sessions. A [List] is what one process knows of that, consulted for
// each request, and kept up to date from a [Log] that all processes share.
//
// The package takes its clock as an argument and never logs.
package revocation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/tenant"
)

// Kind says what an entry revokes.
type Kind string

// The kinds of entries. A subject is one of an issuer's tokens, a key subject one that API
// keys of a tenant stand for, and a peer is a workload of a mesh, by its SPIFFE ID. The last
// two are not kept: they tell each process to forget its copy of a session that has ended
// or has changed, as the truth about it is elsewhere.
const (
	KindKey            Kind = "key"
	KindToken          Kind = "token"
	KindSubject        Kind = "subject"
	KindKeySubject     Kind = "key-subject"
	KindPeer           Kind = "peer"
	KindSession        Kind = "session"
	KindSessionChanged Kind = "session-changed"
)

// Entry is one revocation.
type Entry struct {
	// Kind is what is revoked.
	Kind Kind
	// Issuer is who issued it: the "iss" of a token or subject, else empty.
	Issuer string
	// Tenant is, of a key subject, the tenant within which it names somebody, else empty.
	Tenant string
	// ID is the identity.Principal.ID of a key, token, session or peer, or the subject.
	ID string
	// Before is, of a subject, up to when its tokens or keys must have been issued to be
	// revoked.
	Before time.Time
	// Until is when what is revoked would have ended by itself, so that the entry is of no
	// use any more; zero for never.
	Until time.Time
	// Made is when it was revoked.
	Made time.Time
}

// Told is for how long an entry is told that is not kept. A process that did not hear
// from its log for half of that forgets all its copies instead.
const Told = time.Minute

const (
	maxEntry  = 4 << 10
	maxIssuer = 2 << 10
)

// wire is an entry in JSON. Times are in milliseconds of Unix time.
type wire struct {
	Kind   Kind   `json:"kind"`
	Issuer string `json:"issuer,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	ID     string `json:"id"`
	Before int64  `json:"before,omitempty"`
	Until  int64  `json:"until,omitempty"`
	Made   int64  `json:"made"`
}

// ErrEntry is that an entry is not one that this version of the package can keep.
var ErrEntry = errors.New("revocation: not an entry")

// Valid says what keeps e from being an entry. The error is an [ErrEntry].
func (e *Entry) Valid() error {
	issued := e.Kind == KindToken || e.Kind == KindSubject
	subject := e.Kind == KindSubject || e.Kind == KindKeySubject
	switch e.Kind {
	case KindKey, KindToken, KindSubject, KindKeySubject, KindPeer:
	case KindSession, KindSessionChanged:
		if e.Until.IsZero() {
			return fmt.Errorf("%w: what is told of a session has an end", ErrEntry)
		}
	default:
		return fmt.Errorf("%w: unknown kind", ErrEntry)
	}
	switch {
	case !identity.ValidSubject(e.ID):
		return fmt.Errorf("%w: the id is 1 to %d bytes of printable ASCII", ErrEntry, identity.MaxSubjectLength)
	case issued != (e.Issuer != "") || len(e.Issuer) > maxIssuer || !printable(e.Issuer):
		return fmt.Errorf("%w: tokens and subjects, and nothing else, have an issuer", ErrEntry)
	case (e.Kind == KindKeySubject) != (e.Tenant != "") || e.Tenant != "" && !tenant.Valid(e.Tenant):
		return fmt.Errorf("%w: subjects of keys, and nothing else, have a tenant", ErrEntry)
	case subject != !e.Before.IsZero():
		return fmt.Errorf("%w: subjects, and nothing else, say up to when", ErrEntry)
	}
	return nil
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Marshal writes e as one line of JSON.
func (e *Entry) Marshal() string {
	b, err := json.Marshal(wire{e.Kind, e.Issuer, e.Tenant, e.ID, millis(e.Before), millis(e.Until), millis(e.Made)})
	if err != nil {
		return "" // of strings and numbers there is none
	}
	return string(b)
}

// Parse reads what [Entry.Marshal] wrote. The error is an [ErrEntry]: an entry that is not
// understood is a revocation that would not be heeded, so nothing about it is guessed.
func Parse(text string) (Entry, error) {
	if len(text) > maxEntry {
		return Entry{}, fmt.Errorf("%w: too long", ErrEntry)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var w wire
	if err := d.Decode(&w); err != nil {
		return Entry{}, fmt.Errorf("%w: no JSON of one", ErrEntry)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Entry{}, fmt.Errorf("%w: more than one", ErrEntry)
	}
	e := Entry{w.Kind, w.Issuer, w.Tenant, w.ID, at(w.Before), at(w.Until), at(w.Made)}
	return e, e.Valid()
}

// millis is t in milliseconds of Unix time; 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
