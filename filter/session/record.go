package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/tenant"
)

// record is a session. It does not change: a renewal puts another in its place.
type record struct {
	principal *identity.Principal
	started   time.Time
	sealed    []byte // what a Backend has of it; nil in memory
}

func (r *record) session() Session {
	p := r.principal
	return Session{ID: p.ID, Agent: p.Agent, Tenant: p.Tenant, Subject: p.Subject, Scopes: p.Scopes, Started: r.started, Expires: p.Expires}
}

func (r *record) alive(now time.Time) bool { return now.Before(r.principal.Expires) }

func (r *record) owner() string { return ownerOf(r.principal.Tenant, r.principal.Subject) }

// ownerOf names a subject of a tenant, in a form of fixed size that does not show them.
func ownerOf(tenant, subject string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + subject))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sealedRecord is a record in JSON. Times are in microseconds of Unix time.
type sealedRecord struct {
	ID      string        `json:"id"`
	Tenant  string        `json:"tenant"`
	Subject string        `json:"subject"`
	Agent   string        `json:"agent"`
	Scopes  []string      `json:"scopes"`
	Kind    identity.Kind `json:"kind"`
	Origin  string        `json:"origin"`
	Issuer  string        `json:"issuer,omitempty"`
	Issued  int64         `json:"issued,omitempty"`
	Bound   string        `json:"bound,omitempty"`
	Started int64         `json:"started"`
	Expires int64         `json:"expires"`
}

const (
	maxSealed = 64 << 10
	macBytes  = sha256.Size
)

var errSealed = errors.New("session: a stored session was not written with this key")

// seal writes r with a code that only who has the key can make: whoever can write to the
// place where it is kept can still not change what a session may do.
func seal(r *record, key []byte) ([]byte, error) {
	p := r.principal
	b, err := json.Marshal(sealedRecord{
		ID: p.ID, Tenant: p.Tenant, Subject: p.Subject, Agent: p.Agent, Scopes: p.Scopes,
		Kind: p.Origin.Kind, Origin: p.Origin.ID, Issuer: p.Issuer, Issued: micros(p.Issued), Bound: p.Bound.String(),
		Started: micros(r.started), Expires: micros(p.Expires),
	})
	if err != nil {
		return nil, err
	}
	out := append(recordMAC(key, b), b...)
	if len(out) > maxSealed {
		return nil, errSealed
	}
	return out, nil
}

// unseal reads what seal wrote with the same key.
func unseal(sealed, key []byte) (*record, error) {
	if len(sealed) < macBytes || len(sealed) > maxSealed || !hmac.Equal(recordMAC(key, sealed[macBytes:]), sealed[:macBytes]) {
		return nil, errSealed
	}
	d := json.NewDecoder(bytes.NewReader(sealed[macBytes:]))
	d.DisallowUnknownFields()
	var s sealedRecord
	if err := d.Decode(&s); err != nil {
		return nil, errSealed
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || len(s.ID) != idLength || !tenant.Valid(s.Tenant) || s.Subject == "" || !ValidAgent(s.Agent) {
		return nil, errSealed
	}
	return &record{
		started: ofMicros(s.Started), sealed: sealed,
		principal: &identity.Principal{
			Kind: identity.KindSession, ID: s.ID, Tenant: s.Tenant, Subject: s.Subject, Agent: s.Agent,
			Scopes: identity.NormalizeScopes(s.Scopes), Origin: identity.Origin{Kind: s.Kind, ID: s.Origin},
			Issuer: s.Issuer, Issued: ofMicros(s.Issued), Bound: identity.ParseBinding(s.Bound), Expires: ofMicros(s.Expires),
		},
	}, nil
}

func recordMAC(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(b)
	return h.Sum(make([]byte, 0, macBytes+len(b)))
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func ofMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
