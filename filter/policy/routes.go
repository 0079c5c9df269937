package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// MaxRoutes is the most routes that a policy may have.
const MaxRoutes = 1000

// How strongly a route claims a method: a route that names it has it before
// one whose GET brings HEAD along, and that before one that names none.
const (
	claimDefault = iota
	claimHead
	claimNamed
)

// claims returns the methods that r takes and how strongly it claims each.
func (r *Route) claims() map[string]int {
	out := make(map[string]int)
	if len(r.Match.Methods) == 0 {
		methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
		if r.Anonymous {
			methods = methods[:2]
		}
		for _, m := range methods {
			out[m] = claimDefault
		}
		return out
	}
	if slices.Contains(r.Match.Methods, "GET") {
		out["HEAD"] = claimHead
	}
	for _, m := range r.Match.Methods {
		out[m] = claimNamed
	}
	return out
}

// ownRoutes are the requests that memgate answers itself: the metadata of the
// resource, for everyone, and the sessions API. What the latter requires beyond
// a credential a route of the file may say.
func (p *Policy) ownRoutes() ([]Route, error) {
	var out []Route
	if p.Identity.Sessions != nil {
		out = append(out,
			Route{Name: "session-activate", Match: Match{Methods: []string{"POST"}, Path: "/api/v2/agents/{agent_id}/activate"}},
			Route{Name: "session-deactivate", Match: Match{Methods: []string{"POST"}, Path: "/api/v2/agents/{agent_id}/deactivate"}},
			Route{Name: "session-status", Match: Match{Methods: []string{"GET"}, Path: "/api/v2/status"}})
	}
	if r := p.Identity.Resource; r != nil {
		// A URL that makes no path is reported by the lint.
		if _, err := parseTemplate(r.MetadataPath()); err == nil {
			out = append(out, Route{Name: "resource-metadata", Anonymous: true, Match: Match{Methods: []string{"GET"}, Path: r.MetadataPath()}})
		}
	}
	for i := range out {
		out[i].Own = true
		if err := fillDefaults(reflect.ValueOf(&out[i]).Elem(), fieldsOf); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compiled is a route on its way into the tree.
type compiled struct {
	index    int
	segments []segment
	claims   map[string]int
	lost     int // methods that other routes with the same template have
	tied     bool
}

// compile adds memgate's own routes, gives each route its name and
// builds the tree. What is wrong with templates and methods it reports.
func (p *Policy) compile(r *report) {
	if len(p.Routes) > MaxRoutes {
		p.failed["routes"] = true
		r.errorf(p.at("routes"), "routes", "routes", "routes has more than %d entries", MaxRoutes)
		return
	}
	fromFile := len(p.Routes)
	p.checkMethods(r)
	all := p.parseRoutes(r)
	all = p.addOwn(r, all)
	p.nameRoutes(r, fromFile)

	p.tree = &node{}
	methods := make(map[string]bool)
	for _, group := range groupByShape(all) {
		p.insert(r, group)
	}
	for i := range all {
		a := &all[i]
		for m := range a.claims {
			methods[m] = true
		}
		if a.lost == len(a.claims) && !a.tied && a.lost > 0 {
			p.routeError(r, a.index, "route-unreachable", "no request reaches this route: other routes with the same path take each of its methods")
		}
		for j := range all[:i] {
			if b := &all[j]; ambiguous(a, b) {
				later, earlier := a.index, b.index
				if p.Routes[later].Own {
					later, earlier = earlier, later
				}
				p.routeError(r, later, "route-ambiguous", "%s and %s match the same requests, and neither is more specific; %s", show(p.Routes[later].Match.Path), show(p.Routes[earlier].Match.Path), p.standsAt(earlier))
			}
		}
		if len(r.findings) > maxFindings {
			break
		}
	}
	for m := range methods {
		p.methods = append(p.methods, m)
	}
	slices.Sort(p.methods)
}

// parseRoutes parses the templates of the routes of the file.
func (p *Policy) parseRoutes(r *report) []compiled {
	var all []compiled
	for i := range p.Routes {
		path := routePath(i) + ".match.path"
		if p.failed[path] || p.failed[routePath(i)+".match"] || p.failed[routePath(i)] {
			continue
		}
		segments, err := parseTemplate(p.Routes[i].Match.Path)
		if err != nil {
			r.errorf(p.at(path), "route-path", path, "the path %s", err)
			continue
		}
		all = append(all, compiled{index: i, segments: segments, claims: p.Routes[i].claims()})
	}
	return all
}

// addOwn adds the routes that memgate serves itself, each unless the file has a route
// for the same requests, which then is marked as such.
func (p *Policy) addOwn(r *report, all []compiled) []compiled {
	own, err := p.ownRoutes()
	if err != nil {
		r.errorf(p.at("identity"), "defaults", "identity", "%s", err)
	}
next:
	for _, route := range own {
		segments, err := parseTemplate(route.Match.Path)
		if err != nil {
			r.errorf(p.at("identity"), "defaults", "identity", "%s: %s", route.Match.Path, err)
			continue
		}
		method := route.Match.Methods[0]
		for i := range all {
			c := &all[i]
			if _, ok := c.claims[method]; !ok || shape(c.segments) != shape(segments) {
				continue
			}
			user := &p.Routes[c.index]
			if route.Anonymous {
				p.routeError(r, c.index, "route-own", "memgate serves %s %s itself, to everyone (identity.resource); remove this route", method, route.Match.Path)
				continue next
			}
			for _, m := range user.Match.Methods {
				if m != method && (m != "HEAD" || method != "GET") {
					p.routeError(r, c.index, "route-own", "memgate serves %s %s itself; a route that says what it requires must have methods: [%s] and nothing else", method, route.Match.Path, method)
					continue next
				}
			}
			if len(user.Match.Methods) == 0 || user.Match.Path != route.Match.Path {
				p.routeError(r, c.index, "route-own", "memgate serves %s %s itself; a route that says what it requires must have that path and methods: [%s]", method, route.Match.Path, method)
				continue next
			}
			user.Own = true
			continue next
		}
		p.Routes = append(p.Routes, route)
		all = append(all, compiled{index: len(p.Routes) - 1, segments: segments, claims: route.claims()})
	}
	return all
}

// insert puts routes with the same template into the tree, each for the methods
// that it claims most strongly.
func (p *Policy) insert(r *report, group []*compiled) {
	leaf := p.tree.leaf(group[0].segments)
	winner := make(map[string]*compiled)
	for _, c := range group {
		for _, method := range sortedKeys(c.claims) {
			rank, held := c.claims[method], winner[method]
			switch {
			case held == nil:
				winner[method] = c
			case held.claims[method] < rank:
				held.lost++
				winner[method] = c
			case held.claims[method] > rank:
				c.lost++
			case !c.tied:
				c.tied = true
				p.routeError(r, c.index, "route-duplicate", "another route takes the same requests (%s); %s", method, p.standsAt(held.index))
			}
		}
	}
	for method, c := range winner {
		t := &target{route: c.index}
		for _, s := range c.segments {
			if s.kind != exact {
				t.names = append(t.names, s.text)
			}
		}
		leaf[method] = t
	}
}

// groupByShape groups routes whose templates differ at most in the names of
// parameters, in the order of the file.
func groupByShape(all []compiled) [][]*compiled {
	index := make(map[string]int)
	var groups [][]*compiled
	for i := range all {
		key := shape(all[i].segments)
		g, ok := index[key]
		if !ok {
			g = len(groups)
			index[key] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], &all[i])
	}
	return groups
}

// shape is a template without the names of its parameters.
func shape(segments []segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		switch s.kind {
		case exact:
			b.WriteString(s.text)
		case param:
			b.WriteString("{}")
		case rest:
			b.WriteString("{...}")
		}
	}
	return b.String()
}

