package pii

import "github.com/memgate/memgate/filter/jsonstream"

// marked knows which values of a body belong to members that are named by their paths.
type marked struct {
	paths  *jsonstream.Paths
	at     jsonstream.Tracker
	within int // objects and arrays that are open, from the member inwards
}

func newMarked(paths *jsonstream.Paths) *marked {
	s := &marked{paths: paths}
	s.reset()
	return s
}

func (s *marked) reset() {
	s.at.Reset(s.paths)
	s.within = 0
}

// event reports whether what the lexer read belongs to such a member. It has to
// be told of every event.
func (s *marked) event(k jsonstream.Kind, x *jsonstream.Lexer) bool {
	switch k {
	case jsonstream.Line:
		s.reset()
	case jsonstream.ObjectBegin, jsonstream.ArrayBegin:
		if s.within > 0 || s.at.Value() >= 0 {
			s.within++
		}
		s.at.Open(k == jsonstream.ObjectBegin)
	case jsonstream.ObjectEnd, jsonstream.ArrayEnd:
		s.at.Close()
		if s.within > 0 {
			s.within--
		}
	case jsonstream.Key:
		s.at.Name(x.Text(), x.Last())
		return s.within > 0
	case jsonstream.String, jsonstream.Number, jsonstream.Literal:
		return s.within > 0 || s.at.Value() >= 0
	}
	return false
}
