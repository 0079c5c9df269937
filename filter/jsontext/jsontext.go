// Package jsontext writes strings of JSON that look in a terminal, a log and a web page as
// they are: whatever a string holds, what is written is valid JSON (RFC 8259, section 7) in
// valid UTF-8, on one line, without characters that control how it is shown. It is pure.
package jsontext

import "unicode/utf8"

// Append appends s as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD;
// control characters, those that Unicode knows beyond ASCII included, line separators, and
// marks that change the direction of text are escaped.
func Append(dst []byte, s string) []byte { return write(dst, s, false) }

// AppendHTML is Append for what someone may paste into a page: what could begin or end an
// element is escaped, too.
func AppendHTML(dst []byte, s string) []byte { return write(dst, s, true) }

func write(dst []byte, s string, html bool) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c < 0x20 || c == 0x7f || html && (c == '<' || c == '>' || c == '&'):
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			default:
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case controls(r):
			dst = append(dst, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

// controls reports the C1 controls, line and paragraph separators, and the marks that
// change the direction of text (Unicode Annex 9).
func controls(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r == 0x200e || r == 0x200f || r == 0x061c || r == 0xfeff
}
