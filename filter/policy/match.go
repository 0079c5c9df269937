package policy

import "strings"

// RouteMatch is the route that decides about a request, and the values of the
// parameters in its path.
type RouteMatch struct {
	Route  *Route
	names  []string
	values [MaxParams]string
}

// Param returns the decoded value of a parameter of the route's template, such
// as agent_id, and false when the template has no such parameter.
func (m *RouteMatch) Param(name string) (string, bool) {
	for i, n := range m.names {
		if n == name {
			return m.values[i], true
		}
	}
	return "", false
}

// Params returns the values of all parameters by their names.
func (m *RouteMatch) Params() map[string]string {
	out := make(map[string]string, len(m.names))
	for i, n := range m.names {
		out[n] = m.values[i]
	}
	return out
}

// Match finds the route of a request. rawPath is the path as it stood on the
// wire, with or without a query; percent-encoding is decoded once. Of several
// routes for the method, the one with the most specific template decides:
// literal segments before {name} before {name...}, from left to right. Templates
// are exact about a trailing slash. It returns false when no route matches, and
// for every path that two servers could read differently.
func (p *Policy) Match(method, rawPath string) (RouteMatch, bool) {
	var m RouteMatch
	if p.tree == nil {
		return m, false
	}
	path, ok := cleanPath(rawPath)
	if !ok {
		return m, false
	}
	target := p.tree.find(path[1:], method, &m.values, 0)
	if target == nil {
		return RouteMatch{}, false
	}
	m.Route, m.names = &p.Routes[target.route], target.names
	return m, true
}

// Methods lists the methods that some route takes at rawPath, which is what an
// operator who asks why a request was refused wants to know.
func (p *Policy) Methods(rawPath string) []string {
	var out []string
	for _, method := range p.methods {
		if _, ok := p.Match(method, rawPath); ok {
			out = append(out, method)
		}
	}
	return out
}

// node is a place in the tree of all templates.
type node struct {
	literal map[string]*node
	param   *node
	here    map[string]*target // by method, for templates that end here
	rest    map[string]*target // by method, for {name...} here
}

// target is a route for one method.
type target struct {
	route int      // index in Policy.Routes
	names []string // of the parameters, in order
}

// find looks for the target of the path below n. Each node is visited at most
// once, so the time is bounded by the size of the policy.
func (n *node) find(path, method string, values *[MaxParams]string, depth int) *target {
	segment, more := path, false
	if i := strings.IndexByte(path, '/'); i >= 0 {
		segment, more = path[:i], true
	}
	if next := n.literal[segment]; next != nil {
		if t := next.step(path, len(segment), more, method, values, depth); t != nil {
			return t
		}
	}
	if n.param != nil && segment != "" {
		if t := n.param.step(path, len(segment), more, method, values, depth+1); t != nil {
			values[depth] = segment
			return t
		}
	}
	if t := n.rest[method]; t != nil {
		values[depth] = path
		return t
	}
	return nil
}

// step goes on behind a segment of the given length.
func (n *node) step(path string, length int, more bool, method string, values *[MaxParams]string, depth int) *target {
	if more {
		return n.find(path[length+1:], method, values, depth)
	}
	return n.here[method]
}

// leaf returns the targets, by method, of the template that segments make up,
// and adds the nodes that lead there.
func (n *node) leaf(segments []segment) map[string]*target {
	at := &n.here
	for _, s := range segments {
		if s.kind == rest {
			at = &n.rest
			break
		}
		n = n.child(s)
		at = &n.here
	}
	if *at == nil {
		*at = make(map[string]*target)
	}
	return *at
}

func (n *node) child(s segment) *node {
	if s.kind == param {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.literal == nil {
		n.literal = make(map[string]*node)
	}
	next := n.literal[s.text]
	if next == nil {
		next = &node{}
		n.literal[s.text] = next
	}
	return next
}
