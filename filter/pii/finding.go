package pii

import "unicode/utf8"

// Finding is one value that was found.
type Finding struct {
	// Entity is what was found.
	Entity Entity
	// Start and End are its place in the text given, in bytes: text[Start:End].
	Start, End int
	// Score says how sure the finding is, from Threshold to 1.
	Score float32
	// More says that the value goes on past End and that a later call of
	// Scanner.Scan reports the next part.
	More bool
	// Continued says that this part continues the value of an earlier finding
	// with More, and begins where that one ended. It may be empty.
	Continued bool
	// Rule is the number of the rule that a value of the entity [Custom] is of, from
	// one on; otherwise 0.
	Rule uint8
}

// Threshold is the score below which nothing is reported.
const Threshold = 0.5

// CodePoints rewrites the findings' offsets, in place, from bytes to Unicode code
// points of text, as Python counts them. The findings must be in the order of the
// text, as Scan reports them. A byte that is not valid UTF-8 counts as one.
func CodePoints(text []byte, fs []Finding) {
	at, points := 0, 0
	for i := range fs {
		f := &fs[i]
		points += utf8.RuneCount(text[at:f.Start])
		at = f.Start
		f.Start = points
		points += utf8.RuneCount(text[at:f.End])
		at = f.End
		f.End = points
	}
}
