package session

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

func someRecord() *record {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return &record{started: start, principal: &identity.Principal{
		Kind: identity.KindSession, ID: "AAAAAAAAAAAAAAAA", Tenant: "acme", Subject: "jane", Agent: "bot", Scopes: []string{"a", "b"},
		Origin: identity.Origin{Kind: identity.KindJWT, ID: "jti-1"}, Issuer: "https://idp.test", Issued: start.Add(-time.Minute),
		Bound: identity.Binding{Key: "thumb"}, Expires: start.Add(time.Hour),
	}}
}

func TestSealedIsReadAsWritten(t *testing.T) {
	key := bytes.Repeat([]byte("k"), MinKey)
	want := someRecord()
	sealed, err := seal(want, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := unseal(sealed, key)
	if err != nil || !reflect.DeepEqual(got.principal, want.principal) || !got.started.Equal(want.started) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := unseal(sealed, bytes.Repeat([]byte("x"), MinKey)); err == nil {
		t.Error("read with another key")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := unseal(changed, key); err == nil {
			t.Fatalf("read with byte %d changed", i)
		}
	}
}

// What has the right code was written by whoever has the key, and is still
// checked for being a session.
func FuzzUnseal(f *testing.F) {
	key := bytes.Repeat([]byte("k"), MinKey)
	sealed, err := seal(someRecord(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed[macBytes:], true)
	f.Add(sealed, false)
	f.Add([]byte(`{"id":"AAAAAAAAAAAAAAAA","tenant":"../x","subject":"s","agent":"a"}`), true)
	f.Add([]byte(`{}`), true)
	f.Fuzz(func(t *testing.T, b []byte, signed bool) {
		if signed {
			b = append(recordMAC(key, b), b...)
		}
		r, err := unseal(b, key)
		if err != nil {
			return
		}
		p := r.principal
		if p.Kind != identity.KindSession || !ValidID(p.ID) && len(p.ID) != idLength || p.Tenant == "" || p.Subject == "" || !ValidAgent(p.Agent) {
			t.Fatalf("%+v", p)
		}
	})
}
