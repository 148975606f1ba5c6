#!/usr/bin/env bash
# kill -9 at random moments, then --resume: the bytes must be those of an undisturbed run.
#   scripts/check/crash_filter.sh [BUILD [KILLS [INPUT.jsonl]]]     seed in SEED
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-build}/ds-filter; kills=${2:-60}; input=${3:-}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
RANDOM=${SEED:-20240607}
if [ -z "$input" ]; then
  input=$tmp/in.jsonl
  for ((i = 0; i < 60; ++i)); do sed "s/\"id\": \"/\"id\": \"$i-/" data/filter/demo-raw.jsonl; done > "$input"
fi
run() { "$bin" -q "$input" -o "$1/" --rejects "$1/rejects/" --bad-lines "$1/bad.jsonl" "${@:2}"; }
mkdir -p "$tmp/whole" "$tmp/out"
started=$(date +%s%N); run "$tmp/whole"; whole_ms=$((($(date +%s%N) - started) / 1000000))
echo "undisturbed: $whole_ms ms; seed ${SEED:-20240607}"
landed=0 rounds=0 differ=0
while ((landed < kills)); do
  rm -rf "$tmp/out" "$tmp/out.work"; mkdir "$tmp/out"
  for ((k = 0; k < 1 + RANDOM % 3; ++k)); do  # some runs are killed more than once
    (exec "$bin" -q "$input" -o "$tmp/out/" --rejects "$tmp/out/rejects/" --bad-lines "$tmp/out/bad.jsonl" --resume 2> /dev/null) & pid=$!
    sleep "$(awk -v m=$whole_ms -v r=$RANDOM 'BEGIN { printf "%.3f", m * r / 32768 / 1000 }')"
    if kill -9 $pid 2> /dev/null; then landed=$((landed + 1)); fi
    wait $pid 2> /dev/null || true
  done
  run "$tmp/out" --resume
  diff -r "$tmp/whole" "$tmp/out" > /dev/null || differ=$((differ + 1))
  rounds=$((rounds + 1))
done
echo "$landed kills in $rounds runs, $differ differ"
[ $differ = 0 ]
