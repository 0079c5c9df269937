#!/usr/bin/env bash
# Measures the detectors: precision and recall of each entity on made text, beside
# Presidio's on the same text, and what is found in Go's own source and texts; then the
# rules for planted instructions, on text that they were not written from.
# Arguments go to both measures, such as -each 200 -seed 7.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/quality" ./filter/pii/quality
"$work/quality" "$@" -write "$work/texts"
venv=$(tools/venv.sh presidio)
"$venv/bin/python" tools/presidio.py "$work/texts" >"$work/findings" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
"$work/quality" "$@" -other "$work/findings" -corpus "$(go env GOROOT)"

go run ./filter/poison/quality "$@" -corpus "$(go env GOROOT)"
