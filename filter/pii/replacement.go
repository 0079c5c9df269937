package pii

import "crypto/sha256"

// hashLetters is how many letters of a value's hash stand in its place: 80 bits.
const hashLetters = 20

// AppendReplacement appends what stands in place of value, which f found, under the
// policy: for Redact the entity's name in brackets, for Mask a little of the value, for
// Hash the entity's name and a hash under hashKey (HMAC-SHA-256) in brackets. Allow
// appends the value itself, and Block what Redact does.
//
// Without a key, Hash does what Redact does, as anyone could guess values from hashes
// without one. So do Mask and Hash for a private key, which may come in parts, and
// for other values in parts.
//
// Unless the action is Allow the result is ASCII without quotes, backslashes and
// control characters, and Scan finds nothing in it that it replaced.
func (p *Policy) AppendReplacement(dst []byte, f Finding, value []byte, hashKey []byte) []byte {
	action := Redact
	if f.Entity < NumEntities {
		action = p.Actions[f.Entity]
	}
	// A value is a long one by its length, not by having come in parts, so that the
	// result does not depend on how the text was cut.
	long := f.Entity == PrivateKey || f.More || f.Continued || len(value) >= longToken
	switch {
	case action == Allow:
		return append(dst, value...)
	case action == Mask && !long:
		return appendMask(dst, f.Entity, value)
	case action == Hash && !long && len(hashKey) > 0:
		dst = append(dst, '[')
		dst = append(dst, p.name(f)...)
		dst = append(dst, ':')
		dst = appendHash(dst, f.Entity, value, hashKey)
		return append(dst, ']')
	}
	dst = append(dst, '[')
	dst = append(dst, p.name(f)...)
	return append(dst, ']')
}

// appendHash appends HMAC-SHA-256 (RFC 2104) of the entity's name, a zero byte and the
// value, as letters from a to p: letters alone, so that no hash looks like a number.
func appendHash(dst []byte, e Entity, value, key []byte) []byte {
	const block = 64
	var pad [block]byte
	if len(key) > block {
		sum := sha256.Sum256(key)
		copy(pad[:], sum[:])
	} else {
		copy(pad[:], key)
	}
	for k := range pad {
		pad[k] ^= 0x36
	}
	n := len(dst) // what follows is room to work in
	dst = append(dst, pad[:]...)
	dst = append(dst, e.String()...)
	dst = append(dst, 0)
	dst = append(dst, value...)
	inner := sha256.Sum256(dst[n:])
	clear(dst[n:])
	dst = dst[:n]

	var outer [block + sha256.Size]byte
	for k := range pad {
		outer[k] = pad[k] ^ 0x36 ^ 0x5c
	}
	copy(outer[block:], inner[:])
	sum := sha256.Sum256(outer[:])
	for _, c := range sum[:hashLetters/2] {
		dst = append(dst, 'a'+c>>4, 'a'+c&15)
	}
	return dst
}

// appendMask appends the value with most of it starred out.
func appendMask(dst []byte, e Entity, value []byte) []byte {
	switch e {
	case EmailAddress:
		return maskEmail(dst, value)
	case IPAddress:
		return maskIP(dst, value)
	case CreditCard, PhoneNumber, USSSN, IBANCode:
		return maskNumber(dst, value)
	}
	// A secret keeps its first four bytes, which say what it is.
	dst = append(dst, value[:min(4, len(value)/4)]...)
	return append(dst, "****"...)
}

// maskEmail keeps the first letters and the top-level domain: j***@e***.com.
func maskEmail(dst, value []byte) []byte {
	first := func(part []byte) {
		if len(part) > 1 && part[0] < 0x80 {
			dst = append(dst, part[0])
		}
		dst = append(dst, "***"...)
	}
	at, dot := 0, 0
	for k, c := range value {
		switch c {
		case '@':
			at = k
		case '.':
			dot = k
		}
	}
	first(value[:at])
	dst = append(dst, '@')
	if dot > at {
		first(value[at+1 : dot])
		return append(dst, value[dot:]...)
	}
	return append(dst, "***"...)
}

// maskIP keeps the first two numbers of an IPv4 address and the first of an IPv6
// address: 192.0.*.*, 2001:***.
func maskIP(dst, value []byte) []byte {
	dots := 0
	for _, c := range value {
		if c == ':' {
			return append(dst, ":***"...)
		}
		if c == '.' {
			if dots++; dots == 2 {
				return append(dst, ".*.*"...)
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// maskNumber stars out the letters and digits but the last four, and keeps the
// separators.
func maskNumber(dst, value []byte) []byte {
	left := 0
	for _, c := range value {
		if kind[c]&isAlnum != 0 {
			left++
		}
	}
	for _, c := range value {
		switch {
		case c >= 0x80:
			continue // of a typographic separator
		case kind[c]&isAlnum != 0:
			if left--; left >= 4 {
				c = '*'
			}
		}
		dst = append(dst, c)
	}
	return dst
}
