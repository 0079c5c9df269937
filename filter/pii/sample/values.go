// Package sample makes labelled text to measure detectors by: values of each entity
// and values that just fail to be one, in sentences, records, logs and source code of
// several languages. It is deterministic in its seed. Its check digits are computed
// here on their own, so that it is evidence for those of package pii, and it holds no
// value of a person: all are drawn at random.
package sample

import (
	"math/rand/v2"
	"strings"
)

// Rand is the source of a sample. Equal seeds make equal samples.
type Rand struct{ *rand.Rand }

// NewRand returns the source of that seed.
func NewRand(seed uint64) Rand { return Rand{rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))} }

// From draws n bytes of the letters.
func (r Rand) From(letters string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// Pick draws one of the list.
func (r Rand) Pick(list ...string) string { return list[r.IntN(len(list))] }

// Digits draws n digits.
func (r Rand) Digits(n int) string { return r.From(digits, n) }

// Shape fills a pattern: 9 draws a digit, A a capital, a a small letter, x a small
// hexadecimal digit, and everything else stands for itself.
func (r Rand) Shape(pattern string) string {
	var b strings.Builder
	for _, c := range pattern {
		switch c {
		case '9':
			b.WriteString(r.From(digits, 1))
		case 'A':
			b.WriteString(r.From(capitals, 1))
		case 'a':
			b.WriteString(r.From(small, 1))
		case 'x':
			b.WriteString(r.From(hexDigits, 1))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

const (
	digits    = "0123456789"
	capitals  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	small     = "abcdefghijklmnopqrstuvwxyz"
	hexDigits = "0123456789abcdef"
	base62    = digits + capitals + small
	base64url = base62 + "-_"
)

// until draws with f until ok takes what was drawn.
func until(f func() string, ok func(string) bool) string {
	for {
		if s := f(); ok(s) {
			return s
		}
	}
}

// sum is the sum of the digits of s, each times its weight.
func sum(s string, weights ...int) int {
	n := 0
	for i, w := range weights {
		n += int(s[i]-'0') * w
	}
	return n
}

// remainder is the number that s stands for modulo m.
func remainder(s string, m int) int {
	n := 0
	for _, c := range s {
		n = (n*10 + int(c-'0')) % m
	}
	return n
}

func at(s string, i int) int { return int(s[i] - '0') }

// luhn reports whether a number's last digit is right.
func luhn(s string) bool {
	n := 0
	for i := range len(s) {
		d := at(s, len(s)-1-i)
		if i%2 == 1 {
			d = d*2/10 + d*2%10
		}
		n += d
	}
	return n%10 == 0
}

// date draws a date of birth.
func (r Rand) date() (year, month, day int) { return 1930 + r.IntN(80), 1 + r.IntN(12), 1 + r.IntN(28) }

func pad(n, width int) string {
	s := ""
	for ; width > 0; width-- {
		s = string(rune('0'+n%10)) + s
		n /= 10
	}
	return s
}

// grouped splits s into groups of these sizes.
func grouped(s, sep string, sizes ...int) string {
	var out []string
	for _, n := range sizes {
		out = append(out, s[:n])
		s = s[n:]
	}
	return strings.Join(out, sep)
}
