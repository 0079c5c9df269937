package pii

import (
	"math"

	"github.com/memgate/memgate/filter/jsonstream"
)

// Fragments of text in events, as the interfaces in wide use have them: those that
// Anthropic, OpenAI, Cohere and others put below a member "delta", and those at the
// paths of deltaPaths (OpenAI's completions, Gemini).
var (
	deltaPaths = []string{"choices[].text", "candidates[].content.parts[].text"}
	deltaNames = []string{
		"delta", "content", "text", "arguments", "partial_json", "reasoning", "reasoning_content", "thinking", "refusal", "transcript",
	}
	// deltaIndexes are the members that tell the texts of a stream apart. They
	// stand in an object around a fragment.
	deltaIndexes = []string{"index", "output_index", "content_index", "summary_index", "item_id", "message_id", "messageId", "toolCallId"}
	// deltaEnds are how the type of an event ends that ends a text, and
	// deltaReasons the members that say why a text has ended.
	deltaEnds    = []string{"stop", "done", "end", "ended", "complete", "completed", "finish", "finished", "failed", "incomplete", "error", "close"}
	deltaReasons = []string{"finish_reason", "finishReason", "stop_reason"}
)

// deltaFinder finds the fragments in the data of an event.
type deltaFinder struct {
	depth  int
	paths  *jsonstream.Paths
	at     jsonstream.Tracker
	hide   *marked // nil without values that are always redacted, which are no fragments
	lex    jsonstream.Lexer
	stack  []deltaPlace
	marks  []deltaMark
	name   []byte
	scalar []byte
}

// deltaPlace is an object or array that is open.
type deltaPlace struct {
	start  int
	path   uint64 // hash of the names that lead there
	within bool   // below a member "delta"
	object bool
	marks  int // how many marks there were when it began
}

// deltaMark is an index that a fragment in its object has.
type deltaMark struct {
	start, end int // of the object
	hash       uint64
}

// init reports whether data that is text is a fragment, too: the paths have
// ".".
func (d *deltaFinder) init(paths, redacted []string, depth int) (text bool) {
	all := append([]string(nil), deltaPaths...)
	for _, p := range paths {
		if p == "." {
			text = true
			continue
		}
		all = append(all, p)
	}
	d.paths, d.depth = jsonstream.NewExactPaths(all), depth
	if len(redacted) > 0 {
		d.hide = newMarked(jsonstream.NewPaths(redacted))
	}
	return text
}

// maxDeltaName is more than the length of any name that matters here.
const maxDeltaName = 128

// read appends the fragments of data, as it stands, to the event. done says that the
// event ends its text. Without ok the data is not JSON.
func (d *deltaFinder) read(of *deltas, ev *event, data []byte) (done, ok bool) {
	d.lex.Reset(jsonstream.Options{MaxDepth: d.depth, Lenient: true})
	d.lex.Feed(data)
	d.at.Reset(d.paths)
	if d.hide != nil {
		d.hide.reset()
	}
	d.stack, d.marks, d.name = d.stack[:0], d.marks[:0], d.name[:0]
	reason, typed := false, false
	var current *fragment
	for {
		k := d.lex.Next()
		if k == jsonstream.More {
			k = d.lex.Finish()
		}
		start, end := d.lex.Span()
		text := d.lex.Text()
		hidden := d.hide != nil && d.hide.event(k, &d.lex)
		switch k {
		case jsonstream.End:
			d.label(ev)
			return typed || reason && len(of.channels) <= 1, true
		case jsonstream.Failed, jsonstream.More:
			return false, false
		case jsonstream.ObjectBegin, jsonstream.ArrayBegin:
			d.push(start, k == jsonstream.ObjectBegin)
			d.at.Open(k == jsonstream.ObjectBegin)
		case jsonstream.ObjectEnd, jsonstream.ArrayEnd:
			d.pop(end)
			d.at.Close()
		case jsonstream.Key:
			d.at.Name(text, d.lex.Last())
			if d.lex.First() {
				d.name = d.name[:0]
			}
			if len(d.name)+len(text) <= maxDeltaName {
				d.name = append(d.name, text...)
			}
		case jsonstream.String:
			if d.lex.First() {
				current = nil
				if !hidden && d.fragmentHere() && len(ev.fragments) < maxFragments {
					current = of.fragment()
					current.win.begin(nil, start)
					ev.fragments = append(ev.fragments, current)
					current.key = d.path()
				}
				d.scalar = d.scalar[:0]
			}
			switch {
			case current == nil:
				if len(d.scalar)+len(text) <= maxDeltaName {
					d.scalar = append(d.scalar, text...)
				}
			case d.lex.Escaped():
				current.win.escape(text, end-start)
			default:
				current.win.plain(text)
			}
			if d.lex.Last() && current == nil {
				d.mark()
				typed = typed || len(d.stack) == 1 && string(d.name) == "type" && endsIn(d.scalar, deltaEnds)
				reason = reason || oneOf(d.name, deltaReasons)
			}
		case jsonstream.Number:
			if d.lex.First() {
				d.scalar = d.scalar[:0]
			}
			if len(d.scalar)+len(text) <= maxDeltaName {
				d.scalar = append(d.scalar, text...)
			}
			if d.lex.Last() {
				d.mark()
			}
		}
	}
}

