package content

import (
	"strings"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
)

const (
	// maxContentType is the length of a Content-Type with its parameters.
	maxContentType = 512
	// maxMediaType is the length of type and subtype (RFC 6838, section 4.2
	// recommends 64 each).
	maxMediaType = 129
)

// MediaType returns the type and subtype of a Content-Type (RFC 9110, section
// 8.3.1) in lower case. False means that it is absent, malformed, longer than
// 512 bytes, named more than once, or has a charset other than UTF-8 and
// US-ASCII: text in another encoding would be read as what it is not, so it
// counts as unknown.
func MediaType(contentType string) (string, bool) {
	if len(contentType) > maxContentType {
		return "", false
	}
	mediaType, params, _ := strings.Cut(contentType, ";")
	mediaType = trim(mediaType)
	if !validMediaType(mediaType) || !validParameters(params) {
		return "", false
	}
	return strings.ToLower(mediaType), true
}

func validMediaType(s string) bool {
	if len(s) > maxMediaType {
		return false
	}
	major, minor, found := strings.Cut(s, "/")
	return found && headers.IsToken(major) && headers.IsToken(minor)
}

// Boundary returns the boundary that the Content-Type of a multipart body names (RFC
// 2046, section 5.1.1), and false when it names none, several, or one that cannot be.
func Boundary(contentType string) (string, bool) {
	_, params, _ := strings.Cut(contentType, ";")
	boundary, ok := "", false
	for {
		params = strings.TrimLeft(params, " \t;")
		if params == "" {
			break
		}
		name, rest, _ := strings.Cut(params, "=")
		value, rest, found := cutValue(rest)
		if !found {
			return "", false
		}
		params = rest
		if strings.EqualFold(name, "boundary") {
			if ok {
				return "", false
			}
			boundary, ok = value, true
		}
	}
	if !ok || boundary == "" || len(boundary) > pii.MaxBoundary || boundary[len(boundary)-1] == ' ' {
		return "", false
	}
	for i := 0; i < len(boundary); i++ {
		c := boundary[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune("'()+_,-./:=? ", rune(c)) {
			return "", false
		}
	}
	return boundary, true
}

// PartFormat is the [pii.PartFormat] of multipart bodies.
func PartFormat(contentType string) (pii.Format, bool) {
	mediaType, known := MediaType(contentType)
	if !known {
		return 0, false
	}
	return Inspectable(mediaType)
}

// validParameters reads *( ";" OWS [ name "=" ( token / quoted-string ) ] )
// after the first semicolon, and refuses a charset that is not read.
func validParameters(s string) bool {
	charset := false
	for {
		s = trimLeft(s)
		if s == "" {
			return true
		}
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, rest, found := strings.Cut(s, "=")
		if !found || !headers.IsToken(name) {
			return false
		}
		value, rest, ok := cutValue(rest)
		if !ok {
			return false
		}
		if strings.EqualFold(name, "charset") {
			if charset || !readCharset(value) {
				return false
			}
			charset = true
		}
		s = trimLeft(rest)
		if s != "" && s[0] != ';' {
			return false
		}
	}
}

// cutValue takes a token, or the inside of a quoted-string with its escapes
// left as they are, off the front of s.
func cutValue(s string) (value, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	if s[0] != '"' {
		end := 0
		for end < len(s) && headers.IsToken(s[end:end+1]) {
			end++
		}
		return s[:end], s[end:], end > 0
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], s[i+1:], true
		case c == '\\':
			i++
			if i == len(s) || !textByte(s[i]) {
				return "", "", false
			}
		case !textByte(c):
			return "", "", false
		}
	}
	return "", "", false
}

func textByte(c byte) bool { return c >= 0x20 && c != 0x7f || c == '\t' }

// readCharset compares in ASCII: all characters beyond it that fold to a letter
// are longer than one byte.
func readCharset(s string) bool {
	for _, name := range [...]string{"utf-8", "utf8", "us-ascii"} {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

// Inspectable returns how a body of a media type, as [MediaType] returns it, is
// read, and false when it cannot be: its bytes are not text, or text of a
// grammar that could hide what it says.
func Inspectable(mediaType string) (pii.Format, bool) {
	switch mediaType {
	case "application/json", "text/json":
		return pii.JSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return pii.NDJSON, true
	case "application/x-www-form-urlencoded":
		return pii.Form, true
	case "text/event-stream":
		return pii.SSE, true
	case "multipart/form-data":
		return pii.Multipart, true
	}
	if strings.HasSuffix(mediaType, "+json") {
		return pii.JSON, true
	}
	if strings.HasPrefix(mediaType, "text/") {
		return pii.Text, true
	}
	return 0, false
}

// Accepts reports whether Types has the media type, which is as [MediaType]
// returns it. With no Types that is each one that is [Inspectable].
func (b *Body) Accepts(mediaType string) bool {
	if len(b.Types) == 0 {
		_, ok := Inspectable(mediaType)
		return ok
	}
	for _, pattern := range b.Types {
		if matches(pattern, mediaType) {
			return true
		}
	}
	return false
}

func matches(pattern, mediaType string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	switch {
	case !wild:
		return pattern == mediaType
	case pattern == "*/*":
		return true
	}
	return len(mediaType) > len(before)+len(after) && strings.HasPrefix(mediaType, before) && strings.HasSuffix(mediaType, after)
}

// validPattern takes type/subtype, type/*, type/*+suffix and */*, in lower case.
func validPattern(s string) bool {
	if s == "*/*" {
		return true
	}
	if !validMediaType(s) || strings.ToLower(s) != s {
		return false
	}
	major, minor, _ := strings.Cut(s, "/")
	if strings.Contains(major, "*") {
		return false
	}
	rest, wild := strings.CutPrefix(minor, "*")
	if wild && rest != "" && (rest[0] != '+' || len(rest) == 1) {
		return false
	}
	return !strings.Contains(rest, "*")
}

// Verdict is what a host does with a body.
type Verdict uint8

const (
	// Refuse the message: its body is of a type that may not pass.
	Refuse Verdict = iota
	// Inspect the body: check and rewrite it in the format that comes with it.
	Inspect
	// Pass the body as it is: it cannot be inspected, and the policy accepts
	// its type and asks nothing of it.
	Pass
)

// Decide says what is done with a body of that Content-Type. A body whose type
// is unknown or cannot be inspected passes only when the policy neither
// restricts the type nor asks to look inside ([Body.Inspects]), or when it lets such
// types pass ([Body.OtherTypes]). It does not apply to messages without a body.
func (b *Body) Decide(contentType string) (pii.Format, Verdict) {
	mediaType, known := MediaType(contentType)
	if len(b.Types) > 0 && (!known || !b.Accepts(mediaType)) {
		return 0, Refuse
	}
	if known {
		if format, ok := Inspectable(mediaType); ok {
			if _, ok := Boundary(contentType); !ok && format == pii.Multipart {
				return 0, Refuse
			}
			return format, Inspect
		}
	}
	if b.Inspects() && !b.OtherTypes {
		return 0, Refuse
	}
	return 0, Pass
}

// Plain reports whether a Content-Encoding (RFC 9110, section 8.4) leaves the
// body as it is: it is absent, or "identity" however often.
func Plain(contentEncoding string) bool {
	for contentEncoding != "" {
		var coding string
		coding, contentEncoding, _ = strings.Cut(contentEncoding, ",")
		if coding = trim(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

func trim(s string) string {
	s = trimLeft(s)
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func trimLeft(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}
