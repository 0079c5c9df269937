package pii

// Context is how many bytes left of a position can influence what is found at
// it. A caller of Scanner.Scan keeps at least so many released bytes.
const Context = 64

// MaxHold bounds what Scanner.Scan holds back, in bytes.
const MaxHold = 4096

// maxLookBack is how far left of its trigger a value can begin, and one more byte
// to tell that it does not: an e-mail address's local part.
const maxLookBack = maxLocal + 1

// verdict is what a detector says of a place in the text.
type verdict uint8

const (
	none  verdict = iota // nothing here
	found                // a value
	more                 // not to be told before more of the text is there
)

// candidate is what a detector reports: a value, when found; when more is needed,
// only the start is set, to the first byte that the value may have.
type candidate struct {
	entity     Entity
	start, end int
	score      float32
}

// Scan appends what is found in text to dst, in the order of the text.
func Scan(dst []Finding, text []byte) []Finding {
	var s Scanner
	dst, _ = s.Scan(dst, text, 0, true)
	return dst
}

// Scanner finds values in a text that arrives in pieces. The zero value is ready
// for a text; Reset makes it ready for the next. It does not allocate.
type Scanner struct {
	// Custom are rules of the policy beside the entities, and allowed values; nil
	// for none. They are set before the first Scan of a text.
	Custom *CustomRules

	open   openValue
	groups digitGroups // room to work in
	words  nearby      // likewise
	values values      // likewise
	bodies [nestedRules]bodyRun
	// work is how many bytes the detectors have looked at, for the tests: it is
	// what bounds the time, whatever the text.
	work int

	own, others []Finding // room to put findings together
	// wait is how many bytes from on must be there before it is worth looking
	// again, so that a long hold is not looked at for every byte that arrives.
	wait int
}

// Reset forgets the text so far.
func (s *Scanner) Reset() { s.open, s.wait = openValue{}, 0 }

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
	if s.Custom == nil {
		return s.scan(dst, buf, from, final)
	}
	return s.scanCustom(dst, buf, from, final)
}

// scan is Scan without the policy's own rules.
func (s *Scanner) scan(dst []Finding, buf []byte, from int, final bool) (findings []Finding, safe int) {
	if !final && len(buf)-from < s.wait {
		return dst, from
	}
	s.wait = 0
	s.groups.clear()
	s.words.clear()
	s.values = values{}
	s.bodies = [nestedRules]bodyRun{}
	if s.open.growth != closed {
		end, done := s.open.extend(buf, from, final)
		if end > from || done {
			dst = append(dst, Finding{Entity: s.open.entity(), Start: from, End: end, Score: 1, More: !done, Continued: true})
		}
		if !done {
			return dst, end
		}
		s.open = openValue{}
		from = end
	}
	first := len(dst)
	i := from
	if i > 0 && buf[i-1] == '=' {
		i-- // a value behind it begins at from
	}
	safe = len(buf)
loop:
	for {
		i = nextPlace(buf, i)
		if i == len(buf) {
			break
		}
		c, v := s.detect(buf, i, final)
		switch v {
		case none:
			i++
			if c.end > i {
				i = c.end
			}
		case found:
			i++
			var ok bool
			if dst, ok = add(dst, first, c, from); !ok || c.score < certain {
				break
			}
			i = c.end
			g := growthOf(c)
			if g == closed {
				break
			}
			s.open.begin(g, buf, c)
			end, done := s.open.extend(buf, c.end, final)
			f := &dst[len(dst)-1]
			f.End, f.More = end, !done
			if !done {
				return dst, end
			}
			s.open = openValue{}
			i = end
		case more:
			safe = c.start
			break loop
		}
	}
	if final {
		return dst, len(buf)
	}
	safe = max(from, min(safe, lookBack(buf, i)))
	for k := len(dst); k > first && dst[k-1].End > safe; k-- {
		safe = min(safe, dst[k-1].Start)
		dst = dst[:k-1]
	}
	if hold := len(buf) - safe; hold >= 64 {
		s.wait = min(hold+hold/4, MaxHold)
	}
	return dst, safe
}

// detect asks the detectors whose trigger is at b[i].
func (s *Scanner) detect(b []byte, i int, final bool) (candidate, verdict) {
	switch trigger[b[i]] {
	case trDigit:
		return s.number(b, i, final)
	case trAt:
		return s.email(b, i, final)
	case trColon:
		if i+1 < len(b) && b[i+1] == '/' {
			return s.url(b, i, final)
		}
		return s.ipv6(b, i, final)
	case trUnderscore, trDot:
		return s.token(b, i, final)
	case trHyphen:
		return s.hyphen(b, i, final)
	case trEqual:
		return s.assigned(b, i, final)
	case trUpperA:
		if i+1 < len(b) && b[i+1] == 'I' {
			return s.google(b, i, final)
		}
		return detectAWS(b, i, final)
	default:
		return s.jwt(b, i, final)
	}
}

// lookBack returns where the earliest value can begin whose trigger is at p or later.
func lookBack(b []byte, p int) int {
	s := p
	for s > 0 && p-s < maxLookBack {
		c := b[s-1]
		if kind[c]&(isLocal|isValue) == 0 && (c < 0x80 || c > lastLatinLead || c == 0xC0) {
			break
		}
		s--
	}
	if s > 0 && b[s-1] == '(' {
		s--
		if s > 0 && b[s-1] == '+' {
			s--
		}
	}
	// What else can stand before the trigger: the month of a date, and the letters of
	// a number that is written in pairs.
	if m := monthBefore(b, s); m >= 0 {
		s = m
	} else if s > 2 && b[s-1] == ' ' && kind[b[s-2]]&kind[b[s-3]]&isUpper != 0 {
		s -= 3
	}
	return s
}

// add puts c into dst[first:] unless something there that overlaps it is better, and
// says whether it did. What c replaces and what began before c becomes part of it, so
// that nothing that was recognized stays behind in part, and so that a cut inside
// cannot bring back what lost.
func add(dst []Finding, first int, c candidate, from int) ([]Finding, bool) {
	if c.start < from {
		return dst, false
	}
	k := len(dst)
	start := c.start
	for k > first && dst[k-1].End > c.start {
		f := &dst[k-1]
		if f.Entity.Secret() || !better(c, *f) {
			return dst, false
		}
		start = min(start, f.Start)
		k--
	}
	return append(dst[:k], Finding{Entity: c.entity, Start: start, End: c.end, Score: c.score}), true
}

// better says whether c takes the place of f, which was found before: by score, then
// by length.
func better(c candidate, f Finding) bool {
	if c.score != f.Score {
		return c.score > f.Score
	}
	return c.end-c.start > f.End-f.Start
}
