#!/usr/bin/env bash
# Installs the packages dstools is built from, on Debian 12 and Ubuntu 24.04. Does nothing, and needs no
# network, when all of them are there.
#   scripts/make/install_deps.sh        what `make` needs
#   scripts/make/install_deps.sh --ci   also what sanitizers, fuzzers and the format check need
#   scripts/make/install_deps.sh --list prints the names and installs nothing
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config  # to build
  libcli11-dev libedit-dev          # command lines; the line that a chat's message is typed into (tools/)
  nlohmann-json3-dev libsimdjson-dev  # JSON documents; reading JSON streams
  libpcre2-dev libicu-dev           # tokenizer patterns, Unicode normalisation
  zlib1g-dev libzstd-dev liblzma-dev libbz2-dev  # compressed input
  libre2-dev libcld2-dev libxxhash-dev  # filter: patterns, language, hashes
  libcurl4-openssl-dev              # bench: talking to a server
  doctest-dev universal-ctags       # tests
)
ci_packages=(clang clang-format libclang-rt-dev)

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
list_only=no
for arg in "$@"; do
  case $arg in
    --ci) packages+=("${ci_packages[@]}") ;;
    --list) list_only=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install_deps: unknown option $arg" >&2; usage >&2; exit 2 ;;
  esac
done
if [ $list_only = yes ]; then printf '%s\n' "${packages[@]}"; exit 0; fi

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  echo "install_deps: no apt here, so nothing is installed. The packages under their Debian names:" >&2
  echo "  ${packages[*]}" >&2
  exit 0
fi

# Packages of the list that are not installed. A compiler that was installed by hand still counts.
missing_packages() {
  local name
  for name in "${packages[@]}"; do
    case $name in
      libclang-rt-dev) compgen -G '/usr/lib/*/clang/*/lib/linux/libclang_rt.fuzzer-*.a' > /dev/null && continue
                       compgen -G '/usr/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' > /dev/null && continue
                       compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' > /dev/null && continue ;;
      g++ | cmake | clang | clang-format) command -v "$name" > /dev/null && continue ;;
      ninja-build) command -v ninja > /dev/null && continue ;;
      pkg-config) command -v pkg-config > /dev/null && continue ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2> /dev/null || true)" = installed ] || echo "$name"
  done
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} = 0 ]; then
  echo "deps: all ${#packages[@]} packages are there"
  exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "install_deps: these packages are missing, and installing them needs root:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "deps: installing ${missing[*]}${as_root[*]:+ (with sudo)}"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" > "$log" 2>&1; }
fail() {
  tail -n 15 "$log" >&2
  echo "install_deps: $1. Missing: ${missing[*]}" >&2
  echo "  with a network: apt-get update && apt-get install ${missing[*]}" >&2
  exit 1
}
apt update || fail "apt-get update failed"
# The compiler runtime carries its version in its name (14 on Debian 12, 18 on Ubuntu 24.04); some releases have
# a package without it, too.
for i in "${!missing[@]}"; do
  if [ "${missing[i]}" = libclang-rt-dev ] && ! apt-cache show libclang-rt-dev > /dev/null 2>&1; then
    missing[i]=$(apt-cache search --names-only '^libclang-rt-[0-9]+-dev$' | sort -V | tail -n 1 | cut -d' ' -f1)
    clang_version=$(apt-cache depends clang 2> /dev/null | sed -n 's/.*Depends: clang-\([0-9]\+\)$/\1/p' | head -n 1)
    [ -z "$clang_version" ] || missing[i]=libclang-rt-$clang_version-dev
  fi
done
apt install --no-install-recommends "${missing[@]}" || fail "apt-get install failed"
echo "deps: installed"
