// Package search turns text into terms and ranks memories by them with BM25.
//
// It is pure: it stores nothing and knows no engine. An engine keeps for each term the postings that
// Document yields, encoded by AppendPostings, and asks a Ranking for the order.
package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// Version changes whenever the same text may yield other terms than before. An index that was made by
// another version must be made anew.
const Version = 1

const (
	maxTermRunes  = 64     // longer words are cut
	maxDocTerms   = 20_000 // terms of one document; the rest is not indexed
	maxQueryTerms = 64     // different terms of one query; the rest is ignored
)

// Terms calls yield with each term of the text in order until yield returns false.
//
// A term is a word without stop words: in compatibility form, without diacritics, in lower case, English words stemmed (Porter 2). Scripts written without spaces yield pairs of characters.
// A term holds letters, marks and digits only.
func Terms(text string, yield func(term string) bool) {
	text = fold(text)
	var word strings.Builder
	runes := 0
	plain := true // ASCII letters only
	var prev rune // the previous character of a run without spaces
	run := 0      // the length of that run

	flush := func() bool {
		if runes == 0 {
			return true
		}
		w := word.String()
		word.Reset()
		ascii := plain
		runes, plain = 0, true
		if term := finish(w, ascii); term != "" {
			return yield(term)
		}
		return true
	}
	endRun := func() bool {
		single := run == 1
		run = 0
		return !single || yield(string(prev))
	}

	for i, r := range text {
		switch {
		case spaceless(r):
			if !flush() {
				return
			}
			if run++; run > 1 && !yield(string(prev)+string(r)) {
				return
			}
			prev = r
			continue
		}
		if run > 0 && !endRun() {
			return
		}
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r):
			if runes++; runes > maxTermRunes {
				continue
			}
			r = unicode.ToLower(r)
			plain = plain && r >= 'a' && r <= 'z'
			word.WriteRune(r)
		case (r == '\'' || r == '’') && runes > 0 && letterAt(text[i+utf8.RuneLen(r):]):
			rest := text[i+utf8.RuneLen(r):]
			if (rest[0] == 's' || rest[0] == 'S') && !letterAt(rest[1:]) {
				if !flush() { // the possessive: what follows is dropped as a stop word
					return
				}
			}
		default:
			if !flush() {
				return
			}
		}
	}
	if run > 0 && !endRun() {
		return
	}
	flush()
}

// fold applies compatibility forms and removes the diacritics of Latin, Greek and Cyrillic letters.
func fold(text string) string {
	ascii := true
	for i := 0; i < len(text) && ascii; i++ {
		ascii = text[i] < utf8.RuneSelf
	}
	if ascii {
		return text
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if r >= 0x300 && r <= 0x36F {
			return -1
		}
		return r
	}, norm.NFKD.String(text)))
}

func letterAt(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r)
}

// spaceless reports whether r belongs to a script whose words are not separated.
func spaceless(r rune) bool {
	return r >= 0x2E80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// finish returns the term for a word in lower case, or "" for a stop word.
func finish(w string, ascii bool) string {
	if ascii {
		if stopWords[w] {
			return ""
		}
		return english.Stem(w, false)
	}
	if len(w) == 2 && w[0] == '0' && w[1] >= '0' && w[1] <= '9' {
		return w[1:] // the day and month of an ISO date meet those spelt out
	}
	return w
}

// Document counts the terms of a text: how often each occurs, and how many there are.
func Document(text string) (counts map[string]int, length int) {
	counts = make(map[string]int, len(text)/8)
	Terms(text, func(term string) bool {
		counts[term]++
		length++
		return length < maxDocTerms
	})
	return counts, length
}

// Query returns the different terms of a query in order of appearance, at most 64. None means that the
// query says nothing that can be searched for.
func Query(text string) []string {
	var terms []string
	seen := make(map[string]bool)
	Terms(text, func(term string) bool {
		if !seen[term] {
			seen[term] = true
			terms = append(terms, term)
		}
		return len(terms) < maxQueryTerms
	})
	return terms
}
