#!/usr/bin/env bash
# Is the installed tree relocatable, and does the package install and run? Installs into a folder and moves it; installs
# the .deb of `make deb` with apt into a bare Debian; runs every tool from both, without the source tree in sight.
#   sudo scripts/check/package.sh BUILD [SUITE=bookworm]
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/check/bare_root.sh
build=$(realpath "${1:?usage: scripts/check/package.sh BUILD [SUITE]}")
suite=${2:-bookworm}
need_bare_root_tools
make_bare_root "$suite"
work=$bare_root/tmp

# try PREFIX [RUN...]: every tool from there, the model and the evaluation sets from its share/; RUN puts a command before
# each.
try() {
  local prefix=$1 answer
  shift
  answer=$("$@" "$prefix/bin/ds-run" "$prefix/share/dstools/dsv3-tiny" 'Why is the sky blue?' -q < /dev/null)
  [[ $answer == Sunlight* ]] || { echo "package: ds-run says: $answer"; return 1; }
  "$@" "$prefix/bin/ds-bench" eval "$prefix/share/dstools/dsv3-tiny" --set math --limit 3 -q | grep '"correct":true' > /dev/null ||
    { echo "package: ds-bench eval finds no questions"; return 1; }
  "$@" "$prefix/bin/ds-filter" -q explain "$prefix/share/dstools/dsv3-tiny-data/eval_math.jsonl" --id math-add-000 > /dev/null
  "$@" "$prefix/bin/ds-quantize" "$prefix/share/dstools/dsv3-tiny" -q --dry-run > /dev/null
  "$@" test -s "$prefix/share/man/man1/ds-run.1" || { echo "package: no man page"; return 1; }
  echo "package: runs from $prefix"
}

cmake --install "$build" --prefix "$work/first" > "$work/log"
mv "$work/first" "$work/moved here"
(cd / && try "$work/moved here")

deb=$(find "$build" -maxdepth 1 -name 'dstools_*.deb' | head -n 1)
[ -n "$deb" ] || { echo "package: no .deb yet: make deb"; exit 1; }
dpkg-deb --info "$deb" | grep -E '^ (Package|Version|Depends)'
cp "$deb" "$work/dstools.deb"
quietly inside apt-get -q -y install --no-install-recommends /tmp/dstools.deb
try /usr inside
