#!/usr/bin/env bash
# Everything `make test` runs. Called by make, which has built build/ before.
set -euo pipefail
cd "$(dirname "$0")/.."

ENVOY=$(tools/envoy.sh)
MEMGATE_VENV=$(tools/venv.sh)
# The mem0 client reports usage and writes to the home folder unless told not to.
MEM0_TELEMETRY=False
MEM0_DIR=$PWD/.tools/mem0
MEM0_PYTHON=$MEMGATE_VENV/bin/python
SCHEMATHESIS=$(tools/venv.sh schemathesis)/bin/st
export ENVOY MEMGATE_VENV MEM0_PYTHON SCHEMATHESIS MEM0_TELEMETRY MEM0_DIR
"$ENVOY" --version | grep -o 'version: .*' | sed "s|^|envoy ($ENVOY) |"

if ! chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome); then
  if [ "${CI:-}" = true ]; then
    echo 'memgate: no Chromium on PATH; CI must have one.' >&2
    exit 1
  fi
  echo '!! No Chromium on PATH: the browser tests will be skipped.' >&2
else
  printf 'chromium: %s\n' "$chromium"
fi

KINTO=$(tools/venv.sh kinto)/bin/kinto
export KINTO
if MEMGATE_NODE=$(tools/node.sh) && MEMGATE_MCP=$(tools/node.sh mcp) && MEMGATE_CLIENTS=$(tools/node.sh clients); then
  export MEMGATE_NODE MEMGATE_MCP MEMGATE_CLIENTS
  printf 'node: %s, oidc-provider in %s, an MCP server in %s, clients in %s\n' "$(node --version)" "$MEMGATE_NODE" "$MEMGATE_MCP" "$MEMGATE_CLIENTS"
elif [ "${CI:-}" = true ]; then
  echo 'memgate: no Node.js with npm, or what the tests run with it could not be fetched; CI must have it.' >&2
  exit 1
else
  echo '!! No Node.js with npm: tokens of a certified provider (e2e/idp), an MCP server (e2e/dropin) and the clients from npm (e2e/mcp, e2e/mem0) will not be tested.' >&2
fi

# The race detector needs a C compiler.
race=()
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; then
  race=(-race)
elif [ "${CI:-}" = true ]; then
  echo 'memgate: no C compiler; CI must have one for the race detector.' >&2
  exit 1
else
  echo '!! No C compiler: the tests run without the race detector.' >&2
fi

export SKIPPED=$PWD/build/skipped.txt
mkdir -p build
: >"$SKIPPED"
run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

status=0
run go vet ./... || status=1
mapfile -t units < <(go list ./... | grep -vE '/(e2e|deploy)(/|$)')
mapfile -t suites < <(go list ./... | grep -E '/(e2e|deploy)(/|$)')
run python3 tools/gotest.py "${race[@]}" -timeout 20m "${units[@]}" || status=1
# The images are of a module of their own, made of what is in build/.
(cd deploy/images && run go test -count=1 .) || status=1
# Test by test, as each drives real processes; never from the cache, which
# knows nothing of the binaries that they start.
if [ "${#suites[@]}" -gt 0 ]; then
  run python3 tools/gotest.py -v -count=1 -timeout 30m "${suites[@]}" || status=1
fi

if [ -s "$SKIPPED" ]; then
  printf '\n!! SKIPPED, so not tested here:\n'
  cat "$SKIPPED"
fi
exit "$status"
