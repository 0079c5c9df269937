package pii

// Limits of what comes in fragments.
const (
	// maxChannels is how many texts come in fragments at the same time.
	maxChannels = 16
	// maxFragments is how many fragments of an event are joined with those of
	// others. Further ones are searched each by itself.
	maxFragments = 64
)

// deltas joins the text that comes in fragments.
type deltas struct {
	out       *Rewriter
	finder    deltaFinder
	joinsText bool
	skips     []int // where the fragments of the event begin, in its data

	channels []*channel // in use, the longest unused first
	idle     []*channel
	free     []*fragment
	findings []Finding
}

// fragment is a part of a text, in the data of an event.
type fragment struct {
	key  uint64 // of its channel
	win  window // its text, and the way back to the data
	at   int    // where it begins in the text of the channel
	lead int    // bytes of the data, at its beginning, that stand for nothing in it
	done bool   // nothing more is to be found in it
	// edits are of the event's data, in its order.
	edits []edit
}

// channel is a text that comes in fragments.
type channel struct {
	key     uint64
	scanner Scanner
	buf     []byte // the text, from base on
	base    int
	from    int // buf[:from] was searched
	waiting []*fragment
	parts   gathered
	open    bool // a value has begun that may go on
	inner   inner
}

func (d *deltas) init(r *Rewriter) {
	d.out = r
	d.joinsText = d.finder.init(r.cfg.Deltas, r.cfg.Redact, r.cfg.MaxDepth)
}

func (d *deltas) reset() {
	for len(d.channels) > 0 {
		d.drop(d.channels[0])
	}
	d.skips = d.skips[:0]
}

func (d *deltas) recycle(list []*fragment) {
	for _, f := range list {
		if len(d.free) < 256 && cap(f.win.buf) <= 4096 {
			f.edits, f.done, f.lead = f.edits[:0], false, 0
			d.free = append(d.free, f)
		}
	}
}

func (d *deltas) fragment() *fragment {
	if n := len(d.free); n > 0 {
		f := d.free[n-1]
		d.free = d.free[:n-1]
		return f
	}
	return new(fragment)
}

// find finds the fragments in the data of an event, which is JSON. It reports
// whether the event says that its text has ended.
func (d *deltas) find(ev *event, data []byte) (done bool) {
	d.skips = d.skips[:0]
	done, ok := d.finder.read(d, ev, data)
	if !ok {
		d.recycle(ev.fragments)
		ev.fragments = ev.fragments[:0]
		return true
	}
	for _, f := range ev.fragments {
		d.skips = append(d.skips, f.win.segs[0].raw)
	}
	return done
}

// add searches the fragments of an event. What came in front of each was rewritten
// since: at says where they begin now.
func (d *deltas) add(ev *event, at []int) error {
	for i, f := range ev.fragments {
		f.win.move(at[i] - d.skips[i])
	}
	for _, f := range ev.fragments {
		if err := d.join(f); err != nil {
			return err
		}
	}
	return nil
}

// addText searches data that is a fragment of a text as a whole.
func (d *deltas) addText(ev *event) error {
	f := d.fragment()
	f.key = 0
	f.win.begin(nil, 0)
	f.win.plain(ev.data)
	ev.fragments = append(ev.fragments, f)
	return d.join(f)
}

// join appends a fragment to its channel and searches it.
func (d *deltas) join(f *fragment) error {
	c, err := d.channel(f.key)
	if err != nil {
		return err
	}
	c.waiting = append(c.waiting, f)
	d.read(c, f)
	return d.scan(c, false)
}

// channel returns the channel with a key and makes it the last used.
func (d *deltas) channel(key uint64) (*channel, error) {
	for i, c := range d.channels {
		if c.key == key {
			copy(d.channels[i:], d.channels[i+1:])
			d.channels[len(d.channels)-1] = c
			return c, nil
		}
	}
	if len(d.channels) == maxChannels {
		if err := d.endOne(d.channels[0]); err != nil {
			return nil, err
		}
	}
	var c *channel
	if n := len(d.idle); n > 0 {
		c = d.idle[n-1]
		d.idle = d.idle[:n-1]
	} else {
		c = new(channel)
	}
	c.key = key
	d.channels = append(d.channels, c)
	return c, nil
}

// end ends all texts.
func (d *deltas) end() error {
	for len(d.channels) > 0 {
		if err := d.endOne(d.channels[0]); err != nil {
			return err
		}
	}
	return nil
}

