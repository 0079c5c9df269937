package pii

// Context is how many bytes left of a position can influence what is found at
// it. A caller of Scanner.Scan keeps at least so many released bytes.
const Context = 64

// MaxHold bounds what Scanner.Scan holds back, in bytes.
const MaxHold = 4096

// Scan appends what is found in text to dst, in the order of the text.
func Scan(dst []Finding, text []byte) []Finding {
	var s Scanner
	dst, _ = s.Scan(dst, text, 0, true)
	return dst
}

// Scanner finds values in a text that arrives in pieces. The zero value is ready
// for a text; Reset makes it ready for the next. It does not allocate.
type Scanner struct{}

// Reset forgets the text so far.
func (s *Scanner) Reset() { *s = Scanner{} }

// Scan looks at buf, in which buf[:from] was released before and is there as left
// context only: the caller keeps at least Context bytes of it, or all there was.
//
// It appends the findings with Start >= from, and returns safe, from <= safe <=
// len(buf), such that no finding that is not yet reported begins before safe or
// overlaps buf[:safe]. The caller may release buf[:safe] after it has dealt with the
// findings, and presents buf[safe:] again, as from, with more bytes appended. When
// final, no more will come and safe is len(buf). len(buf)-safe never exceeds MaxHold.
//
// A value that may be longer than MaxHold (a private key, a long token) can be
// reported in parts: the first has More, and each following part is Continued and
// begins at from of its call; the last has no More and may be empty. A call that adds
// nothing to an open value reports nothing of it.
func (s *Scanner) Scan(dst []Finding, buf []byte, from int, final bool) (findings []Finding, safe int) {
	return dst, len(buf)
}
