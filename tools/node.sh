#!/usr/bin/env bash
# Prints the path of a folder whose node_modules hold what the end-to-end tests
# run with Node.js, made once in .tools/NAME from tools/NAME: node (the default)
# is an OpenID provider, mcp an MCP server, clients those of MCP and of mem0. Exits
# with 3 when there is no Node.js or npm.
#
# usage: node.sh [NAME]
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'memgate: %s\n' "$*" >&2; exit 1; }

name=${1:-node}
wanted=tools/$name
node=$PWD/.tools/$name
command -v node >/dev/null && command -v npm >/dev/null || exit 3
if [ -d "$node/node_modules" ] && cmp -s "$wanted/package-lock.json" "$node/installed.json"; then
  printf '%s\n' "$node"
  exit 0
fi
printf 'memgate: fetching %s for the tests with npm\n' "$(sed -n 's/^ *"\(.*\)": "[0-9.]*"$/\1/p' "$wanted/package.json")" >&2
rm -rf "$node"
mkdir -p "$node"
cp "$wanted/package.json" "$wanted/package-lock.json" "$node"
# Exactly what the lock file names, checked by its digests; nothing of it runs.
(cd "$node" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --omit-lockfile-registry-resolved=true --loglevel=error >&2) ||
  die "what tools/$name names could not be fetched with npm."
cp "$wanted/package-lock.json" "$node/installed.json"
printf '%s\n' "$node"
