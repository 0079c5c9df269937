package pii

// ipv4 looks for a dotted address: exactly four groups, each from 0 to 255.
func ipv4(s *Scanner, b []byte, g *digitGroups) candidate {
	if g.n < 4 || !g.joined(0, 3, '.') || g.n > 4 && g.sep(3) == '.' {
		return candidate{}
	}
	at := 0
	small := true
	for k := range 4 {
		n := g.size(k)
		v := 0
		for _, d := range g.digits()[at:min(at+n, maxDigits)] {
			v = v*10 + int(d)
		}
		if n > 3 || v > 255 || n > 1 && g.digits()[at] == 0 {
			return candidate{}
		}
		small = small && n == 1
		at += n
	}
	start, end := g.start(0), g.end(3)
	if !rightBounded(b, end) {
		return candidate{}
	}
	if start > 1 && b[start-1] == '/' && kind[b[start-2]]&isAlnum != 0 {
		return candidate{} // a product's version, as in a user agent: Chrome/120.0.0.0
	}
	score := float32(0.8)
	if small && !(g.digits()[0] == 1 && g.digits()[1] == 1 || g.digits()[0] == 8 && g.digits()[1] == 8) {
		score = 0.55
	}
	return candidate{IPAddress, start, prefixLength(b, end, 32), s.adjust(b, start, IPAddress, score)}
}

// prefixLength returns the end of an address with the length of its prefix, as in /24
// (RFC 4632, section 3.1), or end when there is none.
func prefixLength(b []byte, end, most int) int {
	if end+1 >= len(b) || b[end] != '/' || kind[b[end+1]]&isDigit == 0 {
		return end
	}
	n, j := 0, end+1
	for j < len(b) && j < end+5 && kind[b[j]]&isDigit != 0 {
		n = n*10 + int(b[j]-'0')
		j++
	}
	if n > most || !rightBounded(b, j) || j < len(b) && (b[j] == '/' || b[j] == '.' && j+1 < len(b) && word(b[j+1])) {
		return end
	}
	return j
}

// ipv6 looks at the ':' at b[i], the first of an address (RFC 4291, section 2.2).
func (s *Scanner) ipv6(b []byte, i int, final bool) (candidate, verdict) {
	start := i
	for start > 0 && i-start < 5 && kind[b[start-1]]&isHex != 0 {
		start--
	}
	if i-start > 4 {
		return candidate{}, none
	}
	if i+1 == len(b) {
		if final {
			return candidate{}, none
		}
		return candidate{start: start}, more
	}
	if start == i && b[i+1] != ':' || b[i+1] != ':' && kind[b[i+1]]&isHex == 0 {
		return candidate{}, none
	}
	if start > 0 {
		if p := b[start-1]; word(p) && !escaped(b, start) || p == ':' || p == '.' && start > 1 && word(b[start-2]) {
			return candidate{}, none
		}
	}
	if c, v := s.mac(b, i, final); v != none {
		return c, v
	}
	p := ipv6{s: s, b: b, final: final}
	end, v := p.parse(start)
	s.work += p.read
	if v != found {
		return candidate{start: start}, v
	}
	score := p.score(start)
	if score == 0 {
		return candidate{}, none
	}
	score = s.adjust(b, start, IPAddress, score)
	if score < Threshold {
		return candidate{}, none
	}
	if !final && len(b)-end < maxZone+8 {
		return candidate{start: start}, more
	}
	return candidate{IPAddress, start, prefixLength(b, zone(b, end), 128), score}, found
}

// maxZone is the longest name of a zone.
const maxZone = 16

// zone returns the end of an address with its zone, as in %eth0 (RFC 4007, section
// 11), or end when there is none.
func zone(b []byte, end int) int {
	if end+1 >= len(b) || b[end] != '%' {
		return end
	}
	j := end + 1
	for j < len(b) && j-end <= maxZone && (word(b[j]) || b[j] == '-' || b[j] == '.' && j+1 < len(b) && word(b[j+1])) {
		j++
	}
	if j == end+1 || j-end > maxZone {
		return end
	}
	return j
}

