#!/usr/bin/env bash
# Prints the path of a folder whose node_modules hold the OpenID provider that
# the end-to-end tests run, made once in .tools/node. Exits with 3 when there is
# no Node.js or npm.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'memgate: %s\n' "$*" >&2; exit 1; }

node=$PWD/.tools/node
command -v node >/dev/null && command -v npm >/dev/null || exit 3
if [ -d "$node/node_modules/oidc-provider" ] && cmp -s tools/node/package-lock.json "$node/installed.json"; then
  printf '%s\n' "$node"
  exit 0
fi
printf 'memgate: fetching the OpenID provider for the tests with npm\n' >&2
rm -rf "$node"
mkdir -p "$node"
cp tools/node/package.json tools/node/package-lock.json "$node"
# Exactly what the lock file names, checked by its digests; nothing of it runs.
(cd "$node" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --omit-lockfile-registry-resolved=true --loglevel=error >&2) ||
  die "the OpenID provider could not be fetched with npm."
cp tools/node/package-lock.json "$node/installed.json"
printf '%s\n' "$node"
