package poison

// link is how far a link of Markdown, or an element of HTML, has been read.
type link uint8

const (
	linkText   link = iota + 1 // behind [
	imageText                  // behind ![
	linkClosed                 // behind ]
	imageClosed
	linkTarget // behind ](
	imageTarget
	element // in a tag that loads something
)

// url is an address that is being read.
type url struct {
	state  uint8 // 0 outside of one
	image  bool  // it is loaded when it is shown
	query  bool
	filled bool // it has a place for something
}

// mean acts on a word that means something beside its phrases.
func (s *Scanner) mean(what uint16, n int) {
	before := s.punctuation
	if s.spaced {
		before = 0 // what stands apart belongs to no mark
	}
	one, two := byte(before), uint16(before)
	switch what {
	case meansScheme:
		if s.url.state != 2 {
			s.url = url{state: 1}
		}
	case meansMark:
		if two == '<'<<8|'|' {
			s.hit(marker)
		}
		if (one == '<' || two == '<'<<8|'/') && (n == len("start") || n == len("end")) {
			s.open, s.opens = '_', s.position // of <start_of_turn> or <end_of_turn>
		}
	case meansInst:
		if n == len("inst") && (one == '[' || two == '['<<8|'/') ||
			n == len("sys") && (two == '<'<<8|'<' || before&0xFFFFFF == '<'<<16|'<'<<8|'/') {
			s.hit(marker)
		}
	case meansTurn:
		if one == '_' && s.position-s.opens == 2 {
			s.hit(marker)
		}
	case meansSystem:
		switch {
		case one == '<' || two == '<'<<8|'/':
			s.open, s.opens = '>', s.position
		case one == '[':
			s.hit(turn)
		case s.heading():
			s.open, s.opens = '#', s.position
		case s.lineStart():
			s.open, s.opens = ':', s.position
		}
	case meansSpeaker:
		if s.lineStart() {
			s.open, s.opens = ':', s.position
		}
	case meansOrder:
		if s.heading() {
			s.open, s.opens = '#', s.position
		}
	case meansElement:
		if one == '<' {
			s.link = element
		}
	}
}

// lineStart reports whether the word is the first of its line, but for emphasis.
func (s *Scanner) lineStart() bool {
	p := s.punctuation
	for p&0xFF == '*' || p&0xFF == '#' {
		p >>= 8
	}
	return p&0xFF == '\n'
}

// heading reports whether the word is the first of a heading of Markdown.
func (s *Scanner) heading() bool { return s.punctuation&0xFFFF == '#'<<8|'#' && s.lineStart() }

// closeMark takes the character behind the word of a mark.
func (s *Scanner) closeMark(c byte) {
	if c == '*' {
		return
	}
	open := s.open
	if open != '>' || c != '_' && c != '-' {
		s.open = 0
	}
	if s.position-s.opens > 2 {
		s.open = 0
		return
	}
	switch {
	case open == '>' && c == '>':
		s.hit(marker)
	case s.position != s.opens:
	case open == ':' && c == ':':
		s.hit(turn)
	case open == '#' && c == ':':
		s.hit(marker)
	}
}

// follow follows links and addresses.
func (s *Scanner) follow(c, before byte) {
	switch s.url.state {
	case 1:
		switch {
		case c == ':' && s.punctuation&0xFFFFFF == ':':
		case c == '/' && s.punctuation == ':'<<8|'/':
		case c == '/' && s.punctuation == ':'<<16|'/'<<8|'/':
			s.url.state, s.url.image = 2, s.link == imageTarget || s.link == element
			s.take(hashURL, 0)
		default:
			s.url.state = 0
		}
		return
	case 2:
		switch c {
		case '?', '=':
			s.url.query = true
		case '{', '$', '<', '[':
			s.url.filled = true
		case ')', '"', '\'', '`', '\n':
			s.endURL()
		}
	}
	switch c {
	case '[':
		s.link = linkText
		if before == '!' {
			s.link = imageText
		}
	case ']':
		if s.link == linkText || s.link == imageText {
			s.link += linkClosed - linkText
		}
	case '(':
		if before == ']' && (s.link == linkClosed || s.link == imageClosed) {
			s.link += linkTarget - linkClosed
		}
	case ')':
		if s.link < element {
			s.link = 0
		}
	case '>':
		s.link = 0
	case '@':
		if byteKind[before] != 0 {
			s.watch |= watchMail
		}
	}
}

// endURL ends an address.
func (s *Scanner) endURL() {
	if u := s.url; u.state == 2 && (u.query && (u.image || u.filled) || u.image && u.filled) {
		s.hit(image)
		if s.url.image && s.url.filled {
			s.hit(exfiltration)
		}
	}
	s.url = url{}
}
