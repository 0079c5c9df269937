package poison

import "unicode/utf8"

const (
	// window is within how many words rules count together.
	window = 500
	// textGap is by how much positions of words in two texts differ at least, so that
	// no phrase goes on from one to the other.
	textGap = 1 << 10
	// maxPosition is when positions begin anew.
	maxPosition = 1 << 30
	// maxRaw is how many bytes of a word are kept.
	maxRaw = minBlob
)

// byteKind says how a byte is read: as the letter or digit that it is in lower case, or
// as one of these.
var byteKind = func() (t [256]byte) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z':
			t[c] = byte(c)
		case c >= 'A' && c <= 'Z':
			t[c] = byte(c) | 0x20
		}
	}
	return t
}()

// joining are bytes that do not end a word by themselves: apostrophes, what begins an
// escape, and what is beyond ASCII.
var joining = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x80 || c == '\'' || c == '%' || c == '\\' || c == '&'
	}
	return t
}()

// Scanner scores a body, text by text and piece by piece. It is for one goroutine at a
// time.
type Scanner struct {
	set      *Set
	words    *matcher
	last     []int32 // position at which each state was reached
	lastOwn  []int32 // the same for the policy's phrases
	position int32
	negated  int32 // position of the last negation
	hot      int32 // up to this position a phrase that has begun may go on
	count    int32 // of words
	held     [numRules]int32
	ever     uint32 // rules that have held
	best     Verdict

	// The word that is being read.
	h       uint64
	n       int  // letters
	all     byte // their conjunction: without 0x40 there are digits
	raw     [maxRaw]byte
	nraw    int  // bytes of raw, -1 when the word is not as it stands there
	alike   int  // letters of other scripts or styles
	folded  int  // letters that do not stand there as they are
	decoded bool // some letters came by escapes
	inside  bool // what does not show stands behind a letter
	mixed   int  // words with letters of several scripts
	within  int  // what did not show between letters

	// What stands before the word.
	punctuation uint64 // the last eight characters but spaces
	separators  int
	spaced      bool // the last of them is a space
	previous    byte // the byte before, 0 at the beginning, 0xFF for one beyond ASCII
	watch       watch

	spelled  uint64 // letters that stand alone
	nspelled int

	link  link
	url   url
	open  byte  // the bracket of a mark that is due to be closed
	opens int32 // position of the word in it

	// Characters.
	pending     [4]byte // the beginning of one
	npending    int
	bytewise    bool            // it came by escapes of bytes
	escape      [maxEscape]byte // the beginning of an escape
	nescape     int
	unescaping  bool
	lastRune    rune
	atStart     bool
	rightToLeft bool
	embedded    bool
	hidden      int
	selectors   int
	flag        int
	carried     []byte

	blob   blob
	inner  *Scanner // for what is decoded
	outer  *Scanner
	by     number // the rule by which an inner text counts
	listen *[]uint64
}

// watch is what the next word has to be looked at for, beside phrases.
type watch uint8

const (
	watchMail    watch = 1 << iota // it is behind an @
	watchSpelled                   // it is behind a letter that stands alone
)

// NewScanner returns a scanner for one body; [Scanner.Reset] makes it ready for the
// next.
func NewScanner(set *Set) *Scanner {
	s := &Scanner{set: set, words: known()}
	s.last = make([]int32, s.words.count)
	if set.phrases != nil {
		s.lastOwn = make([]int32, set.phrases.count)
	}
	s.position = maxPosition
	s.Reset()
	return s
}

// Reset forgets the last body. Memory is kept.
func (s *Scanner) Reset() {
	s.forget()
	s.best, s.ever = Verdict{}, 0
	s.mixed, s.hidden = 0, 0
	s.count = 0
	for i := range s.held {
		s.held[i] = never
	}
	if s.inner != nil {
		s.inner.Reset()
	}
}

// forget ends a text, whatever was begun in it.
func (s *Scanner) forget() {
	if s.position += textGap; s.position >= maxPosition {
		s.renew()
	}
	s.negated, s.opens = never, never
	s.beginWord()
	s.punctuation, s.separators, s.spaced, s.previous, s.watch = '\n', 2, false, 0, 0
	s.spelled, s.nspelled, s.link, s.url, s.open = 0, 0, 0, url{}, 0
	s.npending, s.nescape, s.unescaping, s.lastRune, s.atStart = 0, 0, false, 0, true
	s.rightToLeft, s.embedded, s.within, s.selectors, s.flag = false, false, 0, 0, 0
	s.carried = s.carried[:0]
	s.blob.begin()
}

// renew begins positions anew.
func (s *Scanner) renew() {
	s.position, s.negated, s.opens, s.hot = 0, never, never, never
	for i := range s.last {
		s.last[i] = never
	}
	for i := range s.lastOwn {
		s.lastOwn[i] = never
	}
	for i := range s.held {
		s.held[i] = never
	}
	s.count = 0
}

