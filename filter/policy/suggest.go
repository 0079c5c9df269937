package policy

import (
	"slices"
	"strings"
	"unicode"
)

// nearest returns the candidate that a writer of word most likely meant, or "".
func nearest(word string, candidates []string) string {
	best, bestDistance := "", len(word)
	for _, c := range candidates {
		if fold(c) == fold(word) {
			return c
		}
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d <= max(1, max(len(word), len(c))/3) && d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// didYouMean is the end of a message about an unknown word.
func didYouMean(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	if c := nearest(word, candidates); c != "" {
		return `; did you mean "` + c + `"?`
	}
	return ""
}

// fold leaves only letters and digits of s, in lower case: maxAge is max_age.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	above := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

// oneOf lists words as "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	words = slices.Clone(words)
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// show is text in quotes for a message, unless it is long, not printable, or
// looks like a credential.
func show(text string) string {
	if len(text) > maxShown || !printable(text) || looksSecret(text) {
		return hidden
	}
	return `"` + text + `"`
}

const (
	hidden   = "(not shown)" // instead of what must not be repeated
	maxShown = 48            // bytes of a value in a message
	maxKey   = 256           // bytes of a key in a path
)

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' || r == unicode.ReplacementChar })
}