// ambiguous reports whether some request is matched by both routes while
// neither template is a special case of the other.
func ambiguous(a, b *compiled) bool {
	if !intersect(a.segments, b.segments) || covers(a.segments, b.segments) || covers(b.segments, a.segments) {
		return false
	}
	for m := range a.claims {
		if _, ok := b.claims[m]; ok {
			return true
		}
	}
	return false
}

// nameRoutes gives each route that has no name its path as one, with its
// methods when another route has that name already. The first fromFile routes
// come from the file and may use a name only once.
func (p *Policy) nameRoutes(r *report, fromFile int) {
	taken := make(map[string]int)
	for i := range p.Routes {
		name := p.Routes[i].Name
		if name == "" {
			continue
		}
		path := routePath(i) + ".name"
		if i < fromFile && !isRouteName(name) {
			r.errorf(p.at(path), "route-name", path, "a route's name is made of letters, digits, '.', '_' and '-', at most 64 of them")
		}
		if first, ok := taken[name]; ok && i < fromFile {
			r.errorf(p.at(path), "route-name", path, "another route has the name %s; %s", show(name), p.standsAt(first))
		} else if ok {
			p.Routes[i].Name = "" // a route of the file may take the name of one of memgate's own
			continue
		}
		taken[name] = i
	}
	for i := range p.Routes {
		route := &p.Routes[i]
		if route.Name != "" {
			continue
		}
		name := route.Match.Path
		if _, ok := taken[name]; ok {
			name = strings.Join(route.Match.Methods, ",") + " " + name
		}
		for base, n := name, 2; ; n++ {
			if _, ok := taken[name]; !ok {
				break
			}
			name = base + "#" + strconv.Itoa(n)
		}
		route.Name = name
		taken[name] = i
	}
}

func isRouteName(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '.' {
			return false
		}
	}
	return len(s) <= 64
}

// checkMethods reports methods that are not what they should be.
func (p *Policy) checkMethods(r *report) {
	known := []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "SEARCH", "REPORT",
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK",
	}
	for i := range p.Routes {
		for j, m := range p.Routes[i].Match.Methods {
			path := fmt.Sprintf("%s.match.methods[%d]", routePath(i), j)
			switch {
			case p.failed[path]:
			case m == "CONNECT" || m == "TRACE":
				r.errorf(p.at(path), "route-method", path, "%s is never let through: it is a request to the proxy, not to the service", m)
			case !slices.Contains(known, m):
				r.errorf(p.at(path), "route-method", path, "unknown method %s%s", show(m), didYouMean(m, known))
			}
		}
	}
}

// routeError reports an error about the match of route i.
func (p *Policy) routeError(r *report, i int, rule, format string, args ...any) {
	path := routePath(i) + ".match"
	if _, ok := p.places[path+".path"]; ok {
		path += ".path"
	}
	r.errorf(p.at(path), rule, path, format, args...)
}

// standsAt says where route i is defined.
func (p *Policy) standsAt(i int) string {
	if here, ok := p.places[routePath(i)]; ok {
		return "see line " + strconv.Itoa(here.value.line)
	}
	return "memgate itself serves that one"
}

func routePath(i int) string { return "routes[" + strconv.Itoa(i) + "]" }

// at is where the member at path stands: its value, or when the file does not
// have it what is around it.
func (p *Policy) at(path string) position {
	if here, ok := p.places[path]; ok {
		return here.value
	}
	return near(p.places, path)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
