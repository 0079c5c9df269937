#!/usr/bin/env bash
# Makes what docker-compose.yml needs: binaries for Linux in build/linux, and
# in deploy/compose/secrets an API key's hash. Prints the key when it made one.
# Safe to run again: a key that exists is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 077

version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
case $(uname -m) in
arm64 | aarch64) arch=arm64 ;;
*) arch=amd64 ;;
esac
out=build/linux
mkdir -p "$out/data"
build() { CGO_ENABLED=0 GOOS=linux GOARCH=${GOARCH:-$arch} go build -trimpath -ldflags="-s -w -X main.version=$version" "$@"; }
build -o "$out/memgate" ./filter/cmd/memgate
build -o "$out/memory-backend" ./memory-backend/cmd/memory-backend
GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -buildmode=c-shared -ldflags="-s -w" -o "$out/memgate.wasm" ./wasm
chmod 755 "$out/memgate" "$out/memory-backend"
chmod 700 "$out/data"
chmod 644 "$out/memgate.wasm"
# Mounted into containers that run as another user.
chmod go+r deploy/compose/memgate.yaml deploy/compose/envoy.yaml

# memgate runs as the owner of its secrets. As root that is the user of the
# images; otherwise it is you, which compose reads from .env.
secrets=deploy/compose/secrets
mkdir -p "$secrets"
if [ "$(id -u)" -ne 0 ]; then
  touch .env
  grep -q '^MEMGATE_UID=' .env || printf 'MEMGATE_UID=%s\nMEMGATE_GID=%s\n' "$(id -u)" "$(id -g)" >>.env
fi
if [ ! -e "$secrets/keys.yaml" ]; then
  go run ./filter/cmd/memgate key create --config deploy/compose/memgate.yaml \
    --tenant demo --subject developer --scope "memory:read memory:write"
fi
[ "$(id -u)" -ne 0 ] || chown -R 65532:65532 "$secrets"
