#!/usr/bin/env bash
# Prints the path of OPA's Envoy plugin, which the benchmarks compare with:
# $OPA_ENVOY, else the one in .tools/, which is built there once from its own
# module, so that none of its dependencies is one of memgate's. Exits with 3 when it
# cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.19.1-envoy
if [ -n "${OPA_ENVOY:-}" ]; then
  command -v -- "$OPA_ENVOY" || { printf 'memgate: OPA_ENVOY is set to %s, which is not an executable file.\n' "$OPA_ENVOY" >&2; exit 1; }
  exit 0
fi
bin=$PWD/.tools/opa/$version/opa-envoy-plugin
if [ ! -x "$bin" ]; then
  printf 'memgate: building the Envoy plugin of OPA %s, which the benchmarks compare with\n' "$version" >&2
  GOBIN=$(dirname "$bin") go install "github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin@$version" >&2 || exit 3
fi
printf '%s\n' "$bin"