// path is the hash of the names that lead to the value behind the name.
func (d *deltaFinder) path() uint64 {
	if len(d.stack) == 0 {
		return fnvBasis
	}
	top := d.stack[len(d.stack)-1]
	if !top.object {
		return fnv(top.path, []byte("[]"))
	}
	return fnv(top.path, d.name)
}

func (d *deltaFinder) push(start int, object bool) {
	p := deltaPlace{start: start, object: object, path: d.path(), marks: len(d.marks)}
	if n := len(d.stack); n > 0 {
		top := d.stack[n-1]
		p.within = top.within || top.object && string(d.name) == "delta"
	}
	d.stack = append(d.stack, p)
}

func (d *deltaFinder) pop(end int) {
	top := d.stack[len(d.stack)-1]
	d.stack = d.stack[:len(d.stack)-1]
	for i := top.marks; i < len(d.marks); i++ {
		if d.marks[i].start == top.start {
			d.marks[i].end = end
		}
	}
	d.name = d.name[:0]
}

// fragmentHere reports whether the string that begins is a fragment.
func (d *deltaFinder) fragmentHere() bool {
	if d.at.Value() >= 0 {
		return true
	}
	if len(d.stack) == 0 {
		return false
	}
	top := d.stack[len(d.stack)-1]
	if !top.object {
		return false
	}
	return string(d.name) == "delta" || top.within && oneOf(d.name, deltaNames)
}

// mark keeps an index.
func (d *deltaFinder) mark() {
	if n := len(d.stack); n > 0 && d.stack[n-1].object && len(d.marks) < maxFragments && oneOf(d.name, deltaIndexes) {
		d.marks = append(d.marks, deltaMark{d.stack[n-1].start, math.MaxInt, fnv(fnv(d.stack[n-1].path, d.name), d.scalar)})
	}
}

// label gives each fragment its key: where it stands, and the indexes around it.
func (d *deltaFinder) label(ev *event) {
	for _, f := range ev.fragments {
		at := f.win.segs[0].raw
		for _, m := range d.marks {
			if m.start < at && at < m.end {
				f.key = f.key*fnvPrime ^ m.hash
			}
		}
	}
}

func oneOf(name []byte, list []string) bool {
	for _, s := range list {
		if string(name) == s {
			return true
		}
	}
	return false
}

func endsIn(word []byte, list []string) bool {
	for _, s := range list {
		if n := len(word) - len(s); n >= 0 && string(word[n:]) == s {
			return true
		}
	}
	return false
}

// FNV-1a (draft-eastlake-fnv), 64 bits.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

func fnv(h uint64, name []byte) uint64 {
	for _, c := range name {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime
}