type ipv6 struct {
	s          *Scanner
	b          []byte
	final      bool
	groups     int  // of 16 bits, an embedded IPv4 address being two
	compressed bool // has ::
	longest    int  // digits in the longest group
	digits     int  // decimal digits in all groups
	twos       int  // groups of exactly two
	read       int  // bytes
}

// parse reads an address at b[start] and returns its end.
func (p *ipv6) parse(start int) (int, verdict) {
	b := p.b
	j := start
	end := start
	for {
		k := j
		for k < len(b) && k-j < 5 && kind[b[k]]&isHex != 0 {
			p.digits += int(kind[b[k]] & isDigit)
			k++
			p.read++
		}
		if k == len(b) && !p.final {
			return 0, more
		}
		n := k - j
		if n > 4 {
			return 0, none
		}
		if n > 0 {
			if k < len(b) && b[k] == '.' && n <= 3 {
				if e, v := p.embedded(j); v == more {
					return 0, more
				} else if v == found {
					p.groups += 2
					p.longest = 4
					end = e
					break
				}
			}
			p.groups++
			p.longest = max(p.longest, n)
			if n == 2 {
				p.twos++
			}
			end = k
		}
		if k == len(b) || b[k] != ':' {
			break
		}
		if k+1 == len(b) {
			if !p.final {
				return 0, more
			}
			break
		}
		if b[k+1] == ':' {
			if p.compressed {
				return 0, none
			}
			p.compressed = true
			end = k + 2
			j = k + 2
			if j == len(b) && !p.final {
				return 0, more
			}
			if j < len(b) && b[j] == ':' {
				return 0, none
			}
			if p.groups > 7 {
				return 0, none
			}
			continue
		}
		if kind[b[k+1]]&isHex == 0 || n == 0 {
			break
		}
		if p.groups > 8 {
			return 0, none
		}
		j = k + 1
	}
	if end < len(b) && (word(b[end]) || b[end] == ':' && end+1 < len(b) && word(b[end+1])) {
		return 0, none
	}
	if !p.final && end+1 >= len(b) {
		return 0, more
	}
	if p.compressed && p.groups > 7 || !p.compressed && p.groups != 8 {
		return 0, none
	}
	return end, found
}

// embedded reads a dotted IPv4 address at b[i], the end of an address.
func (p *ipv6) embedded(i int) (int, verdict) {
	var g digitGroups
	if kind[p.b[i]]&isDigit == 0 {
		return 0, none
	}
	switch v, _ := g.read(p.b, i, p.final); {
	case v != found:
		return 0, v
	case !p.final && len(p.b)-g.end(g.n-1) < 4:
		return 0, more
	}
	if c := ipv4(p.s, p.b, &g); c.score > 0 {
		return c.end, found
	}
	return 0, none
}

// score says how much what was parsed looks like an address rather than source code
// (std::b, x[::2]), a time or a hardware address.
func (p *ipv6) score(start int) float32 {
	switch {
	case !p.compressed && p.twos == 8: // EUI-64
		return 0
	case !p.compressed:
		return 0.9
	case p.digits == 0 && p.groups < 3:
		return 0
	case p.groups == 1 && p.digits == p.longest && p.longest > 1 && p.longest < 4 && p.b[start] == ':':
		return 0.2 // ::123
	case p.longest >= 3:
		return 0.85
	case p.groups > 2:
		return 0.7
	case p.groups == 1 && p.digits == 1 && p.longest == 1 && p.loopback(start):
		return 0.6
	}
	return 0.2
}

// loopback says whether ::1 is at b[start], other than as a slice's bounds.
func (p *ipv6) loopback(start int) bool {
	b := p.b
	if start+3 > len(b) || string(b[start:start+3]) != "::1" {
		return false
	}
	return start < 2 || b[start-1] != '[' || !word(b[start-2]) && b[start-2] != ')' && b[start-2] != ']'
}
