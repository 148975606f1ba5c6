#!/usr/bin/env bash
# Configures the tree that fuzz targets and sanitized unit tests share, so that the libraries are compiled once.
#   scripts/make/configure_fuzz.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/make/configure.sh "${1:?usage: scripts/make/configure_fuzz.sh BUILD}" -DCMAKE_CXX_COMPILER=clang++ -DDS_FUZZ=ON \
  -DDS_SANITIZE=address,undefined
