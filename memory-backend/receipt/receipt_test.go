package receipt_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/receipt"
)

func signer(t testing.TB) *receipt.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := receipt.NewSigner(key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var sample = receipt.Receipt{Issuer: "memory-backend", At: time.Date(2026, 5, 7, 8, 9, 10, 0, time.UTC), By: "operator", Tenant: "acme",
	What: "tenant", Memories: 12, Keys: []string{"123"}}

func TestReceipts(t *testing.T) {
	s := signer(t)
	signed, err := s.Sign(sample)
	if err != nil {
		t.Fatal(err)
	}
	got, err := receipt.Verify(signed+"\n", s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	want := sample
	if want.ID = got.ID; got.ID == "" || !reflect.DeepEqual(*got, want) {
		t.Errorf("%+v", got)
	}
	if again, _ := s.Sign(sample); again == signed {
		t.Error("two receipts have one id")
	}
	parts := strings.Split(signed, ".")
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	other := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), "acme", "acmf", 1)))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"erasure-receipt+jwt","kid":""}`))
	for name, bad := range map[string]string{
		"another tenant": parts[0] + "." + other + "." + parts[2], "no signature": parts[0] + "." + parts[1] + ".",
		"alg none": none + "." + parts[1] + ".", "two parts": parts[0] + "." + parts[1], "empty": "", "no base64": "a.b.c=",
	} {
		if _, err := receipt.Verify(bad, s.JWKS()); !errors.Is(err, receipt.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := receipt.Verify(signed, signer(t).JWKS()); !errors.Is(err, receipt.ErrInvalid) {
		t.Errorf("another key: %v", err)
	}
	if _, err := receipt.Verify(signed, []byte("{")); err == nil {
		t.Error("a broken key set")
	}
	if _, err := receipt.NewSigner(nil, rand.Reader); err == nil {
		t.Error("no key")
	}
}

func FuzzVerify(f *testing.F) {
	s := signer(f)
	signed, err := s.Sign(sample)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := receipt.Verify(text, s.JWKS()); err == nil && strings.TrimSpace(text) != signed {
			t.Fatalf("%q was accepted", text)
		}
	})
}
