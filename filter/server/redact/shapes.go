package redact

import (
	"bytes"
	"slices"

	"github.com/memgate/memgate/filter/pii"
)

// credential marks a finding that is no entity of package pii.
const credential = pii.NumEntities

// minSecret is the shortest text that is taken for a secret behind the name of a
// scheme or a prefix, in bytes.
const minSecret = 8

// schemes are those of an Authorization header, in lower case, with the space
// behind them.
var schemes = [...]string{"bearer ", "basic ", "dpop ", "token ", "apikey "}

// shapes adds credentials to what was found in text, in the order of the text.
func shapes(found []pii.Finding, text []byte) []pii.Finding {
	before := len(found)
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '_': // mg_ and ms_, which memgate's own credentials begin with
			if i >= 2 && text[i-2] == 'm' && (text[i-1] == 'g' || text[i-1] == 's') && (i == 2 || !isWord(text[i-3])) {
				if end := secretEnd(text, i+1); end-i > minSecret {
					found = append(found, pii.Finding{Entity: credential, Start: i - 2, End: end})
					i = end
				}
			}
		case ' ':
			if n := scheme(text[:i+1]); n > 0 {
				if end := secretEnd(text, i+1); isSecret(text[i+1 : end]) {
					found = append(found, pii.Finding{Entity: credential, Start: i + 1, End: end})
				}
			}
		case ':':
			if bytes.HasPrefix(text[i:], []byte("://")) {
				if start, end := userinfo(text, i+3); end > start {
					found = append(found, pii.Finding{Entity: credential, Start: start, End: end})
				}
			}
		}
	}
	if len(found) > before && before > 0 {
		slices.SortStableFunc(found, func(a, b pii.Finding) int { return a.Start - b.Start })
	}
	return found
}

// scheme is how long the name of an authentication scheme is with which text
// ends, with its space, or 0.
func scheme(text []byte) int {
	for _, s := range schemes {
		if n := len(s); len(text) >= n && bytes.EqualFold(text[len(text)-n:], []byte(s)) && (len(text) == n || !isWord(text[len(text)-n-1])) {
			return n
		}
	}
	return 0
}

// secretEnd is where the characters of a token end that begins at start: those of
// RFC 7235's token68.
func secretEnd(text []byte, start int) int {
	end := start
	for end < len(text) && (isWord(text[end]) || bytes.IndexByte([]byte("-.~+/="), text[end]) >= 0) {
		end++
	}
	return end
}

// isSecret reports whether a text is none that stands behind the word token in a
// sentence.
func isSecret(text []byte) bool {
	lower, upper := 0, 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			return len(text) >= minSecret
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		}
	}
	return len(text) >= minSecret && lower > 1 && upper > 1 || len(text) >= 3*minSecret
}

// userinfo is where the user and password of a URL stand whose authority begins
// at start, or nothing.
func userinfo(text []byte, start int) (from, to int) {
	for at := start; at < len(text); at++ {
		switch text[at] {
		case '@':
			to = at
		case '/', '?', '#', ' ', '"', '\'', '<', '>', '\n', '\t':
			if to > start {
				return start, to
			}
			return start, start
		}
	}
	return start, max(to, start)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
