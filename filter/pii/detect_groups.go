package pii

const (
	maxGroups = 8
	maxDigits = 20 // one more than the longest card number has

	groupRoom = 16 // a power of two, more than maxGroups
	digitRoom = 8 * maxDigits
)

// digitGroups is what a run of digit groups joined by single separators, as cards, phones
// and addresses are written, has from one of its groups on: at most maxGroups groups with
// at most maxDigits digits. A run is read once, from left to right: that of the group
// behind the first goes on from it.
type digitGroups struct {
	n     int // groups
	total int // digits
	// sizes has four bits for the size of each group, from the highest on, 15 standing
	// for more too; seps has eight for what stands behind each but the last.
	sizes, seps uint64

	begin  int  // where the run begins
	known  int  // groups that were read, of which n are in
	first  int  // where the first of them is in places
	ended  bool // no group follows those that were read
	at     int  // where the first digit is in digits
	filled int  // where the next goes
	places [groupRoom]place
	room   [digitRoom]byte // the values of the digits
}

// place is where a group of digits stands, and what stands between it and the next. One
// of more digits than maxDigits is read no further.
type place struct {
	start, end int
	sep        byte
}

func (g *digitGroups) place(k int) *place { return &g.places[(g.first+k)&(groupRoom-1)] }

func (g *digitGroups) start(k int) int { return g.place(k).start }

func (g *digitGroups) end(k int) int { return g.place(k).end }

// sep returns what stands between group k and the next, 0 behind the last.
func (g *digitGroups) sep(k int) byte { return byte(g.seps >> ((56 - 8*k) & 63)) }

// size returns how many digits group k has.
func (g *digitGroups) size(k int) int {
	if n := int(g.sizes >> ((60 - 4*k) & 63) & 15); n < 15 {
		return n
	}
	return g.width(k)
}

// width is the size of a group that may not be in.
func (g *digitGroups) width(k int) int { p := g.place(k); return p.end - p.start }

// digits returns the values of the digits, of which total are those of the groups.
func (g *digitGroups) digits() *[maxDigits]byte { return (*[maxDigits]byte)(g.room[g.at:]) }

// joined says whether the groups from k to m are all joined by c.
func (g *digitGroups) joined(k, m int, c byte) bool {
	all := uint64(c) * 0x0101010101010101
	return m <= k || (g.seps<<(8*k)^all)>>(64-8*(m-k)) == 0
}

// shape packs the sizes of groups k to m-1 into a number, four bits each: 3-3-4 is 0x334.
func (g *digitGroups) shape(k, m int) int {
	return int(g.sizes << (4 * k & 63) >> ((64 - 4*(m-k)) & 63))
}

// clear forgets what was read.
func (g *digitGroups) clear() { g.n, g.known = 0, 0 }

// read reads the groups that begin at b[i], a digit, and says how many bytes it has looked
// at. It returns none when there are too many digits in the first.
func (g *digitGroups) read(b []byte, i int, final bool) (v verdict, looked int) {
	for g.known > 0 && g.start(0) != i {
		g.shift()
	}
	if g.known == 0 {
		g.n, g.total, g.sizes, g.seps = 0, 0, 0, 0
		g.begin, g.first, g.at, g.filled, g.ended = i, 0, 0, 0, false
		if !g.group(b, i, final) {
			g.clear()
			return more, 0
		}
		looked = g.width(0)
	}
	for g.n < maxGroups {
		if g.n == g.known {
			if !g.ended && !g.next(b, final) {
				g.clear()
				return more, looked
			}
			if g.ended {
				break
			}
			looked += 1 + g.width(g.n)
		}
		size := g.width(g.n)
		if g.total+size > maxDigits {
			break
		}
		if g.n > 0 {
			g.seps |= uint64(g.place(g.n-1).sep) << (64 - 8*g.n)
		}
		g.sizes |= uint64(min(size, 15)) << (60 - 4*g.n)
		g.total += size
		g.n++
	}
	if g.n == 0 {
		return none, looked
	}
	return found, looked
}

// shift leaves the first group behind.
func (g *digitGroups) shift() {
	size := g.width(0)
	g.at += size
	g.first++
	g.known--
	if g.n > 0 {
		g.n--
		g.total -= size
		g.sizes <<= 4
		g.seps <<= 8
	}
}

// group reads the group that begins at b[i]. It returns false when b ends within it and
// more may follow.
func (g *digitGroups) group(b []byte, i int, final bool) bool {
	if g.filled+maxDigits >= digitRoom {
		g.filled = copy(g.room[:], g.room[g.at:g.filled])
		g.at = 0
	}
	room := g.room[g.filled : g.filled+maxDigits+1]
	j := i
	for k := range room {
		if j == len(b) || kind[b[j]]&isDigit == 0 {
			break
		}
		room[k] = b[j] - '0'
		j++
	}
	g.filled += j - i
	*g.place(g.known) = place{start: i, end: j}
	g.known++
	return j < len(b) || final || j-i > maxDigits
}

// next reads the group behind those that there are. Where there is none the run has
// ended. It returns false when that cannot be told before more of the text is there.
func (g *digitGroups) next(b []byte, final bool) bool {
	last := g.place(g.known - 1)
	j := last.end
	if j == len(b) {
		g.ended = true
		return true
	}
	c := b[j]
	i := j + 1
	if i >= len(b) || kind[b[i]]&isDigit == 0 || c != ' ' && c != '-' && c != '.' {
		var width int
		c, width = separator(b, j)
		i = j + width
		switch {
		case width == 0:
			g.ended = true
			return final || len(b)-j >= 4 || b[j] < 0xC2 // perhaps the beginning of a longer one
		case i >= len(b):
			g.ended = true
			return final
		case kind[b[i]]&isDigit == 0:
			g.ended = true
			return true
		}
	}
	last.sep = c
	return g.group(b, i, final)
}

// separator returns what stands at b[j] between groups of digits, and its width in
// bytes: one of space, '-', '.', '/', '(' and ')', the last two with a space,
// hyphen or dot beside them. No-break spaces and typographic hyphens count as plain ones.
func separator(b []byte, j int) (c byte, width int) {
	switch c = b[j]; c {
	case ' ', '-':
		if j+1 < len(b) && b[j+1] == '(' {
			return '(', 2
		}
		return c, 1
	case '.', '/', '(':
		return c, 1
	case ')':
		if j+1 < len(b) && (b[j+1] == ' ' || b[j+1] == '-' || b[j+1] == '.') {
			return ')', 2
		}
		return ')', 1
	case 0xC2:
		if j+1 < len(b) && b[j+1] == 0xA0 {
			return ' ', 2
		}
	case 0xE2:
		if j+2 < len(b) && b[j+1] == 0x80 {
			switch b[j+2] {
			case 0xAF:
				return ' ', 3
			case 0x90, 0x91, 0x93:
				return '-', 3
			}
		}
	}
	return 0, 0
}