// Verdict is the outcome for all that was written since the last Reset. The last text
// must have ended.
func (s *Scanner) Verdict() Verdict { return s.best }

// Ever is all rules that held, near each other or not.
func (s *Scanner) Ever() Verdict { return Verdict{Score: s.best.Score, rules: s.ever} }

// Write reads the next piece of a text. It keeps no reference to it.
func (s *Scanner) Write(text []byte) {
	if len(text) > 0 {
		if s.position >= maxPosition {
			s.renew()
		}
		s.write(text)
		s.atStart = false
	}
}

func (s *Scanner) write(b []byte) {
	i := 0
	for i < len(b) {
		if s.npending|s.nescape != 0 || s.blob.on {
			i += s.slow(b[i:])
			continue
		}
		if s.n == 0 && s.watch == 0 && s.url.state == 0 && s.open == 0 && s.nspelled == 0 && s.lastOwn == nil {
			if i += s.skip(b[i:]); i == len(b) {
				return
			}
		}
		c := b[i]
		if byteKind[c] == 0 {
			if c < 0x80 {
				if s.n > 0 && !joining[c] {
					s.endWord()
				}
				if c == ' ' && s.url.state == 0 {
					s.separators++
					s.previous, s.spaced = ' ', true
					i++
					continue
				}
			}
			i += s.slow(b[i:])
			continue
		}
		// A word, or more of one.
		start, h, all := i, s.h, s.all
		for ; i < len(b); i++ {
			k := byteKind[b[i]]
			if k == 0 {
				break
			}
			h = next(h, k)
			all &= k
		}
		n := s.n + i - start
		if s.inside && s.n > 0 {
			s.between()
		}
		s.h, s.all, s.n = h, all, n
		s.previous = b[i-1]
		if s.nraw < 0 {
			continue
		}
		s.keep(b[start:i])
		if n >= minBlob && !s.blob.off {
			i -= n - minBlob
			s.blob.open(s.raw[:])
			s.beginWord()
		}
	}
}

// quiet are the characters between words that do nothing but end them, while no mark is
// open and no address is read.
var quiet = func() (t [256]bool) {
	for _, c := range []byte(",.;:!?\n\"-") {
		t[c] = true
	}
	return t
}()

// skip reads words that mean nothing beside phrases, and what stands between them, while
// nothing waits for a word: most of most texts. It returns how many bytes it has read, and
// leaves a word that is more than that, or that may go on in the next piece.
func (s *Scanner) skip(b []byte) int {
	table, shift := s.words.table, s.words.shift&63
	mask := uint64(len(table) - 1)
	words, i := int32(0), 0
	for i < len(b) {
		if c := b[i]; c == ' ' {
			s.separators++
			s.spaced = true
			i++
			continue
		} else if quiet[c] {
			if c == '.' || c == '!' || c == '?' {
				s.position++
			}
			s.punctuation, s.spaced = s.punctuation<<8|uint64(c), false
			s.separators++
			i++
			continue
		}
		start, h, all := i, uint64(0), byte(0xFF)
		for ; i < len(b); i++ {
			k := byteKind[b[i]]
			if k == 0 {
				break
			}
			h = next(h, k)
			all &= k
		}
		if n := i - start; i == len(b) || n < 2 || n >= minBlob || all&0x40 == 0 || joining[b[i]] {
			i = start
			break
		}
		at := h * 0x9E3779B97F4A7C15 >> shift & mask
		for table[at].steps != 0 && table[at].hash != h {
			at = (at + 1) & mask
		}
		if slot := &table[at]; slot.steps != 0 && (!slot.late || s.position+words < s.hot) {
			steps := s.words.steps[slot.steps-1]
			if steps[0].state >= firstMeaning {
				i = start
				break
			}
			s.position += words + 1
			s.count += words + 1
			words = 0
			s.advance(steps, s.last)
		} else {
			words++
		}
		s.punctuation, s.separators = 0, 0
	}
	if i > 0 {
		s.position += words
		s.count += words
		s.previous = b[i-1]
	}
	return i
}

// keep keeps what there is room for of a word.
func (s *Scanner) keep(b []byte) { s.nraw += copy(s.raw[s.nraw:], b) }

// between counts what does not show between two letters.
func (s *Scanner) between() {
	s.inside = false
	if s.within++; s.within == hiddenInside {
		s.hit(invisible)
	}
}

// slow reads what is not an ordinary letter, and returns how many bytes that were.
func (s *Scanner) slow(b []byte) int {
	switch {
	case s.blob.on:
		return s.blob.take(s, b)
	case s.nescape > 0:
		return s.readEscape(b)
	case s.npending > 0 && s.bytewise && (b[0] == '%' || b[0] == '\\'):
		s.escape[0], s.nescape = b[0], 1
		return 1
	case s.npending > 0 || b[0] >= 0x80:
		return s.readRune(b)
	}
	switch c := b[0]; c {
	case '%', '\\', '&':
		if !s.unescaping {
			s.escape[0], s.nescape = c, 1
			return 1
		}
		s.separate(c)
	case '\'':
		if s.n == 0 {
			s.separate(c)
		}
	default:
		s.separate(c)
	}
	return 1
}

