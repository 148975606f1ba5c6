#!/usr/bin/env bash
# Includes only point down: L0 core < L1 io text report kernels < L2 checkpoint < L3 model quant filter < L4 infer train < L5 bench < tools.
# Folders of one level do not include each other. Prints each breach and exits 1.
set -euo pipefail
cd "$(dirname "$0")/../.."
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
allow lib/checkpoint $l1 checkpoint
allow lib/model $l1 checkpoint model
allow lib/quant $l1 checkpoint quant
allow lib/filter $l1 filter
l3="$l1 checkpoint model quant filter"
allow lib/infer $l3 infer
allow lib/train $l3 train
allow lib/bench $l3 infer train bench

# only GLOB-REGEX HEADER-REGEX: the header may be included by files that match the first pattern alone.
only() {
  while IFS= read -r hit; do
    [[ ${hit%%:*} =~ $1 ]] || breach "$hit"
  done < <(grep -rnE "^#include [<\"]($2)" tools lib kernels --include='*.h' --include='*.cpp' --include='*.cu' || true)
}
only '^lib/(io|text)/.*\.cpp$' 'simdjson'
# core/json.h declares the document, core/json_value.h defines it for who holds, builds or walks one.
only '^lib/core/json(_value)?\.h$' 'nlohmann'
only '^tools/' 'CLI/'
only '(\.cu|^kernels/cuda/.*)$' 'cuda|cublas'

while IFS= read -r dir; do breach "folder named $dir"; done < <(find tools lib kernels -type d \( -name util -o -name common \))
for tool in tools/ds-*.cpp; do
  [ -e "$tool" ] || continue
  n=$(wc -l < "$tool"); [ "$n" -le 150 ] || breach "$tool has $n lines: a tool is options > one library call > report"
done
[ $bad = 0 ] && echo "layers: includes point down"
exit $bad
