#!/usr/bin/env bash
# Is the installed tree relocatable, and does the package run? Installs into a folder and moves it; unpacks the .deb of
# `make deb` into an empty root (debootstrap's, where that is there, else a bare folder); runs every tool from both,
# without the source tree in sight.
#   scripts/check/package.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:?usage: scripts/check/package.sh BUILD}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# try PREFIX: every tool from there, the model and the evaluation sets from its share/.
try() {
  local prefix=$1 answer
  answer=$(cd / && "$prefix/bin/ds-run" "$prefix/share/dstools/dsv3-tiny" 'Why is the sky blue?' -q < /dev/null)
  [[ $answer == Sunlight* ]] || { echo "package: ds-run says: $answer"; return 1; }
  (cd / && "$prefix/bin/ds-bench" eval "$prefix/share/dstools/dsv3-tiny" --set math --limit 3 -q > "$work/items")
  grep -q '"correct":true' "$work/items" || { echo "package: ds-bench eval finds no questions"; return 1; }
  echo '{"text":"short"}' | "$prefix/bin/ds-filter" -q > "$work/clean"
  "$prefix/bin/ds-quantize" "$prefix/share/dstools/dsv3-tiny" -o "$work/fp8" -q
  rm -r "$work/fp8"
  [ -s "$prefix/share/man/man1/ds-run.1" ] || { echo "package: no man page"; return 1; }
  echo "package: runs from $prefix"
}

cmake --install "$build" --prefix "$work/first" > "$work/log"
mv "$work/first" "$work/moved here"
try "$work/moved here"

deb=$(find "$build" -maxdepth 1 -name 'dstools_*.deb' | head -n 1)
[ -n "$deb" ] || { echo "package: no .deb yet: make deb"; exit 1; }
dpkg-deb --info "$deb" | grep -E '^ (Package|Version|Depends)'
dpkg-deb -x "$deb" "$work/root"
try "$work/root/usr"
