#!/usr/bin/env bash
# What records that share steps gain over one after the other, as ratios of wall time, taken turn by turn:
#   32 records with prompts of 20 tokens and answers of 32, at --concurrency 1 and at 2, 4, 8, 16;
#   16 records that begin with the same 2,000 tokens against 16 that do not, both at --concurrency 8.
# scripts/bench/batch.sh [MODEL]   BUILD=build ROUNDS=3 THREADS=2; without MODEL the BF16 model that scripts/bench/run.sh makes
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
rounds=${ROUNDS:-3}
model=${1:-${PERF_DIR:-.cache/perf}/qwen2-1.5b-bf16}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# records N TOKENS ANSWER SHARED: the first SHARED tokens of each prompt are those of every other.
records() {
  awk -v n="$1" -v tokens="$2" -v answer="$3" -v shared="$4" 'BEGIN {
    for (i = 0; i < n; ++i) {
      ids = ""
      for (k = 0; k < tokens; ++k) ids = ids (k ? "," : "") (k < shared ? k % 200 : (i * 7 + k * 13) % 200 + 20)
      printf "{\"input_ids\":[%s],\"max_tokens\":%d,\"temperature\":0}\n", ids, answer
    }
  }'
}
records 32 20 32 0 > "$work/short"
records 16 2020 2 0 > "$work/distinct"
records 16 2020 2 2000 > "$work/shared"

# Seconds that ds-run takes for the file at this concurrency; loading the model is part of it.
seconds() {
  local begin
  begin=$(date +%s%N)
  "$build/ds-run" "$model" --jsonl "$work/$1" --concurrency "$2" --ctx 4096 --threads "${THREADS:-2}" -q > "$work/out"
  echo "$begin $(date +%s%N)" | awk '{printf "%.3f\n", ($2 - $1) / 1e9}'
}
median() { sort -n | awk '{x[NR] = $1} END {printf "%.2f", NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2}'; }
# ratio FILE N FILE N: how many times as long the first takes as the second, median of paired rounds.
ratio() {
  for _ in $(seq "$rounds"); do
    echo "$(seconds "$1" "$2") $(seconds "$3" "$4")" | awk '{print $1 / $2}'
  done | median
}
for n in 2 4 8 16; do
  echo "answers: --concurrency 1 takes $(ratio short 1 short "$n") times as long as $n"
done
echo "prompts: 16 different ones take $(ratio distinct 8 shared 8) times as long as 16 that share 2,000 tokens"
