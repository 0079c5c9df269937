package pii

import "math"

// maxContext is how many bytes left of a value are searched for words that speak for
// or against it; for a value that is nothing without such a word, nearContext.
const (
	maxContext  = 48
	nearContext = 40
)

// certain is a score that no word would lower below Threshold, nor another number
// within the value beat.
const certain = 0.85

// mostCertain bounds what words can raise a score to: below that of an e-mail address,
// in which a number may stand.
const mostCertain = 0.94

// said is which subjects the words left of a place speak for, perhaps speak for, and
// speak against. Of two words about one subject the nearer counts.
type said struct{ pro, perhaps, contra uint64 }

// maxNearby is more than how many words fit in maxContext bytes; a power of two.
const maxNearby = 32

// nearby is what the words left of a place say. The text is read once, from left to right,
// as long as the places that are asked about follow on each other.
type nearby struct {
	start     int // the place, or -1
	near, far said
	// until is where a word gets too far away, or from where on it must be looked.
	until int

	heard [maxNearby]heard // words that say something, in order, the last at last
	last  uint
	n     int
	// word is where the last word begins that was read, and before the one before it.
	word, before int
}

// heard is a word that says something.
type heard struct {
	start int
	word  *contextWord
	next  bool // the next word is number
}

func (w *nearby) clear() { *w = nearby{start: -1} }

// adjust raises or lowers a score by the nearest word on the left of b[start] that
// says something about the entity. A score from certain on needs no words.
func (s *Scanner) adjust(b []byte, start int, e Entity, score float32) float32 {
	if score >= certain {
		return score
	}
	s.listenAt(b, start)
	w := &s.words.far
	if score < Threshold {
		w = &s.words.near
	}
	switch bit := uint64(1) << subjects[e]; {
	case w.pro&bit != 0:
		return min(score+0.35, max(score, mostCertain))
	case w.perhaps&bit != 0:
		return min(score+0.25, max(score, mostCertain))
	case w.contra&bit != 0 && e == IPAddress:
		return max(score-0.35, 0)
	case w.contra&bit != 0:
		return max(score-0.25, 0)
	}
	return score
}

// readContext finds out what the words left of b[start] say.
func (s *Scanner) readContext(b []byte, start int) {
	w := &s.words
	from := w.start
	if from < 0 || start < from || start-from > maxContext {
		edge := max(start-maxContext, 0)
		from = edge
		if edge > 0 && wordByte(b[edge-1]) != 0 {
			// In the middle of a word, or of several together.
			for from < start && wordByte(b[from]) != 0 && !(from > edge && camel(b, from)) {
				from++
			}
		}
		w.n, w.until, w.word, w.before = 0, 0, -1, -1
	} else if from > 0 && wordByte(b[from-1]) != 0 && wordByte(b[from]) != 0 && !camel(b, from) {
		// The last word goes on.
		from, w.word, w.until = w.word, w.before, 0
		if w.n > 0 && w.heard[w.last%maxNearby].start == from {
			w.n, w.last = w.n-1, w.last-1
			w.heard[w.last%maxNearby].next = false
		}
	}
	s.work += start - from
	w.start = start
	w.listen(b, from)
	if start >= w.until {
		w.sum(b)
	}
}

// listen reads the words from b[i] to the place.
func (w *nearby) listen(b []byte, i int) {
	for i < w.start {
		if wordByte(b[i]) == 0 {
			i++
			continue
		}
		end := i + 1
		for end < w.start && wordByte(b[end]) != 0 && !camel(b, end) {
			end++
		}
		h := uint32(0)
		for k := end - 1; k >= i; k-- {
			h = h*hashFactor + uint32(b[k]|wordByte(b[k]))
		}
		if x := lookUp(h, end-i); x != nil {
			if p := &w.heard[w.last%maxNearby]; w.n > 0 && p.start == w.word {
				p.next = x.number
			}
			w.last++
			w.n = min(w.n+1, maxNearby)
			w.heard[w.last%maxNearby] = heard{start: i, word: x}
			w.until = 0
		}
		w.before, w.word = w.word, i
		i = end
	}
}

// camel says whether a word begins at b[i] behind another, as in phoneNumber.
func camel(b []byte, i int) bool { return kind[b[i]]&isUpper != 0 && kind[b[i-1]]&isLower != 0 }

// sum sums up what the words say, from the nearest on.
func (w *nearby) sum(b []byte) {
	w.near, w.far, w.until = said{}, said{}, math.MaxInt
	edge, near := max(w.start-maxContext, 0), max(w.start-nearContext, 0)
	decided, decidedNear := uint64(0), uint64(0)
	for k := range w.n {
		x := &w.heard[(w.last-uint(k))%maxNearby]
		if x.start < edge || x.start == edge && edge > 0 && wordByte(b[edge-1]) != 0 {
			w.n = k // cut off, as all before it
			break
		}
		pro := x.word.pro
		if x.next && x.word.possessive { // as in: my number is
			pro |= 1 << subPhone
		}
		w.far.add(pro, x.word.perhaps, x.word.contra, &decided)
		w.until = min(w.until, x.start+maxContext)
		if x.start >= near {
			w.near.add(pro, x.word.perhaps, x.word.contra, &decidedNear)
			w.until = min(w.until, x.start+nearContext+1)
		}
	}
}

func (w *said) add(pro, perhaps, contra uint64, decided *uint64) {
	w.pro |= pro &^ *decided
	w.perhaps |= perhaps &^ *decided
	w.contra |= contra &^ *decided
	*decided |= pro | perhaps | contra
}

// lookUp returns the word that has this hash and length, or nil.
func lookUp(h uint32, length int) *contextWord {
	for slot := h % contextSlots; ; slot = (slot + 1) % contextSlots {
		n := contextIndex[slot]
		if n == 0 {
			return nil
		}
		if c := &contextWords[n-1]; contextHash[n-1] == h && len(c.word) == length {
			return c
		}
	}
}

// wordByte returns 0 when c is no byte of a word, and otherwise what to or it with to
// get it in lower case. Bytes of other scripts are of words.
func wordByte(c byte) byte {
	if c >= 0x80 {
		return 0x80
	}
	return foldASCII[c&0x7f]
}

// contextWord is a word, in lower case, and the subjects that it speaks for, perhaps
// speaks for, and speaks against, as bits.
type contextWord struct {
	word                 string
	pro, perhaps, contra uint64
	possessive, number   bool
}

const (
	hashFactor   = 0x01000193
	contextSlots = 2048 // several times the number of words
)

var (
	foldASCII    = foldTable()
	contextWords = listContextWords()
	contextHash  = hashContextWords()
	contextIndex = indexContextWords()
)

func foldTable() (t [128]byte) {
	for c := range t {
		if kind[c]&isLetter != 0 {
			t[c] = 0x20
		}
	}
	return t
}

func hashContextWords() []uint32 {
	hs := make([]uint32, len(contextWords))
	for n, w := range contextWords {
		for k := len(w.word) - 1; k >= 0; k-- {
			hs[n] = hs[n]*hashFactor + uint32(w.word[k])
		}
	}
	return hs
}

// indexContextWords puts each word's number, plus one, into the first free slot from
// that of its hash on.
func indexContextWords() (index [contextSlots]uint16) {
	for n, h := range contextHash {
		slot := h % contextSlots
		for index[slot] != 0 {
			slot = (slot + 1) % contextSlots
		}
		index[slot] = uint16(n + 1)
	}
	return index
}
