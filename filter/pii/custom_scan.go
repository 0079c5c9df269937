package pii

// customScore is the score of a value of the policy's own rules: whoever wrote a rule
// is sure of it.
const customScore = 0.99

// scanCustom is Scan with the policy's own rules: their values take the place of other
// findings that they overlap, but for secrets, and allowed values are no findings.
func (s *Scanner) scanCustom(dst []Finding, buf []byte, from int, final bool) (findings []Finding, safe int) {
	first, wasOpen := len(dst), s.open.growth != closed
	dst, safe = s.scan(dst, buf, from, final)
	begin := from
	if wasOpen && len(dst) > first && dst[first].Continued {
		begin = dst[first].End
	}
	limit := len(buf)
	if s.open.growth != closed {
		// The last finding goes on; nothing of it is another value.
		if len(dst) == first || dst[len(dst)-1].Continued {
			return dst, safe
		}
		limit = dst[len(dst)-1].Start
	}
	mid := len(dst)
	for i := begin; ; {
		i = s.Custom.next(buf[:limit], i)
		if i == limit {
			break
		}
		end, rule, v := s.Custom.match(buf, i, final)
		if v == more {
			safe = min(safe, i)
			break
		}
		if v == none {
			i++
			continue
		}
		if i >= safe {
			break // seen again with what follows
		}
		dst = append(dst, Finding{Entity: Custom, Start: i, End: end, Score: customScore, Rule: rule})
		i = end
	}
	// Nothing may overlap what is released.
	for again := true; again; {
		again = false
		for k := first; k < len(dst); k++ {
			if f := &dst[k]; f.Start < safe && f.End > safe && !f.Continued {
				safe, again = f.Start, true
			}
		}
	}
	if s.open.growth != closed && dst[mid-1].Start >= safe {
		s.open = openValue{}
	}
	dst = s.merge(dst, first, mid)
	return s.Custom.drop(dst, first, buf, safe), safe
}

// merge puts the findings dst[first:mid] and those of the rules, dst[mid:], in order.
// What a value of a rule displaces becomes part of it.
func (s *Scanner) merge(dst []Finding, first, mid int) []Finding {
	if mid == len(dst) {
		return dst
	}
	kept := dst[:first]
	s.others = append(s.others[:0], dst[first:mid]...)
	s.own = append(s.own[:0], dst[mid:]...)
	a, b := s.others, s.own
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].End <= b[0].Start:
			kept, a = append(kept, a[0]), a[1:]
		case len(a) == 0 || b[0].End <= a[0].Start:
			if last := len(kept) - 1; last >= first && kept[last].End > b[0].Start {
				kept[last].End = max(kept[last].End, b[0].End)
			} else {
				kept = append(kept, b[0])
			}
			b = b[1:]
		case a[0].Entity.Secret() || a[0].Continued:
			b = b[1:]
		default:
			b[0].Start, b[0].End = min(a[0].Start, b[0].Start), max(a[0].End, b[0].End)
			a = a[1:]
		}
	}
	return kept
}

// drop removes the findings dst[first:] that begin at safe or later, and those whose
// value the policy allows.
func (c *CustomRules) drop(dst []Finding, first int, buf []byte, safe int) []Finding {
	kept := dst[:first]
	for _, f := range dst[first:] {
		if f.Start >= safe && f.End > safe || !f.More && !f.Continued && c.allows(buf[f.Start:f.End]) {
			continue
		}
		kept = append(kept, f)
	}
	return kept
}
