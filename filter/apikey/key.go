// Package apikey issues and verifies API keys.
//
// A key reads mg_<id>_<secret><checksum>, all in base62: an id of 12 characters that is
// public, a secret of 43 characters (256 bits), and a checksum of 6 characters, by which a
// mistyped or truncated key is refused without a look-up and a leaked one is recognized by
// secret scanners. Only HMAC-SHA256(pepper, key) is kept, in a YAML file that its owner
// alone may read; the pepper is kept elsewhere.
//
// The package takes clock and randomness as arguments and never logs.
package apikey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/memgate/memgate/filter/identity"
)

const (
	alphabet       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idLength       = 12
	secretLength   = 43 // 62^43 > 2^256
	checksumLength = 6  // 62^6 > 2^32
	bodyLength     = len(identity.APIKeyPrefix) + idLength + 1 + secretLength
	keyLength      = bodyLength + checksumLength
)

// MinPepper is the least length of a pepper, in bytes.
const MinPepper = 32

var errPepper = fmt.Errorf("apikey: the pepper must have at least %d bytes", MinPepper)

// Generate returns a new key and its id.
func Generate(random io.Reader) (id, key string, err error) {
	id, err = base62(random, idLength)
	if err != nil {
		return "", "", err
	}
	secret, err := base62(random, secretLength)
	if err != nil {
		return "", "", err
	}
	body := identity.APIKeyPrefix + id + "_" + secret
	return id, body + checksum(body), nil
}

// base62 returns n characters, each uniformly distributed.
func base62(random io.Reader, n int) (string, error) {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", fmt.Errorf("apikey: no randomness: %w", err)
		}
		for _, b := range buf {
			if b &= 63; int(b) < len(alphabet) && len(out) < n {
				out = append(out, alphabet[b])
			}
		}
	}
	return string(out), nil
}

// checksum is the CRC-32 of body in base62. It protects against mistakes, not attacks.
func checksum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	var out [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		out[i] = alphabet[n%62]
		n /= 62
	}
	return string(out[:])
}

// parse checks the form of a key and returns its id.
func parse(key string) (id string, reason identity.Reason) {
	const prefix = len(identity.APIKeyPrefix)
	if len(key) != keyLength || key[:prefix] != identity.APIKeyPrefix || key[prefix+idLength] != '_' {
		return "", identity.ReasonAPIKeyMalformed
	}
	id = key[prefix : prefix+idLength]
	if !isBase62(id) || !isBase62(key[prefix+idLength+1:]) {
		return "", identity.ReasonAPIKeyMalformed
	}
	if checksum(key[:bodyLength]) != key[bodyLength:] {
		return "", identity.ReasonAPIKeyChecksum
	}
	return id, ""
}

func isBase62(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		default:
			return false
		}
	}
	return true
}

// mac is what is kept of a key.
func mac(pepper []byte, key string) [sha256.Size]byte {
	h := hmac.New(sha256.New, pepper)
	_, _ = io.WriteString(h, key)
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

var errHash = errors.New("the hash must be 64 hexadecimal digits")

func parseHash(s string) (out [sha256.Size]byte, err error) {
	if len(s) != hex.EncodedLen(len(out)) {
		return out, errHash
	}
	if _, err := hex.Decode(out[:], []byte(s)); err != nil {
		return out, errHash
	}
	return out, nil
}
