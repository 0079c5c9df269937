#!/usr/bin/env bash
# Prints the path of a Python environment with the mem0 client for the
# end-to-end tests, made once in .tools/venv.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'memgate: %s\n' "$*" >&2; exit 1; }

venv=$PWD/.tools/venv
if [ -x "$venv/bin/python" ] && cmp -s tools/mem0-requirements.txt "$venv/installed.txt"; then
  printf '%s\n' "$venv"
  exit 0
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  die "Python 3.10 or newer is needed to test with the mem0 client; install it."
python3 -m pip --version >/dev/null 2>&1 || die "pip for Python 3 is needed to test with the mem0 client; install it."
printf 'memgate: fetching the mem0 client from PyPI\n' >&2
rm -rf "$venv"
# Without pip inside: distributions leave ensurepip out, and the outer pip can fill it.
python3 -m venv --without-pip "$venv" >&2 || die "python3 -m venv failed; install Python's venv module."
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-warn-conflicts \
  --target "$site" -r tools/mem0-requirements.txt >&2 ||
  die "the mem0 client could not be fetched from PyPI."
cp tools/mem0-requirements.txt "$venv/installed.txt"
printf '%s\n' "$venv"
