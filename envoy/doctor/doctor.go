package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing that is wrong, or unwise, in a running Envoy.
type Finding struct {
	Rule  string // stable, for scripts
	Error bool   // requests pass unchecked, hang, or are refused; otherwise a warning
	Where string // listener, filter or route
	What  string
	Fix   string
}

func (f Finding) String() string {
	severity := "warning"
	if f.Error {
		severity = "error"
	}
	return fmt.Sprintf("%s: %s: %s (%s)\n    fix: %s", severity, f.Where, f.What, f.Rule, f.Fix)
}

// oldest is the oldest Envoy that the edge is tested with.
const oldestMajor, oldestMinor = 1, 40

// Examine reads the answer of /config_dump. It returns an error when it is none,
// or when there is nothing in it that forwards requests.
func Examine(text []byte) ([]Finding, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	e := &examination{dump: d}
	e.version()
	seen := 0
	for _, l := range d.listeners {
		// What a sidecar's own workload sends is not the edge's.
		if strings.HasPrefix(d.node, "sidecar~") && l.text("traffic_direction") == "OUTBOUND" {
			continue
		}
		for _, m := range managers(l) {
			table := d.routeTable(m)
			if table != nil && !forwards(table) {
				continue
			}
			seen++
			e.manager(l.text("name"), m, table)
		}
	}
	if seen == 0 {
		return nil, fmt.Errorf("this Envoy forwards no HTTP requests: it is no edge, or has no configuration yet")
	}
	return slices.CompactFunc(e.findings, func(a, b Finding) bool { return a == b }), nil
}

type examination struct {
	*dump
	findings []Finding
}

func (e *examination) err(rule, where, fix, what string, args ...any) {
	e.findings = append(e.findings, Finding{rule, true, where, fmt.Sprintf(what, args...), fix})
}

func (e *examination) warn(rule, where, fix, what string, args ...any) {
	e.findings = append(e.findings, Finding{rule, false, where, fmt.Sprintf(what, args...), fix})
}

func (e *examination) version() {
	var major, minor int
	if _, err := fmt.Sscanf(e.dump.version, "%d.%d", &major, &minor); err != nil {
		return
	}
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		e.warn("version", "envoy", "use Envoy 1.40 or newer", "is %s, and the edge is tested with %d.%d", e.dump.version, oldestMajor, oldestMinor)
	}
}

// forwards reports whether some route leads to a service.
func forwards(table object) bool {
	for _, host := range table.list("virtual_hosts") {
		for _, r := range host.list("routes") {
			if r.object("route") != nil {
				return true
			}
		}
	}
	return false
}

// filter is one of a connection manager's.
type filter struct {
	name, kind string
	config     object
	disabled   bool // unless a route turns it on
	used       bool // on some route
}

func (e *examination) manager(listener string, m, table object) {
	where := "listener " + listener
	var filters []filter
	authz, wasm := -1, -1
	for i, f := range m.list("http_filters") {
		config := e.config(f)
		one := filter{f.text("name"), config.text("@type"), config, f.yes("disabled"), false}
		one.used = one.runs(table)
		filters = append(filters, one)
		switch {
		case one.kind == typeAuthz && authz < 0:
			authz = i
		case one.kind == typeWasm && wasm < 0 && memgates(config):
			wasm = i
		case config == nil:
			e.err("not-loaded", where+", filter "+one.name, "see the log of Envoy and of the control plane: the filter's code or configuration did not arrive", "has no configuration")
		}
	}
	if authz < 0 {
		e.err("no-authz", where, "in Istio, apply the AuthorizationPolicy and add the extension provider; in Envoy Gateway, the SecurityPolicy; else render Envoy's configuration again",
			"has no ext_authz: nobody decides who may make a request")
	} else {
		e.authz(where+", filter "+filters[authz].name, filters[authz])
	}
	if wasm < 0 {
		e.err("no-wasm", where, "in Istio, apply the WasmPlugin; in Envoy Gateway, the EnvoyExtensionPolicy; else render Envoy's configuration again",
			"has no content filter: bodies pass unread")
	} else {
		e.wasm(where+", filter "+filters[wasm].name, filters[wasm])
	}
	if authz >= 0 && wasm >= 0 {
		e.order(where, filters, authz, wasm)
	}
	e.routes(where, m, table, filters, authz, wasm)
	e.hardening(where, m)
}

