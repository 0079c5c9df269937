// Package apikey issues and verifies API keys.
//
// A key reads mg_<environment>_<id>_<secret><checksum>: the environment that it is for, and
// in base62 an id of 12 characters that is public, a secret of 43 characters (256 bits), and a checksum of 6 characters, by which a
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
	"strings"

	"github.com/memgate/memgate/filter/identity"
)

const (
	alphabet       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idLength       = 12
	secretLength   = 43                                           // 62^43 > 2^256
	checksumLength = 6                                            // 62^6 > 2^32
	tailLength     = idLength + 1 + secretLength + checksumLength // after the environment
)

// Environment is where a key may be used. One of another environment is refused by its
// name alone, so that a key that strays from test to production, or back, does nothing.
type Environment string

// The environments.
const (
	Development Environment = "dev"
	Production  Environment = "prod"
)

// prefix is how the keys of the environment start.
func (e Environment) prefix() string { return identity.APIKeyPrefix + string(e) + "_" }

func (e Environment) valid() bool { return e == Development || e == Production }

var errEnvironment = errors.New("apikey: the environment is neither dev nor prod")

// MinPepper is the least length of a pepper, in bytes.
const MinPepper = 32

var errPepper = fmt.Errorf("apikey: the pepper must have at least %d bytes", MinPepper)

// Generate returns a new key of an environment, and its id.
func Generate(env Environment, random io.Reader) (id, key string, err error) {
	if !env.valid() {
		return "", "", errEnvironment
	}
	id, err = base62(random, idLength)
	if err != nil {
		return "", "", err
	}
	secret, err := base62(random, secretLength)
	if err != nil {
		return "", "", err
	}
	body := env.prefix() + id + "_" + secret
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

// parse checks the form of a key and returns its environment and id.
func parse(key string) (env Environment, id string, reason identity.Reason) {
	for _, env = range [...]Environment{Development, Production} {
		if tail, ok := strings.CutPrefix(key, env.prefix()); ok {
			if len(tail) != tailLength || tail[idLength] != '_' || !isBase62(tail[:idLength]) || !isBase62(tail[idLength+1:]) {
				break
			}
			body := key[:len(key)-checksumLength]
			if checksum(body) != key[len(body):] {
				return "", "", identity.ReasonAPIKeyChecksum
			}
			return env, tail[:idLength], ""
		}
	}
	return "", "", identity.ReasonAPIKeyMalformed
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
