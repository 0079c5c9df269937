// Package doctor reads what a running Envoy says of its configuration and tells
// what keeps it from being memgate's edge: a missing or misplaced filter, a
// failure that lets requests pass, a route that is not asked about. It reads the
// dump of any Envoy, whoever has configured it.
package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Filters that the edge is made of, by the type of their configuration.
const (
	typeAuthz = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
	typeWasm  = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	typeHCM   = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)

// object is one of a dump, whose form is Envoy's.
type object map[string]any

func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (o object) object(path ...string) object {
	m, _ := o.at(path...).(map[string]any)
	return m
}

func (o object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

func (o object) yes(path ...string) bool {
	b, _ := o.at(path...).(bool)
	return b
}

func (o object) list(path ...string) []object {
	l, _ := o.at(path...).([]any)
	out := make([]object, 0, len(l))
	for _, v := range l {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// dump is what an Envoy runs with.
type dump struct {
	node      string // its id
	version   string // "" if it does not say
	listeners []object
	routes    map[string]object // by name, of those that a control plane sends
	filters   map[string]object // by name, of those that a control plane sends
}

func parse(text []byte) (*dump, error) {
	var all object
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("not a configuration dump: %w", err)
	}
	d := &dump{routes: make(map[string]object), filters: make(map[string]object)}
	for _, section := range all.list("configs") {
		switch kind := section.text("@type"); {
		case strings.HasSuffix(kind, ".BootstrapConfigDump"):
			node := section.object("bootstrap", "node")
			d.node = node.text("id")
			v := node.object("user_agent_build_version", "version")
			if major, ok := v.at("major_number").(float64); ok {
				minor, _ := v.at("minor_number").(float64)
				d.version = fmt.Sprintf("%d.%d", int(major), int(minor))
			}
		case strings.HasSuffix(kind, ".ListenersConfigDump"):
			for _, l := range section.list("static_listeners") {
				d.listeners = append(d.listeners, l.object("listener"))
			}
			for _, l := range section.list("dynamic_listeners") {
				if active := l.object("active_state", "listener"); active != nil {
					d.listeners = append(d.listeners, active)
				}
			}
		case strings.HasSuffix(kind, ".RoutesConfigDump"):
			for _, list := range [][]object{section.list("static_route_configs"), section.list("dynamic_route_configs")} {
				for _, r := range list {
					config := r.object("route_config")
					d.routes[config.text("name")] = config
				}
			}
		case strings.HasSuffix(kind, ".EcdsConfigDump"):
			for _, f := range section.list("ecds_filters") {
				filter := f.object("ecds_filter")
				d.filters[filter.text("name")] = filter.object("typed_config")
			}
		}
	}
	if len(d.listeners) == 0 {
		return nil, fmt.Errorf("not a configuration dump: it has no listeners")
	}
	return d, nil
}

// config is a filter's configuration, wherever it comes from; nil if it is not
// there yet.
func (d *dump) config(filter object) object {
	if filter.object("config_discovery") != nil {
		return d.filters[filter.text("name")]
	}
	return filter.object("typed_config")
}

// routeTable is that of a connection manager.
func (d *dump) routeTable(manager object) object {
	if inline := manager.object("route_config"); inline != nil {
		return inline
	}
	return d.routes[manager.text("rds", "route_config_name")]
}

// managers are the connection managers of a listener.
func managers(listener object) []object {
	var out []object
	chains := listener.list("filter_chains")
	if last := listener.object("default_filter_chain"); last != nil {
		chains = append(chains, last)
	}
	for _, chain := range chains {
		for _, f := range chain.list("filters") {
			if config := f.object("typed_config"); config.text("@type") == typeHCM {
				out = append(out, config)
			}
		}
	}
	return out
}