// readRune reads a character beyond ASCII, or the next byte of one.
func (s *Scanner) readRune(b []byte) int {
	if s.npending == 0 {
		if s.previous != 0xFF {
			s.lastRune = rune(s.previous)
		}
		s.bytewise = s.unescaping
		if utf8.FullRune(b) {
			r, n := utf8.DecodeRune(b)
			s.rune(r, n)
			return n
		}
	}
	n := 0
	for ; n < len(b) && s.npending < len(s.pending); n++ {
		if s.npending > 0 && b[n]&0xC0 != 0x80 {
			break
		}
		s.pending[s.npending] = b[n]
		s.npending++
		if utf8.FullRune(s.pending[:s.npending]) {
			n++
			break
		}
	}
	if p := s.pending[:s.npending]; n < len(b) || utf8.FullRune(p) {
		s.flushRune()
	}
	return n
}

// flushRune takes what there is of a character.
func (s *Scanner) flushRune() {
	p := s.pending[:s.npending]
	s.npending = 0
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		s.rune(r, n)
		p = p[n:]
	}
}

// rune takes a character beyond ASCII that takes n bytes.
func (s *Scanner) rune(r rune, n int) {
	kind := kindOf(r)
	if r == utf8.RuneError && n == 1 {
		kind = kindSeparator
	}
	switch {
	case kind == kindHidden:
		s.hide(r)
	case kind == kindMark:
	case kind == kindDropped:
		if s.n == 0 {
			s.separate('\'')
		}
	case kind == kindSeparator:
		if s.n > 0 {
			s.endWord()
		}
		s.separate(0xFE)
	case kind == kindOther:
		s.rightToLeft = s.rightToLeft || rightToLeft(r)
		s.letter(0x7F)
	case kind >= foldFirst && int(kind) <= foldLast:
		for _, c := range []byte(foldSeveral[kind-foldFirst]) {
			s.letter(c)
		}
	default:
		if kind&foldAlike != 0 {
			s.alike++
		}
		s.letter(kind &^ foldAlike)
	}
	s.lastRune, s.previous = r, 0xFF
}

// letter adds a letter that does not stand there as it is.
func (s *Scanner) letter(c byte) {
	if s.inside && s.n > 0 {
		s.between()
	}
	s.h = next(s.h, c)
	s.all &= c
	s.n++
	s.folded++
	s.nraw = -1
	s.decoded = s.decoded || s.unescaping
}

func (s *Scanner) beginWord() {
	s.h, s.n, s.all, s.nraw, s.alike, s.folded, s.decoded, s.inside = 0, 0, 0xFF, 0, 0, 0, false, false
}

// separate takes a character that is in no word.
func (s *Scanner) separate(c byte) {
	if s.n > 0 {
		s.endWord()
	}
	before := s.previous
	s.separators++
	s.previous = c
	switch c {
	case ' ', '\t', '\r':
		s.spaced = true
		s.endURL()
		return
	case '\n':
		s.endURL()
	case '.', '!', '?':
		s.position++
	}
	s.punctuation, s.spaced = s.punctuation<<8|uint64(c), false
	if s.open != 0 {
		s.closeMark(c)
	}
	s.follow(c, before)
}

// End ends a text.
func (s *Scanner) End() {
	if s.blob.on {
		s.blob.close(s)
	}
	for s.nescape > 0 {
		s.flushEscape()
	}
	if s.npending > 0 {
		s.flushRune()
	}
	if s.n > 0 {
		s.endWord()
	}
	s.endSpelled()
	s.endURL()
	if s.embedded && !s.rightToLeft {
		s.hit(bidi)
	}
	if len(s.carried) > 0 {
		s.rescan(s.carried, smuggled, true)
	}
	s.forget()
}

// hit says that a rule holds.
func (s *Scanner) hit(r number) {
	if s.outer != nil {
		s.outer.hit(r)
		s.outer.hit(s.by)
		return
	}
	if s.set.weights[r] == 0 {
		return
	}
	s.ever |= 1 << r
	s.held[r] = s.count
	v := Verdict{}
	for i, at := range s.held {
		if s.count-at <= window {
			v.Score += int(s.set.weights[i])
			v.rules |= 1 << i
		}
	}
	if v.Score > s.best.Score {
		s.best = v
	}
}

// rescan reads what was hidden or encoded. Last says that nothing of it follows.
func (s *Scanner) rescan(text []byte, by number, last bool) {
	if s.outer != nil {
		return // once
	}
	if s.inner == nil {
		s.inner = NewScanner(s.set)
		s.inner.outer = s
		s.inner.blob.off = true
	}
	s.inner.by = by
	s.inner.Write(text)
	if last {
		s.inner.End()
	}
}
