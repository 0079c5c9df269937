package poison

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
)

const (
	// minBlob is how long a row of letters and digits is at least that may be encoded
	// text.
	minBlob = 24
	// maxBlob is how much of it is decoded at once. Base64 has whole groups in it.
	maxBlob = 4096
	// minLine is how long a line of it is that goes on in the next.
	minLine = 56
)

// blob is a row of characters that may be encoded text.
type blob struct {
	on    bool
	off   bool // none are read
	text  []byte
	line  int  // length of the current line
	inner bool // the scanner for what is decoded is in the middle of a text
}

func (b *blob) begin() { b.on, b.text, b.line, b.inner = false, b.text[:0], 0, false }

var blobByte = func() (t [256]bool) {
	for c := range t {
		t[c] = byteKind[c] != 0 || c == '+' || c == '/' || c == '-' || c == '_' || c == '='
	}
	return t
}()

// open begins a blob with a word.
func (b *blob) open(word []byte) {
	b.text = append(b.text[:0], word...)
	b.on, b.line = true, len(word)
}

// take reads on, up to the end of the blob.
func (b *blob) take(s *Scanner, text []byte) int {
	for i, c := range text {
		switch {
		case len(b.text) >= maxBlob:
			b.flush(s, false)
			return i
		case blobByte[c]:
			b.line++
		case (c == '\n' || c == '\r') && b.line >= minLine:
			b.line = 0
		case (c == '\n' || c == '\r') && b.line == 0 && len(b.text) > 0 && b.text[len(b.text)-1] == '\r':
		default:
			b.close(s)
			return i
		}
		b.text = append(b.text, c)
	}
	return len(text)
}

// close ends the blob.
func (b *blob) close(s *Scanner) {
	b.on = false
	b.flush(s, true)
}

// flush reads what the blob holds: decoded, or, when it is not text in code, as it is.
func (b *blob) flush(s *Scanner, last bool) {
	var room, codes [maxBlob]byte
	text, n := b.text, 0
	for _, c := range text {
		if c != '\n' && c != '\r' {
			codes[n] = c
			n++
		}
	}
	rest := 0 // bytes that belong to a group which has not ended
	if !last {
		for n%4 != 0 {
			n--
			rest++
			for c := text[len(text)-rest]; c == '\n' || c == '\r'; c = text[len(text)-rest] {
				rest++
			}
		}
	}
	least := minBlob - 2
	if b.inner {
		least = 2 // the end of what was text so far
	}
	if decoded, ok := decode(room[:], codes[:n], least); ok {
		if s.n > 0 {
			s.endWord()
		}
		s.rescan(decoded, encoded, last)
		b.inner = !last && s.outer == nil
		s.position++
		s.count++
		s.previous = text[len(text)-1]
		s.punctuation, s.separators, s.nspelled = 0, 0, 0
		b.text = append(text[:0], text[len(text)-rest:]...)
		return
	}
	if b.inner {
		s.inner.End()
		b.inner = false
	}
	on, off := b.on, b.off
	b.on, b.off = false, true
	s.write(text)
	b.off = off
	b.text = b.text[:0]
	if b.on = on; s.n > 0 {
		s.nraw = -1 // the word goes on, and is no beginning of another blob
	}
}

// decode decodes text in hexadecimal or base64 (RFC 4648) to dst. It is false for what is
// neither, or decodes to what is not text.
func decode(dst, text []byte, least int) ([]byte, bool) {
	text = bytes.TrimRight(text, "=")
	if len(text) < least {
		return nil, false
	}
	if n, err := hex.Decode(dst, text[:len(text)&^1]); err == nil && readable(dst[:n]) {
		return dst[:n], true
	}
	if len(text)%4 == 1 {
		text = text[:len(text)-1]
	}
	encoding := base64.RawStdEncoding
	if bytes.IndexByte(text, '-') >= 0 || bytes.IndexByte(text, '_') >= 0 {
		encoding = base64.RawURLEncoding
	}
	n, err := encoding.Decode(dst, text)
	if err != nil || !readable(dst[:n]) {
		return nil, false
	}
	return dst[:n], true
}

// readable reports whether bytes are text: without control characters, and most of it
// letters and spaces.
func readable(b []byte) bool {
	letters, wide := 0, 0
	for _, c := range b {
		switch {
		case c < ' ' && c != '\n' && c != '\r' && c != '\t', c == 0x7F:
			return false
		case c >= 0x80:
			wide++
		case byteKind[c] != 0 || c == ' ':
			letters++
		}
	}
	return wide*3 <= len(b) && (letters+wide)*10 >= len(b)*6
}