// runs reports whether a filter runs for some route.
func (f filter) runs(table object) bool {
	for _, host := range table.list("virtual_hosts") {
		for _, r := range host.list("routes") {
			if f.on(table, host, r) {
				return true
			}
		}
	}
	return !f.disabled
}

// on reports whether a filter runs for a route, by what the route itself, its host
// and their table say of it.
func (f filter) on(scopes ...object) bool {
	on := !f.disabled
	for _, scope := range scopes {
		if override := scope.object("typed_per_filter_config", f.name); override != nil {
			on = !override.yes("disabled")
		}
	}
	return on
}

// memgates reports whether a Wasm filter is the edge's, by its configuration.
func memgates(config object) bool {
	return strings.Contains(config.text("config", "configuration", "value"), `"cluster"`)
}

func (e *examination) authz(where string, f filter) {
	if f.config.yes("failure_mode_allow") {
		e.err("fail-open", where, "set failure_mode_allow (failOpen) to false", "lets requests pass when memgate does not answer")
	}
	if f.config.text("status_on_error", "code") != "ServiceUnavailable" {
		e.warn("status-on-error", where, "set status_on_error (statusOnError) to 503", "answers 403 while memgate cannot be asked, which clients take for a decision")
	}
	if f.config.object("grpc_service") == nil {
		e.err("authz-http", where, "use memgate's gRPC port", "does not ask by gRPC")
	}
	if !f.config.yes("encode_raw_headers") {
		e.warn("raw-headers", where, "set encode_raw_headers; in Istio, render with --hold-headers; Envoy Gateway cannot", "joins headers that come twice, which memgate then refuses by their form alone")
	}
}

func (e *examination) wasm(where string, f filter) {
	config := f.config.object("config")
	if config.text("failure_policy") == "FAIL_OPEN" || config.yes("fail_open") {
		e.err("wasm-fail-open", where, "set failure_policy to FAIL_RELOAD (failStrategy, failOpen: false)", "lets bodies pass unread when the filter fails")
	}
	passes := strings.Contains(strings.ReplaceAll(config.text("configuration", "value"), " ", ""), `"headers":"pass"`)
	switch holds := config.yes("allow_on_headers_stop_iteration"); {
	case !holds && !passes:
		e.err("hold-headers", where, `set allow_on_headers_stop_iteration, or "headers": "pass" in the filter's configuration where the mesh cannot`, "cannot hold headers back, and wants to: requests with a body hang")
	case holds && passes:
		e.warn("pass-headers", where, `remove "headers": "pass" from the filter's configuration`, "could hold headers back, and lets them go: a refused body reaches the service as a request that breaks off")
	}
}

// harmless filters neither answer, nor change what was decided on.
var harmless = []string{"rbac", "local_ratelimit", "ratelimit", "stats", "grpc_stats", "metadata_exchange", "set_filter_state", "health_check", "grpc_web"}

// idle filters do something only for routes that say so, and change nothing of a request
// that goes on. Istio has them everywhere.
var idle = []string{"fault", "cors"}

// of reports whether a filter's type is of one of these kinds.
func (f *filter) of(kinds []string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return strings.Contains(f.kind, "."+kind+".") })
}

