package pii

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

// nearby is what the words left of a place say, read once for all that may begin there.
type nearby struct {
	start     int // the place, or -1
	near, far said
}

// adjust raises or lowers a score by the nearest word on the left of b[start] that
// says something about the entity. A score from certain on needs no words.
func (s *Scanner) adjust(b []byte, start int, e Entity, score float32) float32 {
	if score >= certain {
		return score
	}
	if s.words.start != start {
		s.readContext(b, start)
	}
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

// readContext reads the words left of b[start], from the nearest on.
func (s *Scanner) readContext(b []byte, start int) {
	s.words = nearby{start: start}
	edge := max(start-maxContext, 0)
	s.work += start - edge
	near := max(start-nearContext, 0)
	decided, decidedNear := uint64(0), uint64(0)
	number := false // the word on the right is number, as in: my number is
	for i := start; i > edge; {
		if wordByte(b[i-1]) == 0 {
			i--
			continue
		}
		end := i
		h := uint32(0)
		for {
			c := b[i-1]
			i--
			h = h*hashFactor + uint32(c|wordByte(c))
			if i == edge || wordByte(b[i-1]) == 0 || kind[c]&isUpper != 0 && kind[b[i-1]]&isLower != 0 {
				break
			}
		}
		if i == edge && i > 0 && wordByte(b[i-1]) != 0 {
			break // cut off
		}
		w := lookUp(h, end-i)
		if w == nil {
			number = false
			continue
		}
		pro := w.pro
		if number && w.possessive {
			pro |= 1 << subPhone
		}
		s.words.far.add(pro, w.perhaps, w.contra, &decided)
		if i >= near {
			s.words.near.add(pro, w.perhaps, w.contra, &decidedNear)
		}
		number = w.number
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
