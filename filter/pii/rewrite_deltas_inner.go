package pii

import "unicode/utf8"

// inner sees through what a text that comes in fragments is in: JSON, as the arguments
// of a call are, whose escapes may be split by fragments too.
type inner struct {
	nested
	units  []innerUnit // what nested.pend consists of
	quotes []int       // where strings begin and end, from what was searched on
	spare  window
}

// innerUnit is a byte of a fragment that may be of an escape.
type innerUnit struct {
	of   *fragment
	text byte
	raw  int // bytes of the data that it takes
}

func (n *inner) begin() {
	n.nested.begin()
	clear(n.units)
	n.units, n.quotes = n.units[:0], n.quotes[:0]
}

// waitsFor says whether the fragment has the beginning of an escape.
func (n *inner) waitsFor(f *fragment) bool { return len(n.units) > 0 && n.units[0].of == f }

// forget leaves behind what is about the text before a place.
func (n *inner) forget(before int) {
	k := 0
	for k < len(n.quotes) && n.quotes[k] < before {
		k++
	}
	n.quotes = n.quotes[:copy(n.quotes, n.quotes[k:])]
}

// read appends the text of a fragment to that of its channel, with the escapes of inner
// JSON decoded and characters folded.
func (d *deltas) read(c *channel, f *fragment) {
	n := &c.inner
	if !n.decided && c.key != 0 {
		n.decide(f.win.buf)
	}
	f.at = c.base + len(c.buf)
	if !n.on && nextFold(f.win.buf, 0) == len(f.win.buf) {
		c.buf = append(c.buf, f.win.buf...)
		return
	}
	n.spare, f.win = f.win, n.spare
	text := &n.spare
	f.win.begin(nil, text.segs[0].raw)
	for k, s := range text.segs {
		end, raw := len(text.buf), text.end
		if k+1 < len(text.segs) {
			end, raw = text.segs[k+1].at, text.segs[k+1].raw
		}
		part := text.buf[s.at:end]
		switch {
		case !n.on:
			c.put(f, part, raw-s.raw)
		case s.escape:
			c.unit(f, part, raw-s.raw)
		default:
			for len(n.units) > 0 && len(part) > 0 {
				c.unit(f, part[:1], 1)
				part = part[1:]
			}
			c.put(f, part, len(part))
		}
	}
}

// unit takes a byte of inner JSON, or what an escape of the outer decodes to.
func (c *channel) unit(f *fragment, text []byte, raw int) {
	n := &c.inner
	switch n.next(text[0]) {
	case escapeNone:
		if text[0] == '"' {
			n.str = !n.str
			n.quotes = append(n.quotes, c.base+len(c.buf))
		}
		c.put(f, text, raw)
	case escapeMore:
		n.units = append(n.units, innerUnit{f, text[0], raw})
	case escapeDone:
		n.units = append(n.units, innerUnit{f, text[0], raw})
		var room [utf8.UTFMax]byte
		decoded := utf8.AppendRune(room[:0], n.code)
		for k := 0; k < len(n.units); {
			// All of it stands in the fragment in which the escape begins.
			of, raw := n.units[k].of, 0
			for k < len(n.units) && n.units[k].of == of {
				raw += n.units[k].raw
				k++
			}
			c.put(of, decoded, raw)
			decoded = nil
		}
		n.done()
	default:
		c.flush()
		c.unit(f, text, raw)
	}
}

func (n *inner) done() {
	clear(n.units)
	n.units, n.pend, n.slashes = n.units[:0], n.pend[:0], 0
}

// flush takes what turned out to be no escape, as it stands.
func (c *channel) flush() {
	n := &c.inner
	for k := range n.units {
		u := &n.units[k]
		c.put(u.of, []byte{u.text}, u.raw)
	}
	n.done()
}

// put appends text that so many bytes of the fragment's data stand for.
func (c *channel) put(f *fragment, text []byte, raw int) {
	if len(f.win.buf) == 0 {
		f.at = c.base + len(c.buf)
	}
	if len(text) != raw {
		if i := nextFold(text, 0); i < len(text) {
			if folded, shows, width, v := fold(text, i); v == found && width == len(text) {
				text = text[:0]
				if shows {
					text = []byte{folded}
				}
			}
		}
		c.escape(f, text, raw)
		return
	}
	for i := 0; i < len(text); {
		k, folded, shows, width, v := i, byte(0), false, 0, none
		for k = nextFold(text, k); k < len(text); k = nextFold(text, k+1) {
			if folded, shows, width, v = fold(text, k); v == found {
				break
			}
		}
		if k > i {
			f.win.plain(text[i:k])
			c.buf = append(c.buf, text[i:k]...)
		}
		if k == len(text) {
			break
		}
		one := [1]byte{folded}
		if shows {
			c.escape(f, one[:], width)
		} else {
			c.escape(f, nil, width)
		}
		i = k + width
	}
}

func (c *channel) escape(f *fragment, text []byte, raw int) {
	if len(f.win.buf) == 0 {
		f.at = c.base + len(c.buf)
		if len(text) == 0 {
			f.lead += raw
		}
	}
	f.win.escape(text, raw)
	c.buf = append(c.buf, text...)
}

// bare reports whether a finding is a number of inner JSON, so that what stands for it
// has to become a string there.
func (c *channel) bare(found Finding) bool {
	n := &c.inner
	if !n.on || found.More || found.Continued {
		return false
	}
	inside := n.str
	for k := len(n.quotes) - 1; k >= 0 && n.quotes[k] >= c.base+found.Start; k-- {
		inside = !inside
	}
	return !inside && bareAt(c.buf, found)
}
