package pii

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
)

// A pseudonym is one word of letters and digits, so that it passes through JSON, URLs
// and tokenizers as it is, and an index finds it like any other word:
//
//	mgpii0 emailaddress 0 wr abcdefgh…   (without the spaces)
//
// which is a prefix, the entity's name in lower-case letters, a zero, the length of the
// sealed value in bytes, and the sealed value, the last two in base32 (RFC 4648, section
// 6, in lower case and without padding). Zeros delimit, as that alphabet has none; the
// length says where the pseudonym ends, whatever follows. The sealed value is two bytes
// that name the key and what AES-SIV (RFC 5297, with two keys of 256 bits) made of the
// value, whose associated data are the prefix, the entity's name and the key's name.
const (
	pseudonymPrefix = "mgpii0"
	// maxPseudonymName is the length of an entity's name in a pseudonym.
	maxPseudonymName = 48
	sivSize          = 16
	keyNameSize      = KeyNameSize
	// maxPseudonymValue is the longest value that gets a pseudonym, in bytes.
	maxPseudonymValue = 1023 - sivSize - keyNameSize
	// maxPseudonym is the length of the longest pseudonym, in bytes.
	maxPseudonym = len(pseudonymPrefix) + maxPseudonymName + 1 + 2 + (1023*8+4)/5
)

// KeyNameSize is the length of the name of a key, in bytes.
const KeyNameSize = 2

// MinPseudonymKey is the length of a master key, in bytes, at least.
const MinPseudonymKey = 32

// TenantKeySize is the length of a [TenantKey], in bytes.
const TenantKeySize = keyNameSize + subtle.AESSIVKeySize

// TenantKey derives a tenant's key of pseudonyms from a master key (HKDF, RFC 5869, with
// SHA-256). Its first two bytes name the master key.
func TenantKey(master []byte, tenant string) ([]byte, error) {
	if len(master) < MinPseudonymKey {
		return nil, errors.New("a master key of pseudonyms has at least 32 bytes")
	}
	name, err := hkdf.Key(sha256.New, master, nil, "memgate pseudonyms: name of the key", keyNameSize)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, master, nil, "memgate pseudonyms: tenant "+tenant, subtle.AESSIVKeySize)
	if err != nil {
		return nil, err
	}
	return append(name, key...), nil
}

// Pseudonyms makes and opens the pseudonyms of a tenant. It is for one goroutine at a
// time.
type Pseudonyms struct {
	names []uint16
	keys  []*subtle.AESSIV
	data  []byte
}

var errPseudonymKey = errors.New("not a tenant's key of pseudonyms")

// NewPseudonyms takes the tenant's keys ([TenantKey]). The first makes pseudonyms, all
// open those that they made.
func NewPseudonyms(keys ...[]byte) (*Pseudonyms, error) {
	p := new(Pseudonyms)
	for _, key := range keys {
		if len(key) != TenantKeySize {
			return nil, errPseudonymKey
		}
		siv, err := subtle.NewAESSIV(key[keyNameSize:])
		if err != nil {
			return nil, errPseudonymKey
		}
		p.names = append(p.names, binary.BigEndian.Uint16(key))
		p.keys = append(p.keys, siv)
	}
	if len(p.keys) == 0 {
		return nil, errPseudonymKey
	}
	return p, nil
}

// Append appends the pseudonym of a value, and returns false for one that gets none as
// it is empty or longer than 1005 bytes.
func (p *Pseudonyms) Append(dst []byte, e Entity, value []byte) ([]byte, bool) {
	if len(value) == 0 || len(value) > maxPseudonymValue {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, pseudonymPrefix...)
	for _, c := range []byte(e.String()) {
		if c |= 0x20; c-'a' < 26 && len(dst)-start < len(pseudonymPrefix)+maxPseudonymName {
			dst = append(dst, c)
		}
	}
	dst = append(dst, '0')
	p.data = binary.BigEndian.AppendUint16(append(p.data[:0], dst[start:]...), p.names[0])
	sealed, err := p.keys[0].EncryptDeterministically(value, p.data)
	if err != nil {
		return dst[:start], false
	}
	n := keyNameSize + len(sealed)
	dst = append(dst, base32Digits[n>>5], base32Digits[n&31])
	p.data = append(p.data[len(p.data)-keyNameSize:], sealed...)
	return appendBase32(dst, p.data), true
}

