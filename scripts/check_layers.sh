#!/usr/bin/env bash
# Includes only point down: L0 core < L1 io text report kernels < L2 model quant filter < L3 infer train < L4 bench < tools.
# Folders of one level do not include each other. Prints each breach and exits 1.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
breach() { printf 'layer breach: %s\n' "$1"; bad=1; }

# allow FOLDER PREFIX...: quoted includes with a slash inside FOLDER must start with one of the prefixes.
allow() {
  local folder=$1; shift
  [ -d "$folder" ] || return 0
  local pattern="^($(IFS='|'; echo "$*"))/"
  while IFS= read -r hit; do
    local inc=${hit#*\"}; inc=${inc%\"*}
    [[ $inc =~ $pattern ]] || breach "$hit"
  done < <(grep -rnE '^#include "[^"]*/' "$folder" --include='*.h' --include='*.cpp' --include='*.cu' || true)
}
allow lib/core core
allow lib/io core io
allow lib/text core text
allow lib/report core report
allow kernels core kernels
l1="core io text report kernels"
allow lib/model $l1 model
allow lib/quant $l1 quant
allow lib/filter $l1 filter
l2="$l1 model quant filter"
allow lib/infer $l2 infer
allow lib/train $l2 train
allow lib/bench $l2 infer train bench

# only GLOB-REGEX HEADER-REGEX: the header may be included by files that match the first pattern alone.
only() {
  while IFS= read -r hit; do
    [[ ${hit%%:*} =~ $1 ]] || breach "$hit"
  done < <(grep -rnE "^#include [<\"]($2)" tools lib kernels --include='*.h' --include='*.cpp' --include='*.cu' || true)
}
only '^lib/(io|text)/.*\.cpp$' 'simdjson'
only '^tools/' 'CLI/'
only '(\.cu|^kernels/cuda/.*)$' 'cuda|cublas'

while IFS= read -r dir; do breach "folder named $dir"; done < <(find tools lib kernels -type d \( -name util -o -name common \))
for tool in tools/ds-*.cpp; do
  [ -e "$tool" ] || continue
  n=$(wc -l < "$tool"); [ "$n" -le 262 ] || breach "$tool has $n lines: a tool is options > one library call > report"
done
[ $bad = 0 ] && echo "layers: includes point down"
exit $bad
