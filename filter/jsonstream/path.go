package jsonstream

import "strings"

// Paths is a set of member paths. A path is names joined by dots, where "[]"
// behind a name stands for each element of that array: "messages[].content".
// It starts at the root, so "[].id" is a member of each element of an array, and
// the empty path is the whole value. Each text is a path.
//
// A name means the member that has exactly this name, or, when there is no such
// path, one that differs in the case of letters only: decoders in wide use, such
// as Go's, take the one for the other.
type Paths struct {
	nodes   []pathNode
	exact   bool
	height  int // of the tree: no deeper container matters
	longest int // name, in bytes
}

type pathNode struct {
	name  string
	elem  bool // each element of the array, and not a member
	path  int  // index of the path that ends here, or none
	child int  // first child, or none
	next  int  // sibling, or none
}

const none = -1

// NewPaths returns the set of the given paths. Of equal ones the first counts.
func NewPaths(paths []string) *Paths {
	p := &Paths{nodes: []pathNode{{path: none, child: none, next: none}}}
	for i, path := range paths {
		p.add(path, i)
	}
	return p
}

// NewExactPaths is [NewPaths] for a set in which a name means the member of exactly
// this name and no other: what is given a right by its path must not share it.
func NewExactPaths(paths []string) *Paths {
	p := NewPaths(paths)
	p.exact = true
	return p
}

func (p *Paths) add(path string, index int) {
	at, height := 0, 0
	if path != "" {
		for part := range strings.SplitSeq(path, ".") {
			name, elems := part, 0
			for strings.HasSuffix(name, "[]") {
				name = name[:len(name)-2]
				elems++
			}
			if name != "" || elems == 0 || height > 0 {
				at = p.step(at, name, false)
				height++
			}
			for ; elems > 0; elems-- {
				at = p.step(at, "", true)
				height++
			}
		}
	}
	p.height = max(p.height, height)
	if p.nodes[at].path == none {
		p.nodes[at].path = index
	}
}

func (p *Paths) step(at int, name string, elem bool) int {
	for c := p.nodes[at].child; c != none; c = p.nodes[c].next {
		if p.nodes[c].elem == elem && p.nodes[c].name == name {
			return c
		}
	}
	p.longest = max(p.longest, len(name))
	p.nodes = append(p.nodes, pathNode{name: name, elem: elem, path: none, child: none, next: p.nodes[at].child})
	p.nodes[at].child = len(p.nodes) - 1
	return len(p.nodes) - 1
}

// member returns the child of a node that has the name.
func (p *Paths) member(at int, name []byte) int {
	folded := none
	for c := p.nodes[at].child; c != none; c = p.nodes[c].next {
		n := &p.nodes[c]
		switch {
		case n.elem:
		case n.name == string(name):
			return c
		case !p.exact && equalFold(n.name, name):
			folded = c
		}
	}
	return folded
}

func (p *Paths) elem(at int) int {
	for c := p.nodes[at].child; c != none; c = p.nodes[c].next {
		if p.nodes[c].elem {
			return c
		}
	}
	return none
}

// equalFold reports whether the name is s but for the case of ASCII letters.
// Two code points beyond ASCII have one in lower case: the Kelvin sign and the
// long s.
func equalFold(s string, name []byte) bool {
	for i := 0; i < len(s); i++ {
		if len(name) == 0 {
			return false
		}
		c := name[0]
		switch {
		case c == 0xe2 && len(name) > 2 && name[1] == 0x84 && name[2] == 0xaa && s[i]|0x20 == 'k':
			name = name[3:]
			continue
		case c == 0xc5 && len(name) > 1 && name[1] == 0xbf && s[i]|0x20 == 's':
			name = name[2:]
			continue
		}
		if c != s[i] && (c|0x20 != s[i]|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
		name = name[1:]
	}
	return len(name) == 0
}

// Tracker knows at which of a set of paths a reader stands. It is told of each
// name, value, and end, and holds no more levels than the paths have.
type Tracker struct {
	paths *Paths
	open  []place // containers on the way of a path
	lost  int     // open containers that no path leads into
	next  int     // node of the value behind the name, or none
	name  []byte  // what came of a name that comes in parts
	long  bool    // it is longer than any name of a path
}

type place struct {
	node   int
	object bool
}

// Reset makes the tracker ready for a new value. Its memory is kept.
func (t *Tracker) Reset(p *Paths) {
	if t.paths != p {
		*t = Tracker{paths: p, open: make([]place, 0, p.height), name: make([]byte, 0, 3*p.longest+1)}
	}
	t.open, t.lost, t.next, t.name, t.long = t.open[:0], 0, 0, t.name[:0], false
}

// Name takes a part of the name of a member.
func (t *Tracker) Name(part []byte, last bool) {
	if t.lost > 0 || len(t.open) == 0 {
		return
	}
	if len(t.name) > 0 || t.long || !last {
		// A folded name takes up to three times the bytes.
		if len(t.name)+len(part) > cap(t.name) {
			t.long = true
		} else {
			t.name = append(t.name, part...)
		}
		if !last {
			return
		}
		part = t.name
	}
	t.next = none
	if !t.long {
		t.next = t.paths.member(t.open[len(t.open)-1].node, part)
	}
	t.name, t.long = t.name[:0], false
}

// Value says that a value begins and returns the index of its path, or -1.
func (t *Tracker) Value() int {
	if node := t.node(); node != none {
		return t.paths.nodes[node].path
	}
	return none
}

func (t *Tracker) node() int {
	switch {
	case t.lost > 0:
		return none
	case len(t.open) == 0:
		return 0
	}
	in := t.open[len(t.open)-1]
	if in.object {
		return t.next
	}
	return t.paths.elem(in.node)
}

// Open says that the value that has begun is an object or an array.
func (t *Tracker) Open(object bool) {
	if node := t.node(); node != none && t.paths.nodes[node].child != none {
		t.open = append(t.open, place{node, object})
		return
	}
	t.lost++
}

// Close says that the innermost object or array ends.
func (t *Tracker) Close() {
	if t.lost > 0 {
		t.lost--
		return
	}
	t.open = t.open[:len(t.open)-1]
}
