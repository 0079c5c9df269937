package pii

import "crypto/sha256"

// Checks of values that have letters.

// ninoPrefix says whether a national insurance number can begin with these letters
// (HM Revenue & Customs, National Insurance Manual, NIM39110).
func ninoPrefix(a, b byte) bool {
	a, b = upper(a), upper(b)
	for _, c := range [...]byte{a, b} {
		switch c {
		case 'D', 'F', 'I', 'Q', 'U', 'V':
			return false
		}
	}
	switch string([]byte{a, b}) {
	case "BG", "GB", "NK", "KN", "TN", "NT", "ZZ":
		return false
	}
	return b != 'O'
}

// nricCheck checks the letter of a Singaporean number: a weighted sum modulo 11.
func nricCheck(v []byte) bool {
	weights := [...]int{2, 7, 6, 5, 4, 3, 2}
	sum := 0
	for k, w := range weights {
		sum += int(v[k+1]-'0') * w
	}
	var letters string
	switch upper(v[0]) {
	case 'S':
		letters = "JZIHGFEDCBA"
	case 'T':
		letters, sum = "JZIHGFEDCBA", sum+4
	case 'F':
		letters = "XWUTRQPNMLK"
	case 'G':
		letters, sum = "XWUTRQPNMLK", sum+4
	case 'M':
		letters, sum = "XWUTRQPNJLK", sum+3
	default:
		return false
	}
	return letters[sum%11] == upper(v[8])
}

// nifLetter returns the letter that checks the eight digits of a Spanish tax number.
func nifLetter(digits []byte) byte {
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[n%23]
}

// nieCheck checks a foreigner's number in Spain, whose first letter stands for a digit.
func nieCheck(v []byte) bool {
	var d [8]byte
	copy(d[:], v[:8])
	switch upper(v[0]) {
	case 'X', 'Y', 'Z':
		d[0] = upper(v[0]) - 'X' + '0'
	default:
		return false
	}
	return nifLetter(d[:]) == upper(v[8])
}

// deaCheck checks a number of the Drug Enforcement Administration: the sum of the
// first, third and fifth digit and twice the second, fourth and sixth ends with the seventh.
func deaCheck(v []byte) bool {
	switch upper(v[0]) {
	case 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'P', 'R', 'S', 'T', 'U', 'X':
	default:
		return false
	}
	d := v[2:]
	sum := int(d[0]-'0') + int(d[2]-'0') + int(d[4]-'0') + 2*(int(d[1]-'0')+int(d[3]-'0')+int(d[5]-'0'))
	return sum%10 == int(d[6]-'0')
}

// panHolder says whether c is a kind of holder of a permanent account number.
func panHolder(c byte) bool {
	switch upper(c) {
	case 'A', 'B', 'C', 'E', 'F', 'G', 'H', 'J', 'L', 'P', 'T':
		return true
	}
	return false
}

// hetuCheck checks a Finnish code DDMMYYCNNNX: a date, a sign of the century, and a
// character for the number modulo 31.
func hetuCheck(v []byte) bool {
	switch v[6] {
	case '+', '-', 'A', 'B', 'C', 'D', 'E', 'F', 'U', 'V', 'W', 'X', 'Y':
	default:
		return false
	}
	n := 0
	for _, k := range [...]int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		if kind[v[k]]&isDigit == 0 {
			return false
		}
		n = n*10 + int(v[k]-'0')
	}
	day, month := twoDigits(v[0:]), twoDigits(v[2:])
	return day >= 1 && day <= 31 && month >= 1 && month <= 12 && "0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31] == v[10]
}

// twoDigits returns the number that two digits stand for.
func twoDigits(v []byte) int { return int(v[0]-'0')*10 + int(v[1]-'0') }

