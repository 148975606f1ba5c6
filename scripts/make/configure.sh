#!/usr/bin/env bash
# cmake, quietly: its output is shown only when it fails.
#   scripts/make/configure.sh BUILD [cmake arguments]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: scripts/make/configure.sh BUILD [cmake arguments]}
shift
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja "$@" > "$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
