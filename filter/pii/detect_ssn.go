package pii

// ssn looks for a social security number at the first group.
func ssn(s *Scanner, b []byte, g *digitGroups) candidate {
	var end int
	var score float32
	switch {
	case g.size(0) == 9:
		end, score = g.end(0), 0.2
	case g.n >= 3 && g.shape(0, 3) == 0x324 && g.sep(0) == g.sep(1) && g.sep(0) == '-':
		end, score = g.end(2), 0.75
	case g.n >= 3 && g.shape(0, 3) == 0x324 && g.sep(0) == g.sep(1) && g.sep(0) == ' ':
		end, score = g.end(2), 0.5
	default:
		return candidate{}
	}
	d := g.digits()
	switch {
	case d[0] == 9, d[0] == 0 && d[1] == 0 && d[2] == 0, d[0] == 6 && d[1] == 6 && d[2] == 6: // never an area
		return candidate{}
	case d[3] == 0 && d[4] == 0: // never a group
		return candidate{}
	case d[5] == 0 && d[6] == 0 && d[7] == 0 && d[8] == 0: // never a serial
		return candidate{}
	}
	if !rightBounded(b, end) {
		return candidate{}
	}
	return candidate{USSSN, g.start(0), end, s.adjust(b, g.start(0), USSSN, score)}
}