// nirCheck checks a French number of 15 characters, in which a department of Corsica
// has a letter: 97 minus the number modulo 97 is the key.
func nirCheck(v []byte) bool {
	var d [15]byte
	copy(d[:], v)
	if v[5] == '2' {
		switch upper(v[6]) {
		case 'A':
			d[6] = '9'
			d[5] = '1'
		case 'B':
			d[6] = '8'
			d[5] = '1'
		}
	}
	n := 0
	for _, c := range d[:13] {
		if kind[c]&isDigit == 0 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	month := twoDigits(d[3:])
	return (d[0] == '1' || d[0] == '2') && nirMonth(month) && 97-n%97 == twoDigits(d[13:])
}

// nirMonth says whether a month is one, or one of the numbers that stand for an unknown one.
func nirMonth(m int) bool { return m >= 1 && m <= 12 || m >= 20 && m <= 42 || m >= 50 && m <= 99 }

// fiscalCheck checks an Italian fiscal code (decree of 12 March 1974): a month, a day,
// and a letter for the sum of what its characters stand for modulo 26. Letters may
// stand for digits, where two people would have the same code.
func fiscalCheck(v []byte) bool {
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	digits := [7]int{6, 7, 9, 10, 12, 13, 14}
	var d [16]byte
	for k, c := range v {
		d[k] = upper(c)
	}
	sum := 0
	for k, c := range d[:15] {
		x := int(c - '0')
		if kind[c]&isLetter != 0 {
			x = int(c - 'A')
		}
		if k%2 == 0 {
			x = odd[x]
		}
		sum += x
	}
	if byte(sum%26)+'A' != d[15] {
		return false
	}
	const stands = "LMNPQRSTUV"
	for _, k := range digits {
		if kind[d[k]]&isDigit != 0 {
			continue
		}
		n := 0
		for n < 10 && stands[n] != d[k] {
			n++
		}
		if n == 10 {
			return false
		}
		d[k] = '0' + byte(n)
	}
	day := twoDigits(d[9:])
	switch d[8] {
	case 'A', 'B', 'C', 'D', 'E', 'H', 'L', 'M', 'P', 'R', 'S', 'T':
		return day >= 1 && day <= 31 || day >= 41 && day <= 71
	}
	return false
}

// base58Values has the values of the characters of Base58, plus one.
var base58Values = func() (t [256]uint8) {
	for k, c := range []byte("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz") {
		t[c] = uint8(k + 1)
	}
	return t
}()

// base58Check checks a Bitcoin address: a version, 20 bytes and four of a double
// SHA-256 over them. As many bytes are zero at its beginning as there are 1 (BIP 13 and the
// client's code).
func base58Check(v []byte) bool {
	ones := 0
	for ones < len(v) && v[ones] == '1' {
		ones++
	}
	// Five characters at once, in words of 32 bits, the last at first.
	var n [7]uint64
	for len(v) > 0 {
		value, scale := uint64(0), uint64(1)
		part := v[:(len(v)-1)%5+1]
		for _, c := range part {
			d := base58Values[c]
			if d == 0 {
				return false
			}
			value, scale = value*58+uint64(d-1), scale*58
		}
		v = v[len(part):]
		for k := range n {
			value += n[k] * scale
			n[k] = value & (1<<32 - 1)
			value >>= 32
		}
		if value != 0 {
			return false
		}
	}
	if n[6] > 0xFF { // more than 25 bytes
		return false
	}
	var b [28]byte
	for k, x := range n {
		at := len(b) - 4*k - 4
		b[at], b[at+1], b[at+2], b[at+3] = byte(x>>24), byte(x>>16), byte(x>>8), byte(x)
	}
	address := b[3:]
	zeros := 0
	for zeros < len(address) && address[zeros] == 0 {
		zeros++
	}
	if zeros != ones || zeros == 0 && address[0] != 5 {
		return false
	}
	sum := sha256.Sum256(address[:21])
	sum = sha256.Sum256(sum[:])
	return [4]byte(sum[:4]) == [4]byte(address[21:])
}

// bech32Check checks a Bitcoin address that begins with bc1 (BIP 173, BIP 350).
func bech32Check(v []byte) bool {
	const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	if lower(v[1]) != 'c' || v[2] != '1' {
		return false
	}
	seen := uint8(0)
	for _, c := range v {
		seen |= kind[c]
	}
	if seen&isLetter == isLetter {
		return false // both cases
	}
	check := uint32(1)
	step := func(value int) {
		top := check >> 25
		check = check&0x1ffffff<<5 ^ uint32(value)
		for k, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>k&1 != 0 {
				check ^= g
			}
		}
	}
	for _, value := range [...]int{'b' >> 5, 'c' >> 5, 0, 'b' & 31, 'c' & 31} {
		step(value)
	}
	for _, c := range v[3:] {
		d := -1
		for k := range len(letters) {
			if letters[k] == lower(c) {
				d = k
				break
			}
		}
		if d < 0 {
			return false
		}
		step(d)
	}
	return check == 1 || check == 0x2bc830a3
}
