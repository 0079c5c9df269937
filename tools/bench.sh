#!/usr/bin/env bash
# `make bench`: memgate against its budgets and peers, then the Go benchmarks.
# With BENCH=short the first alone, and a quarter as long. Ends within twenty minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

ENVOY=$(tools/envoy.sh)
export ENVOY
flags=()
if opa=$(tools/opa.sh); then flags+=(-opa "$opa"); fi
if venv=$(tools/venv.sh presidio); then flags+=(-presidio "$venv/bin/python"); fi
if [ "${BENCH:-}" = short ]; then flags+=(-short); fi
mkdir -p build
go build -trimpath -o build/bench ./e2e/bench
timeout 900 build/bench "${flags[@]}"
if [ "${BENCH:-}" != short ]; then
  printf '\nGo benchmarks\n'
  timeout 300 go test -run '^$' -bench . -benchmem -benchtime 100ms ./filter/... ./wasm/... ./memory-backend/... | grep -v 'no test files' || [ "$?" = 124 ]
fi
