#!/usr/bin/env bash
# Accuracy of the embedded model through ds-run, against what data/dsv3-tiny/README.md states. Exits 1 below it.
#   scripts/check/eval_embedded.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
failed=0
while read -r name least; do
  printf '%-16s ' "$name"
  scripts/check/answers.sh "$build" data/dsv3-tiny "data/dsv3-tiny-data/$name.jsonl" "$least" || failed=1
done << 'SETS'
eval_math 300
eval_multiturn 60
eval_reading 98
SETS
exit $failed
