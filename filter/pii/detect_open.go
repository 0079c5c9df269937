package pii

// growth says how an open value goes on.
type growth uint8

const (
	closed growth = iota
	openPEM
	openJWT
)

// openValue is a value that may be longer than what is held back: its beginning was
// found, and it goes on as far as its grammar does, reported in parts.
type openValue struct {
	growth growth
	inside bool // in a line of a key, of which enough was seen
	dots   int  // parts of a token that may still come
}

// growthOf says how a candidate goes on after its end, if it does.
func growthOf(c candidate) growth {
	switch {
	case c.entity == PrivateKey:
		return openPEM
	case c.entity == JWT && c.score == 1:
		return openJWT
	}
	return closed
}

// begin prepares v for what comes after c in b.
func (v *openValue) begin(f growth, b []byte, c candidate) {
	*v = openValue{growth: f}
	switch f {
	case openPEM:
		v.inside = kind[b[c.end-1]]&isB64 != 0
	case openJWT:
		v.dots = 4
		header := true
		for k := c.start; k < c.end; k++ {
			if b[k] == '.' {
				if header && object(b, k+1) {
					v.dots = 2
				}
				header = false
				v.dots--
			}
		}
	}
}

func (v *openValue) entity() Entity {
	if v.growth == openPEM {
		return PrivateKey
	}
	return JWT
}

// extend returns how far the value goes from b[i] on, and whether it ends there; if
// not, more text is needed to tell.
func (v *openValue) extend(b []byte, i int, final bool) (end int, done bool) {
	if v.growth == openJWT {
		return v.extendJWT(b, i, final)
	}
	p := pem{b: b, final: final}
	if !v.inside && i > 0 && b[i-1] == '-' {
		return i, true
	}
	for {
		if v.inside {
			i = p.run(i)
			if i == len(b) {
				return i, final
			}
			v.inside = false
		}
		end, verdict := p.line(i)
		switch {
		case verdict == none:
			return i, true
		case verdict == more:
			return i, false
		case p.ended:
			return end, true
		}
		i = end
		v.inside = true
	}
}

func (v *openValue) extendJWT(b []byte, i int, final bool) (end int, done bool) {
	for {
		for i < len(b) && kind[b[i]]&isB64URL != 0 {
			i++
		}
		switch {
		case i == len(b):
			return i, final
		case b[i] != '.' || v.dots == 0:
			return i, true
		case i+1 == len(b):
			return i, final
		case kind[b[i+1]]&isB64URL == 0:
			return i, true
		}
		v.dots--
		i++
	}
}
