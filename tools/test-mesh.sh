#!/usr/bin/env bash
# Everything `make test-mesh` runs: what is rendered for meshes, held against the
# definitions of their objects, and through Istio's own translation and Envoy
# Gateway's own server to a real Envoy. Not part of `make test`: building those
# takes minutes and gigabytes of cache. The modules below are their own, so that
# none of their dependencies gets into memgate's.
set -euo pipefail
cd "$(dirname "$0")/.."

ENVOY=$(tools/envoy.sh)
export ENVOY
run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

status=0
(cd e2e/mesh/static && run go test -count=1 .) || status=1
(cd e2e/mesh/helm && run go test -count=1 .) || status=1
(cd e2e/mesh/istio && run nice go build -o ../../../build/pilot .)
(cd e2e/mesh/gateway && run nice go build -o ../../../build/envoy-gateway github.com/envoyproxy/gateway/cmd/envoy-gateway)

# A network of its own for each suite: Envoy Gateway's ports are fixed.
private="-exec=$PWD/tools/private.sh"
run go test "$private" -tags mesh -v -count=1 -timeout 30m ./e2e/mesh || status=1

# through EDGE SUITE... runs suites through an Envoy that a mesh configures.
through() {
  EDGE=$1 SKIPPED=$PWD/build/skipped-$1.txt
  export EDGE SKIPPED
  : >"$SKIPPED"
  shift
  run python3 tools/gotest.py "$private" -v -count=1 -p 1 -timeout 30m "${@/#/./e2e/}" || status=1
}
# With a WasmPlugin, and with the EnvoyFilter of --hold-headers, which lacks least.
through istio-sidecar failure rights
through istio-gateway failure keys rights
through istio-sidecar-holds failure rights
through istio-gateway-holds attacks audit edge failure limits mcp mem0 observe sessions
through envoy-gateway rights failure
through envoy-gateway-holds rights failure attacks edge sessions

for edge in istio-sidecar istio-gateway istio-sidecar-holds istio-gateway-holds envoy-gateway envoy-gateway-holds; do
  printf '\nThrough %s, not tested: %s\n' "$edge" "$(wc -l <"build/skipped-$edge.txt")"
  cat "build/skipped-$edge.txt"
done
exit "$status"
