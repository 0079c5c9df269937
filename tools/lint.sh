#!/usr/bin/env bash
# Everything `make lint` checks. Each check runs even when one before it
# failed, so that one run shows all there is to mend.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=()
tool() { go tool -modfile=tools/go.mod "$@"; }
check() {
  local name=$1
  shift
  printf '== %s\n' "$name"
  "$@" || failed+=("$name")
}

formatted() {
  local files
  files=$(git ls-files -co --exclude-standard -z -- '*.go' | xargs -0 -r gofmt -l) || return 1
  [ -z "$files" ] || { printf 'not formatted by gofmt:\n%s\n' "$files"; return 1; }
}

scripts() {
  local file status=0
  while IFS= read -r -d '' file; do
    bash -n "$file" || status=1
  done < <(git ls-files -co --exclude-standard -z -- '*.sh' .ci/run)
  return "$status"
}

# The filter is compiled for another system than the rest: both are looked at.
vet() { go vet ./... && go vet -tags mesh ./e2e/mesh && GOOS=wasip1 GOARCH=wasm go vet ./wasm/...; }
static() {
  local bin
  tool staticcheck ./... && tool staticcheck -tags mesh ./e2e/mesh || return 1
  bin=$(go tool -modfile=tools/go.mod -n staticcheck) && GOOS=wasip1 GOARCH=wasm "$bin" ./wasm/...
}

# The history, and a copy of the tree without what git ignores: fetched tools,
# binaries, development keys.
secrets() {
  local flags=(--no-banner --no-color --verbose --redact --log-level warn --config "$PWD/.gitleaks.toml") status=0
  local tree=build/tree bin
  rm -rf "$tree" && mkdir -p "$tree" || return 1
  git ls-files -coz --exclude-standard -- . | tar --null -T - -cf - 2>/dev/null | tar -xf - -C "$tree"
  tool gitleaks git "${flags[@]}" . || status=1
  bin=$(go tool -modfile=tools/go.mod -n gitleaks) && (cd "$tree" && "$bin" dir "${flags[@]}" .) || status=1
  rm -rf "$tree"
  return "$status"
}

# A vulnerability found fails. A database that cannot be reached does not, but
# is never silent: GOVULNDB names another one (file:// works).
vulnerabilities() {
  local out status=0
  out=$(tool govulncheck ${GOVULNDB:+-db "$GOVULNDB"} ./... 2>&1) || status=$?
  printf '%s\n' "$out"
  case $status in
  0) return 0 ;;
  3) return 1 ;;
  esac
  if grep -qiE 'dial tcp|no such host|connection refused|i/o timeout|TLS handshake|proxyconnect|HTTP GET|fetching vulnerabilities|unexpected status|403 Forbidden|network is unreachable' <<<"$out"; then
    printf '%s\n' \
      '!!' \
      '!! VULNERABILITIES WERE NOT CHECKED: the database could not be reached.' \
      '!! Set GOVULNDB to one that can be (https:// or file://), or run this where it is.' \
      '!!'
    return 0
  fi
  return 1
}

check gofmt formatted
check 'bash -n' scripts
check 'go vet' vet
check staticcheck static
check gitleaks secrets
check govulncheck vulnerabilities

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'lint failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
  exit 1
fi
printf 'lint passed\n'
