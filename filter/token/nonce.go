package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// MinNonceKey is the least length of the key of nonces, in bytes.
const MinNonceKey = 32

// Nonces makes and knows the nonces that proofs must have (RFC 9449, sections 8 and 9): a
// proof with one was not made long before it is used. Nothing of them is kept. A nonce is
// the number of the stretch of time in which it was given out, with a code that only who
// has the key can make, so that all instances with the same key take each other's. It is
// safe for concurrent use.
type Nonces struct {
	key     []byte
	stretch time.Duration // for which a nonce is given out
	now     func() time.Time
	current atomic.Pointer[nonce]
}

type nonce struct {
	stretch int64
	text    string
}

const (
	nonceMAC   = 16
	nonceBytes = 8 + nonceMAC
)

// NewNonces returns nonces of a key of at least MinNonceKey bytes. Each is accepted for at
// least half of life and at most all of it after it was first given out.
func NewNonces(key []byte, life time.Duration, now func() time.Time) (*Nonces, error) {
	if len(key) < MinNonceKey || life < 2*time.Second || now == nil {
		return nil, errors.New("token: nonces want a key of 32 bytes or more, a life of two seconds or more, and a clock")
	}
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, "memgate dpop nonce v1")
	return &Nonces{key: h.Sum(nil), stretch: life / 2, now: now}, nil
}

func (n *Nonces) at() int64 { return n.now().UnixNano() / int64(n.stretch) }

// Current is the nonce that a client is told to use from now on.
func (n *Nonces) Current() string {
	at := n.at()
	if c := n.current.Load(); c != nil && c.stretch == at {
		return c.text
	}
	c := &nonce{at, n.text(at)}
	n.current.Store(c)
	return c.text
}

func (n *Nonces) text(stretch int64) string {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, nonceBytes), uint64(stretch))
	h := hmac.New(sha256.New, n.key)
	_, _ = h.Write(out)
	var sum [sha256.Size]byte
	return base64.RawURLEncoding.EncodeToString(append(out, h.Sum(sum[:0])[:nonceMAC]...))
}

// Knows says whether a proof may have this nonce: one of now, of the stretch before, or of
// the one that begins, for an instance whose clock is ahead.
func (n *Nonces) Knows(text string) bool {
	var raw [nonceBytes]byte
	if len(text) != base64.RawURLEncoding.EncodedLen(nonceBytes) {
		return false
	}
	if _, err := base64.RawURLEncoding.Decode(raw[:], []byte(text)); err != nil {
		return false
	}
	stretch, at := int64(binary.BigEndian.Uint64(raw[:8])), n.at()
	if stretch < at-1 || stretch > at && stretch != n.now().Add(proofAhead).UnixNano()/int64(n.stretch) {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(n.text(stretch)), []byte(text)) == 1
}
