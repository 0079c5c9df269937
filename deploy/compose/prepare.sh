#!/usr/bin/env bash
# Makes what docker-compose.yml needs: binaries for Linux in build/linux, and
# in deploy/compose/secrets the hash of an API key. Prints the key when it made
# one; a key that exists is kept. In deploy/compose/state memgate keeps its state.
#
# usage: prepare.sh [folder with memgate.yaml, where secrets/ and state/ go]
set -euo pipefail
dir=$(cd "${1:-$(dirname "$0")}" && pwd)
cd "$(dirname "$0")/../.."

version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
case $(uname -m) in
arm64 | aarch64) arch=arm64 ;;
*) arch=amd64 ;;
esac
out=build/linux
mkdir -p "$out/data"
build() { CGO_ENABLED=0 go build -trimpath "$@"; }
GOOS=linux GOARCH=$arch build -ldflags="-s -w -X main.version=$version" -o "$out/memgate" ./filter/cmd/memgate
GOOS=linux GOARCH=$arch build -ldflags="-s -w -X main.version=$version" -o "$out/memory-backend" ./memory-backend/cmd/memory-backend
GOOS=wasip1 GOARCH=wasm build -buildmode=c-shared -ldflags="-s -w" -o "$out/memgate.wasm" ./wasm
# Read in containers by another user, whatever the umask here.
chmod 755 "$out" "$out/memgate" "$out/memory-backend"
chmod 644 "$out/memgate.wasm" deploy/compose/envoy.yaml "$dir/memgate.yaml"
chmod 700 "$out/data"

# memgate runs as the owner of its secrets: as root that is the user of the
# images, otherwise it is you, whom compose reads from .env.
if [ "$(id -u)" -ne 0 ] && ! grep -qs '^MEMGATE_UID=' .env; then
  printf 'MEMGATE_UID=%s\nMEMGATE_GID=%s\n' "$(id -u)" "$(id -g)" >>.env
fi
if [ ! -e "$dir/secrets/keys.yaml" ]; then
  mkdir -p -m 700 "$dir/secrets"
  go run ./filter/cmd/memgate key create --config "$dir/memgate.yaml" \
    --tenant demo --subject developer --scope "memory:read memory:write"
fi
[ -d "$dir/state" ] || mkdir -m 700 "$dir/state"
[ "$(id -u)" -ne 0 ] || chown -R 65532:65532 "$dir/secrets" "$dir/state"