func (e *examination) order(where string, filters []filter, authz, wasm int) {
	if wasm < authz {
		e.err("order", where, "put ext_authz before the content filter; in Istio, leave phase and priority of the WasmPlugin as rendered", "runs the content filter before ext_authz: it answers 503 to everything")
		return
	}
	for i, f := range filters {
		name := "filter " + f.name
		switch compressor := strings.Contains(f.kind, ".compressor."); {
		case compressor && i > wasm && f.used:
			e.err("compressor", where+", "+name, "put the compressor before ext_authz, so that it compresses what the content filter has read", "compresses responses before the content filter reads them: they are refused with 502")
		case compressor, f.of(harmless), i > authz && f.of(idle), !f.used, responsesOnly(f):
		case i < authz:
			e.warn("before", where+", "+name, "look at whether it answers or changes requests that memgate has not seen", "stands before ext_authz")
		case i > authz && i < wasm:
			e.warn("between", where+", "+name, "put it before ext_authz, or after the content filter", "stands between ext_authz and the content filter, and may change what was decided on")
		case i > wasm && rewrites(f):
			e.warn("after", where+", "+name, "put it before ext_authz", "may change what was decided on and read")
		}
		if i > authz && (f.config.yes("clear_route_cache") || f.config.text("route_cache_action") == "CLEAR") {
			e.err("route-cache", where+", "+name, "do not let it clear the route cache", "chooses the route again after memgate has decided on another")
		}
	}
}

// responsesOnly reports whether a filter changes headers of responses and nothing else.
func responsesOnly(f filter) bool {
	return strings.Contains(f.kind, ".header_mutation.") && len(f.config.list("mutations", "request_mutations")) == 0
}

// rewrites reports whether a filter can change a request after it was checked.
func rewrites(f filter) bool {
	for _, kind := range []string{".lua.", ".ext_proc.", ".header_mutation.", ".golang.", ".dynamic_modules.", ".decompressor.", ".wasm."} {
		if strings.Contains(f.kind, kind) {
			return true
		}
	}
	return false
}

func (e *examination) routes(where string, m, table object, filters []filter, authz, wasm int) {
	if table == nil {
		e.warn("routes", where, "ask again when the control plane has sent them", "has no routes yet")
		return
	}
	byMetadata := false
	for _, host := range table.list("virtual_hosts") {
		for _, r := range host.list("routes") {
			if r.object("route") == nil {
				continue
			}
			byMetadata = byMetadata || len(r.list("match", "dynamic_metadata")) > 0
			name := r.text("name")
			if name == "" {
				name = "without a name"
			}
			at := where + ", route " + name
			for _, own := range []struct {
				index      int
				rule, what string
			}{{authz, "route-authz", "is not decided by memgate"}, {wasm, "route-wasm", "is not read by the content filter"}} {
				if own.index < 0 {
					continue
				}
				f := filters[own.index]
				if !f.on(table, host, r) {
					e.err(own.rule, at, "remove what turns "+f.name+" off for it (typed_per_filter_config); in Envoy Gateway, a policy on the route takes the place of the gateway's", "%s", own.what)
				}
			}
		}
	}
	if byMetadata && authz >= 0 && !filters[authz].config.yes("clear_route_cache") {
		e.err("clear-route-cache", where, "set clear_route_cache of ext_authz", "routes by memgate's decision, and chooses the route before it is known")
	}
	if forward := m.text("forward_client_cert_details"); forward == "ALWAYS_FORWARD_ONLY" || forward == "FORWARD_ONLY" {
		e.err("client-cert-header", where, "set forward_client_cert_details to SANITIZE or SANITIZE_SET", "forwards what a client says of its own certificate")
	}
}

// hardening is how Envoy reads requests: otherwise than memgate's own Envoy does,
// other services may read them otherwise than memgate did.
func (e *examination) hardening(where string, m object) {
	for _, h := range []struct {
		ok                    bool
		rule, member, problem string
	}{
		{m.yes("normalize_path"), "normalize-path", "normalize_path", "does not normalize paths: a path could mean one thing to memgate and another to the service"},
		{m.yes("merge_slashes"), "merge-slashes", "merge_slashes", "does not merge slashes in paths"},
	} {
		if !h.ok {
			e.warn(h.rule, where, "set "+h.member+"; in Istio, meshConfig.pathNormalization", "%s", h.problem)
		}
	}
}
