package token

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestNonces(t *testing.T) {
	now := time.Unix(1_777_636_800, 0)
	clock := func() time.Time { return now }
	key := bytes.Repeat([]byte{1}, MinNonceKey)
	n, err := NewNonces(key, time.Minute, clock)
	if err != nil {
		t.Fatal(err)
	}
	fellow, err := NewNonces(key, time.Minute, func() time.Time { return now.Add(3 * time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewNonces(bytes.Repeat([]byte{2}, MinNonceKey), time.Minute, clock)
	if err != nil {
		t.Fatal(err)
	}
	first := n.Current()
	if first != n.Current() || !n.Knows(first) || !fellow.Knows(first) || stranger.Knows(first) {
		t.Errorf("%s is not known by those who have the key, and only them", first)
	}
	now = now.Add(29 * time.Second) // the other's next stretch has begun
	if next := fellow.Current(); next == first || !n.Knows(next) {
		t.Errorf("a nonce of an instance whose clock is ahead: %s", next)
	}
	now = now.Add(time.Second)
	if second := n.Current(); second == first || !n.Knows(second) || !n.Knows(first) {
		t.Errorf("%s, then %s", first, second)
	}
	now = now.Add(30 * time.Second)
	if n.Knows(first) {
		t.Error("a nonce is known for longer than its life")
	}
	now = now.Add(-5 * time.Minute)
	if n.Knows(first) {
		t.Error("a nonce of later is known")
	}
	now = now.Add(4 * time.Minute)
	raw, err := base64.RawURLEncoding.DecodeString(n.Current())
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := bytes.Clone(raw)
		forged[i] ^= 1
		if n.Knows(base64.RawURLEncoding.EncodeToString(forged)) {
			t.Errorf("a nonce that was changed at %d is known", i)
		}
	}
	for _, text := range []string{"", "x", n.Current() + "A", n.Current()[1:], strings.Repeat("=", len(first)), strings.Repeat("A", len(first))} {
		if n.Knows(text) {
			t.Errorf("%q is known", text)
		}
	}
	if _, err := NewNonces(key[1:], time.Minute, clock); err == nil {
		t.Error("a short key was taken")
	}
}
