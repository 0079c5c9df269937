#!/usr/bin/env bash
# Prints the path of a Python environment for the tests, made once in .tools/
# from tools/NAME-requirements.txt: mem0 (the default) is .tools/venv, any other
# .tools/NAME.
#
# usage: venv.sh [NAME]
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'memgate: %s\n' "$*" >&2; exit 1; }

name=${1:-mem0}
wanted=tools/$name-requirements.txt
case $name in
mem0) venv=$PWD/.tools/venv ;;
*) venv=$PWD/.tools/$name ;;
esac
if [ -x "$venv/bin/python" ] && cmp -s "$wanted" "$venv/installed.txt"; then
  printf '%s\n' "$venv"
  exit 0
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  die "Python 3.10 or newer is needed to test with $name; install it."
python3 -m pip --version >/dev/null 2>&1 || die "pip for Python 3 is needed to test with $name; install it."
printf 'memgate: fetching %s from PyPI\n' "$name" >&2
rm -rf "$venv"
# Without pip inside: distributions leave ensurepip out, and the outer pip can fill it.
python3 -m venv --without-pip "$venv" >&2 || die "python3 -m venv failed; install Python's venv module."
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-warn-conflicts \
  --target "$site" -r "$wanted" >&2 || die "$name could not be fetched from PyPI."
# Programs would run in the outer Python, which knows nothing of the packages here.
for program in "$site"/bin/*; do
  [ ! -f "$program" ] || ! head -c 2 "$program" | grep -q '#!' ||
    { { printf '#!%s/bin/python\n' "$venv" && tail -n +2 "$program"; } >"$venv/bin/${program##*/}" && chmod +x "$venv/bin/${program##*/}"; }
done
cp "$wanted" "$venv/installed.txt"
printf '%s\n' "$venv"