// Open appends the value of a pseudonym, which is the whole token. False means that it
// is none that these keys made.
func (p *Pseudonyms) Open(dst, token []byte) ([]byte, bool) {
	n, end := pseudonymAt(token)
	if end == 0 || end != len(token) {
		return dst, false
	}
	var room [1024]byte
	sealed, ok := decodeBase32(room[:0], token[n+2:])
	if !ok {
		return dst, false
	}
	data := append(p.data[:0], token[:n]...)
	for i, c := range data {
		if c-'A' < 26 {
			data[i] = c | 0x20
		}
	}
	p.data = append(data, sealed[:keyNameSize]...)
	for i, name := range p.names {
		if name != binary.BigEndian.Uint16(sealed) {
			continue
		}
		if value, err := p.keys[i].DecryptDeterministically(sealed[keyNameSize:], p.data); err == nil {
			return append(dst, value...), true
		}
	}
	return dst, false
}

// pseudonymAt reads the grammar of a pseudonym at the start of b. It returns where the
// length begins, and where the pseudonym ends: 0 when there is none, more than len(b)
// when b is too short to tell, or for all of it.
func pseudonymAt(b []byte) (length, end int) {
	k := min(len(b), len(pseudonymPrefix))
	if !equalLower(b[:k], pseudonymPrefix[:k]) {
		return 0, 0
	}
	for k < len(b) && b[k]|0x20-'a' < 26 && k <= len(pseudonymPrefix)+maxPseudonymName {
		k++
	}
	if k == len(b) {
		return 0, len(b) + 1
	}
	if b[k] != '0' || k == len(pseudonymPrefix) {
		return 0, 0
	}
	k++
	if len(b) < k+2 {
		return 0, len(b) + 1
	}
	high, low := base32Values[b[k]], base32Values[b[k+1]]
	n := int(high)<<5 | int(low)
	if high > 31 || low > 31 || n <= keyNameSize+sivSize {
		return 0, 0
	}
	end = k + 2 + (n*8+4)/5
	for _, c := range b[k+2 : min(end, len(b))] {
		if base32Values[c] > 31 {
			return 0, 0
		}
	}
	return k, end
}

func equalLower(b []byte, lower string) bool {
	for i, c := range b {
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// nextPseudonym returns where the first pseudonym in b begins at from or later, and where
// it ends, which is more than len(b) when its rest may still come; len(b) twice without
// one.
func nextPseudonym(b []byte, from int) (start, end int) {
	for from < len(b) {
		// Two searches: clients may write all of a word in capitals.
		i := indexFold(b[from:], 'm')
		if i < 0 {
			break
		}
		from += i
		if _, n := pseudonymAt(b[from:]); n > 0 {
			return from, from + n
		}
		from++
	}
	if n := len(b); n > from && b[n-1]|0x20 == 'm' {
		return n - 1, n + 1
	}
	return len(b), len(b)
}

// indexFold returns where the beginning of a prefix of a pseudonym could stand, by its
// second letter as well, which few words have.
func indexFold(b []byte, c byte) int {
	for at := 0; ; {
		g := bytes.IndexByte(b[at:], 'g')
		if g < 0 {
			g = len(b) - at
		}
		if upper := bytes.IndexByte(b[at:at+g], 'G'); upper >= 0 {
			g = upper
		}
		at += g
		if at > 0 && b[at-1]|0x20 == c {
			return at - 1
		}
		if at >= len(b) {
			return -1
		}
		at++
	}
}

const base32Digits = "abcdefghijklmnopqrstuvwxyz234567"

var base32Values = func() (values [256]byte) {
	for i := range values {
		values[i] = 0xff
	}
	for i := range base32Digits {
		c := base32Digits[i]
		values[c] = byte(i)
		if c >= 'a' {
			values[c-0x20] = byte(i)
		}
	}
	return values
}()

func appendBase32(dst, b []byte) []byte {
	bits, n := uint(0), 0
	for _, c := range b {
		bits, n = bits<<8|uint(c), n+8
		for n >= 5 {
			n -= 5
			dst = append(dst, base32Digits[bits>>n&31])
		}
	}
	if n > 0 {
		dst = append(dst, base32Digits[bits<<(5-n)&31])
	}
	return dst
}

// decodeBase32 takes digits only, and no bits that are left over.
func decodeBase32(dst, text []byte) ([]byte, bool) {
	bits, n := uint(0), 0
	for _, c := range text {
		bits, n = bits<<5|uint(base32Values[c]), n+5
		if n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	return dst, bits&(1<<n-1) == 0
}
