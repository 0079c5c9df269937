package pii

import (
	"bytes"

	"github.com/memgate/memgate/filter/jsonstream"
)

// MaxNamed is the number of groups of [Config.Named].
const MaxNamed = 2

// MismatchError says that a member of [Config.Named] has another value than the one
// that is expected.
type MismatchError struct {
	// Group is the member's index in [Config.Named].
	Group int
}

func (e *MismatchError) Error() string { return "a member names another than is expected" }

// comparer compares the values of members with what is expected of them. A value is
// compared as often as its name occurs, and has to be a string of exactly these
// characters; null names nobody, and passes. An empty string, a number, a list and all
// else differ.
type comparer struct {
	paths *jsonstream.Paths
	at    jsonstream.Tracker
	group []int // of each path
	want  [MaxNamed]string

	noted   [MaxNamed]bool // groups whose values may differ
	differs [MaxNamed]bool // those of them that did

	open    int    // group of the string that is being read, or -1
	left    string // what must still come of it
	valued  bool   // the value of a pair of a form has begun
	bracket bool   // the rest of a form's name is an index
}

func newComparer(groups [][]string, noted [MaxNamed]bool) *comparer {
	c := &comparer{noted: noted, open: -1}
	var all []string
	for i, paths := range groups {
		for _, path := range paths {
			all = append(all, path)
			c.group = append(c.group, i)
		}
	}
	if len(all) == 0 {
		return nil
	}
	c.paths = jsonstream.NewPaths(all)
	c.reset()
	return c
}

func (c *comparer) reset() {
	c.at.Reset(c.paths)
	c.open, c.valued, c.bracket = -1, false, false
}

// value returns the group whose value begins, or -1 where none is expected.
func (c *comparer) value() int {
	if path := c.at.Value(); path >= 0 && c.want[c.group[path]] != "" {
		return c.group[path]
	}
	return -1
}

// event takes what the lexer read. When a value differs it returns the error and how many
// bytes of the event's text come before that.
func (c *comparer) event(k jsonstream.Kind, x *jsonstream.Lexer) (int, error) {
	switch k {
	case jsonstream.Line:
		c.reset()
	case jsonstream.ObjectBegin, jsonstream.ArrayBegin:
		if g := c.value(); g >= 0 {
			if err := c.differ(g); err != nil {
				return 0, err
			}
		}
		c.at.Open(k == jsonstream.ObjectBegin)
	case jsonstream.ObjectEnd, jsonstream.ArrayEnd:
		c.at.Close()
	case jsonstream.Key:
		c.at.Name(x.Text(), x.Last())
	case jsonstream.String:
		if x.First() {
			c.begin()
		}
		if n, err := c.text(x.Text()); err != nil {
			if x.Escaped() {
				n = 0
			}
			return n, err
		}
		if x.Last() {
			return len(x.Text()), c.end()
		}
	case jsonstream.Number, jsonstream.Literal:
		if g := c.value(); g >= 0 && (k == jsonstream.Number || string(x.Text()) != "null") {
			return 0, c.differ(g)
		}
	}
	return 0, nil
}

func (c *comparer) begin() {
	if c.open = c.value(); c.open >= 0 {
		c.left = c.want[c.open]
	}
}

func (c *comparer) text(text []byte) (int, error) {
	if c.open < 0 {
		return 0, nil
	}
	n := 0
	for n < len(text) && n < len(c.left) && text[n] == c.left[n] {
		n++
	}
	if n < len(text) {
		err := c.differ(c.open)
		c.open = -1
		if err == nil {
			n = 0 // the rest is read on
		}
		return n, err
	}
	c.left = c.left[n:]
	return 0, nil
}

// differ says that a value of a group differs. It is no error where that is noted alone.
func (c *comparer) differ(group int) error {
	if c.noted[group] {
		c.differs[group] = true
		return nil
	}
	return &MismatchError{group}
}

func (c *comparer) end() error {
	group := c.open
	c.open = -1
	if group >= 0 && c.left != "" {
		return c.differ(group)
	}
	return nil
}

// pair says that a pair of a form begins.
func (c *comparer) pair() {
	c.reset()
	c.at.Open(true)
}

// formPart takes a part of a name or value of a form. What stands in brackets behind a
// name makes a list or a map of it in many a framework, of which each value counts.
func (c *comparer) formPart(text []byte, value bool) (int, error) {
	if value {
		c.formValue()
		return c.text(text)
	}
	if c.bracket {
		return len(text), nil
	}
	if i := bytes.IndexByte(text, '['); i >= 0 {
		text, c.bracket = text[:i], true
	}
	c.at.Name(text, false)
	return len(text), nil
}

func (c *comparer) formValue() {
	if !c.valued {
		c.valued = true
		c.begin()
	}
}

// pairEnd says that a pair of a form ends. One without a value has an empty one.
func (c *comparer) pairEnd() error {
	c.formValue()
	return c.end()
}
