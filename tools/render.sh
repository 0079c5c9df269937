#!/usr/bin/env bash
# Everything `make render` rewrites. `git diff` afterwards shows what changed.
set -euo pipefail
cd "$(dirname "$0")/.."

# A file is replaced only by a whole one.
write() {
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  "$@" >"$file.new" || { rm -f "$file.new"; return 1; }
  mv "$file.new" "$file"
  printf 'wrote %s\n' "$file"
}

write docs/memgate.schema.json build/memgate schema
write docs/policy.md build/memgate docs policy
write docs/problems.md sh -c 'cat docs/problems.head.md && build/memgate docs problems'
write docs/entities.md build/memgate docs entities
write envoy/envoy.yaml build/memgate render envoy
# The containers have the routes of memgate.yaml under a head of their own.
write deploy/compose/memgate.yaml sh -c "cat deploy/compose/head.yaml && sed -n '/^routes:/,\$p' memgate.yaml"
write deploy/compose/envoy.yaml build/memgate render envoy --config deploy/compose/memgate.yaml

# Golden files: the packages whose tests declare an -update flag.
mapfile -t golden < <(grep -rlE --include='*_test.go' 'flag\.Bool(Var)?\(.*"update"' filter wasm envoy memory-backend e2e | xargs -r -n1 dirname | sort -u)
if [ "${#golden[@]}" -gt 0 ]; then
  go test "${golden[@]/#/./}" -update
fi
