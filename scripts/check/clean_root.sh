#!/usr/bin/env bash
# Proves both commands of the README in a bare Debian 12: debootstrap makes the root, apt adds git, make and
# ca-certificates and nothing else, the committed state of this repository is cloned into it, then `make demo` and
# `make test` run there as given. Prints timings and PASS or FAIL. Needs what scripts/check/bare_root.sh needs.
#   sudo scripts/check/clean_root.sh [SUITE=bookworm] [TARGET...=demo test]
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/check/bare_root.sh
suite=${1:-bookworm}
[ $# = 0 ] || shift
targets=("$@")
[ ${#targets[@]} != 0 ] || targets=(demo test)
need_bare_root_tools

result=PASS
# timed NAME COMMAND...: shows the command's output as it comes and how long it took.
timed() {
  local name=$1 begin=$SECONDS rc=0
  shift
  "$@" || rc=$?
  summary+=("$(printf '%-28s %5d s  %s' "$name" $((SECONDS - begin)) "$([ $rc = 0 ] && echo good || echo "FAILED ($rc)")")")
  [ $rc = 0 ] || result=FAIL
  return $rc
}
summary=()
finish() {
  printf '\n'
  printf '%s\n' "${summary[@]}"
  echo "clean root, $suite, commit $(git rev-parse --short HEAD): $result"
  [ $result = PASS ]
}

timed "debootstrap $suite" make_bare_root "$suite" || { finish; exit 1; }
timed "apt: git make" quietly inside \
  apt-get -q -y install --no-install-recommends git make ca-certificates || { finish; exit 1; }
git init -q --bare -b main "$bare_root/srv/dstools.git"
git push -q "file://$bare_root/srv/dstools.git" HEAD:refs/heads/main
timed "git clone" quietly inside git clone file:///srv/dstools.git /root/dstools || { finish; exit 1; }
for target in "${targets[@]}"; do
  timed "make $target" inside make -C /root/dstools "$target" || true
done
finish
