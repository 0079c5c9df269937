// Package render derives the configuration of a proxy from a policy.
//
// [Envoy] builds a complete bootstrap of a standalone Envoy, and [YAML] writes
// any such message down in a stable, readable form. The bootstrap follows
// Envoy's edge best practices
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge):
// paths are normalized before anything decides on them, sizes, counts and times
// are bounded, Envoy sheds load before it runs out of memory, and its admin
// interface listens on loopback only.
//
// The order of the HTTP filters is the one that every mesh produces:
// ext_authz, wasm, router. It stands in [httpFilters] and nowhere else.
package render
