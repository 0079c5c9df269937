package inspect

import "errors"

// ErrConfig means that a plugin configuration is not of the form
// {"cluster": "name"} or {"cluster": "name", "headers": "pass"}.
var ErrConfig = errors.New(`want {"cluster": "name"}, the cluster of memgate's HTTP port, and "headers": "pass" where the proxy cannot hold headers back`)

// maxCluster is the length of a cluster's name in bytes.
const maxCluster = 512

// Config is a plugin's configuration.
type Config struct {
	// Cluster is that of memgate's HTTP port.
	Cluster string
	// PassHeaders is set where the proxy does not let a filter hold headers back
	// until the body is known, as the WasmPlugin of Istio and the extensions of
	// Envoy Gateway do not: headers then go ahead, without a length.
	PassHeaders bool
}

// ParseConfig reads a plugin's configuration. Every mesh hands a plugin JSON. This
// is an object whose members stand in the order of their names, each a string
// without escapes: names of clusters need none.
func ParseConfig(text []byte) (Config, error) {
	var c Config
	p := parser(text)
	if !p.take('{') {
		return Config{}, ErrConfig
	}
	key, ok := p.string()
	if !ok || key != "cluster" || !p.take(':') {
		return Config{}, ErrConfig
	}
	c.Cluster, ok = p.string()
	if !ok || c.Cluster == "" || len(c.Cluster) > maxCluster {
		return Config{}, ErrConfig
	}
	if p.take(',') {
		key, ok = p.string()
		if !ok || key != "headers" || !p.take(':') {
			return Config{}, ErrConfig
		}
		if word, ok := p.string(); !ok || word != "pass" {
			return Config{}, ErrConfig
		}
		c.PassHeaders = true
	}
	if !p.take('}') {
		return Config{}, ErrConfig
	}
	if p.space(); len(p) > 0 {
		return Config{}, ErrConfig
	}
	return c, nil
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
