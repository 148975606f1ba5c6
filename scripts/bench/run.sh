#!/usr/bin/env bash
# Speed of ds-run's engine beside what this machine can do, in one go:
#   decode of a 1.5B-shaped model in BF16 and FP8 as a share of measured read bandwidth,
#   prefill of 512 tokens as a share of the measured peak rate of the best instruction set,
#   exec to first token of the embedded model and, when scripts/make/get_models.sh has fetched it, of SmolLM2.
# scripts/bench/run.sh [BUILD]   THREADS=2 ROUNDS=5 PERF_DIR=.cache/perf (6 GB of random weights, made once)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
threads=${THREADS:-2}
rounds=${ROUNDS:-5}
dir=${PERF_DIR:-.cache/perf}

scripts/make/configure.sh "$build"
cmake --build "$build" --target ds-run bench_model make_model
mkdir -p "$dir"
for type in bf16 fp8; do
  [ -f "$dir/qwen2-1.5b-$type/config.json" ] || "$build/tests/make_model" "$dir/qwen2-1.5b-$type" "$type"
  "$build/tests/bench_model" "$dir/qwen2-1.5b-$type" --threads "$threads" --rounds "$rounds"
done

# Median milliseconds from exec to the end of a one-token answer, page cache warm.
first_token() {
  local folder=$1 question=$2
  for _ in $(seq 0 10); do
    local begin end
    begin=$(date +%s%N)
    "$build/ds-run" "$folder" "$question" -n 1 --temperature 0 --threads "$threads" --quiet < /dev/null > /dev/null
    end=$(date +%s%N)
    echo $(((end - begin) / 10000))
  done | tail -n 10 | sort -n | sed -n 5p | awk -v f="$folder" '{printf "exec to first token of %s: %.1f ms (median of 10)\n", f, $1 / 100}'
}
first_token data/dsv3-tiny '345+278=?'
smollm2=${DS_MODELS:-models}/SmolLM2-135M-Instruct
[ ! -f "$smollm2/config.json" ] || first_token "$smollm2" 'What is the capital of France?'