func (d *deltas) endOne(c *channel) error {
	c.flush()
	err := d.scan(c, true)
	d.drop(c)
	return err
}

func (d *deltas) drop(c *channel) {
	for i := range d.channels {
		if d.channels[i] == c {
			d.channels = append(d.channels[:i], d.channels[i+1:]...)
			break
		}
	}
	c.scanner.Reset()
	c.scanner.Custom = d.out.cfg.Policy.Custom
	c.parts.begin()
	c.inner.begin()
	clear(c.waiting)
	c.buf, c.base, c.from, c.waiting, c.open = c.buf[:0], 0, 0, c.waiting[:0], false
	if cap(c.buf) <= keepEvent {
		d.idle = append(d.idle, c)
	}
}

// scan searches what is new in a channel.
func (d *deltas) scan(c *channel, final bool) error {
	var safe int
	d.findings, safe = d.out.find(&c.scanner, d.findings[:0], c.buf, c.from, final)
	for _, f := range d.findings {
		c.open = f.More
		if err := d.replace(c, f); err != nil {
			return err
		}
	}
	c.from = safe
	n := 0
	for i, f := range c.waiting {
		// The last fragment of a value that goes on waits for its end, where
		// what stands for the value is put.
		if !final && (f.at+len(f.win.buf) > c.base+safe || c.open && i == len(c.waiting)-1 || c.inner.waitsFor(f)) {
			break
		}
		f.done = true
		n++
	}
	if n > 0 {
		c.waiting = c.waiting[:copy(c.waiting, c.waiting[n:])]
	}
	c.inner.forget(c.base + safe)
	if shift := c.from - Context; shift > 4096 {
		c.buf = c.buf[:copy(c.buf, c.buf[shift:])]
		c.base += shift
		c.from = Context
	}
	return nil
}

// replace takes a finding out of the fragments that it is in. What stands for it
// goes to the first of them, or, when it comes in parts, to where it ends.
func (d *deltas) replace(c *channel, found Finding) error {
	action := d.out.cfg.Policy.action(found.Entity)
	if action == Allow {
		return nil
	}
	if !found.Continued && found.Entity != opened {
		d.out.counts[found.Entity]++
		c.parts.begin()
	}
	if action == Block {
		return &BlockedError{found.Entity}
	}
	value := c.buf[found.Start:found.End]
	if found.More || found.Continued {
		value = c.parts.add(value)
	}
	start, end := c.base+found.Start, c.base+found.End
	stands := found.More // what stands for it is put, or not due yet
	for i, f := range c.waiting {
		last := i == len(c.waiting)-1
		from, to := max(start, f.at), min(end, f.at+len(f.win.buf))
		led := f.lead > 0 && start < f.at && end >= f.at
		here := last || start == end && from == to // where nothing but an end is found
		if from >= to && (!here || stands) && !led {
			continue
		}
		var with []byte
		if !stands {
			with = d.with(c, found, value)
			stands = true
		}
		rawFrom, rawTo, _ := f.win.span(from-f.at, max(from, to)-f.at, 0)
		if led {
			rawFrom = f.win.segs[0].raw
			rawTo = max(rawTo, rawFrom+f.lead)
		}
		if n := len(f.edits); n > 0 {
			// Two findings may have parts of one escape.
			rawFrom = max(rawFrom, f.edits[n-1].end)
		}
		f.edits = append(f.edits, edit{rawFrom, max(rawFrom, rawTo), with})
	}
	return nil
}

// with returns what stands for a finding.
func (d *deltas) with(c *channel, found Finding, value []byte) []byte {
	r := d.out
	if found.Entity != opened {
		if c.bare(found) {
			return append(r.stand([]byte(`\"`), found, value, c.parts.long), `\"`...)
		}
		return r.stand(nil, found, value, c.parts.long)
	}
	if c.key != 0 {
		r.mode = modeEscapedText // of JSON
		return r.reveal(nil, value)
	}
	r.mode = modeText
	text := r.reveal(nil, value)
	for i, b := range text {
		if b == '\n' || b == '\r' {
			text[i] = ' ' // a line of an event ends there
		}
	}
	return text
}

// move says that the text is that many bytes further back in the body.
func (w *window) move(by int) {
	for i := range w.segs {
		w.segs[i].raw += by
	}
	w.end += by
}
