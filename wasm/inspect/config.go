package inspect

import "errors"

// ErrConfig means that a plugin configuration is not of the form
// {"cluster": "name"}.
var ErrConfig = errors.New(`want {"cluster": "name"}, the cluster of memgate's HTTP port`)

// maxCluster is the length of a cluster's name in bytes.
const maxCluster = 512

// ParseConfig returns the cluster that a plugin configuration names. Every mesh
// hands a plugin JSON. This is an object with one member, whose value has no
// escapes: names of clusters need none.
func ParseConfig(text []byte) (cluster string, err error) {
	p := parser(text)
	if !p.take('{') {
		return "", ErrConfig
	}
	key, ok := p.string()
	if !ok || key != "cluster" || !p.take(':') {
		return "", ErrConfig
	}
	cluster, ok = p.string()
	if !ok || cluster == "" || len(cluster) > maxCluster || !p.take('}') {
		return "", ErrConfig
	}
	if p.space(); len(p) > 0 {
		return "", ErrConfig
	}
	return cluster, nil
}

type parser []byte

func (p *parser) space() {
	for len(*p) > 0 {
		switch (*p)[0] {
		case ' ', '\t', '\n', '\r':
			*p = (*p)[1:]
		default:
			return
		}
	}
}

func (p *parser) take(c byte) bool {
	p.space()
	if len(*p) == 0 || (*p)[0] != c {
		return false
	}
	*p = (*p)[1:]
	return true
}

func (p *parser) string() (string, bool) {
	if !p.take('"') {
		return "", false
	}
	for i, c := range *p {
		switch {
		case c == '"':
			s := string((*p)[:i])
			*p = (*p)[i+1:]
			return s, true
		case c == '\\' || c < 0x20:
			return "", false
		}
	}
	return "", false
}
