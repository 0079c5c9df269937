package pii

import (
	"crypto/hmac"
	"crypto/sha256"
	"github.com/memgate/memgate/filter/pii/sample"
	"strings"
	"testing"
)

func replacement(a Action, e Entity, value, key string) string {
	var p Policy
	p.Actions[e] = a
	return string(p.AppendReplacement(nil, Finding{Entity: e, End: len(value)}, []byte(value), []byte(key)))
}

func TestReplacement(t *testing.T) {
	for _, c := range []struct {
		action Action
		entity Entity
		value  string
		want   string
	}{
		{Allow, EmailAddress, "joe@example.com", "joe@example.com"},
		{Redact, EmailAddress, "joe@example.com", "[EMAIL_ADDRESS]"},
		{Block, EmailAddress, "joe@example.com", "[EMAIL_ADDRESS]"},
		{Mask, EmailAddress, "joe@mail.example.com", "j***@m***.com"},
		{Mask, EmailAddress, "é@b.de", "***@***.de"},
		{Mask, CreditCard, "4111 1111 1111 1111", "**** **** **** 1111"},
		{Mask, PhoneNumber, "+1 (415) 555-0132", "+* (***) ***-0132"},
		{Mask, PhoneNumber, "415\u00a0555\u20110132", "******0132"},
		{Mask, USSSN, "123-45-6789", "***-**-6789"},
		{Mask, IBANCode, "DE89370400440532013000", "******************3000"},
		{Mask, IPAddress, "192.0.2.1", "192.0.*.*"},
		{Mask, IPAddress, "2001:db8::1", "2001:***"},
		{Mask, IPAddress, "::1", ":***"},
		{Mask, AWSAccessKey, awsKey, "AKIA****"},
		{Mask, PrivateKey, pemBlock("PRIVATE "+"KEY", 1), "[PRIVATE_KEY]"},
		{Hash, PrivateKey, pemBlock("PRIVATE "+"KEY", 1), "[PRIVATE_KEY]"},
	} {
		if got := replacement(c.action, c.entity, c.value, "k"); got != c.want {
			t.Errorf("%s %s %q: %q, want %q", c.action, c.entity, c.value, got, c.want)
		}
	}
	if got := replacement(Hash, EmailAddress, "joe@example.com", ""); got != "[EMAIL_ADDRESS]" {
		t.Errorf("hash without a key: %q", got)
	}
}

func TestHashIsHMAC(t *testing.T) {
	for _, key := range []string{"k", strings.Repeat("k", 64), strings.Repeat("k", 65)} {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte("EMAIL_ADDRESS\x00joe@example.com"))
		var want strings.Builder
		for _, c := range m.Sum(nil)[:hashLetters/2] {
			want.WriteByte('a' + c>>4)
			want.WriteByte('a' + c&15)
		}
		if got := replacement(Hash, EmailAddress, "joe@example.com", key); got != "[EMAIL_ADDRESS:"+want.String()+"]" {
			t.Errorf("%q, want %s", got, want.String())
		}
	}
}

// A response passes the filter after the request did: what it replaced must stay.
func TestReplacementIsNotFoundAgain(t *testing.T) {
	r := sample.NewRand(1)
	values := map[Entity]string{}
	for e := range NumEntities {
		if e == Custom {
			continue
		}
		values[e] = sample.Values[e.String()](r)
	}
	for e, v := range values {
		for a := Redact; a < numActions; a++ {
			got := replacement(a, e, v, "key")
			if f := Scan(nil, []byte("phone "+got+" card")); len(f) != 0 {
				t.Errorf("%s %s: found %+v in %q", a, e, f, got)
			}
			for _, c := range []byte(got) {
				if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
					t.Errorf("%s %s: byte %#x in %q", a, e, c, got)
				}
			}
		}
	}
}
