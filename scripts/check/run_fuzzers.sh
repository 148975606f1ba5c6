#!/usr/bin/env bash
# Builds every tests/fuzz/*_fuzz.cpp with clang, ASan and UBSan, and runs each for a while.
#   scripts/check/run_fuzzers.sh BUILD     FUZZ_SECONDS=20 each, FUZZ_ONLY=name for one
# Seeds: tests/fuzz/corpus/NAME/ (kept as it is); what is found grows in BUILD/corpus/NAME. A crashing input stays
# in BUILD/crashes/. Ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: scripts/check/run_fuzzers.sh BUILD}
seconds=${FUZZ_SECONDS:-20}
jobs=${JOBS:-$(nproc)}

names=()
for source in tests/fuzz/*_fuzz.cpp; do
  [ -e "$source" ] || continue
  name=$(basename "$source" .cpp)
  [ -z "${FUZZ_ONLY:-}" ] || [ "$name" = "$FUZZ_ONLY" ] || [ "$name" = "${FUZZ_ONLY}_fuzz" ] || continue
  names+=("$name")
done
if [ ${#names[@]} = 0 ]; then echo "run_fuzzers: no target${FUZZ_ONLY:+ named $FUZZ_ONLY}" >&2; exit 1; fi
scripts/make/configure_fuzz.sh "$build"
cmake --build "$build" -j "$jobs" --target "${names[@]}"

fuzz_one() {
  local name=$1 short=${1%_fuzz} build=$2 seconds=$3
  local corpus=$build/corpus/$short seeds=tests/fuzz/corpus/$short log=$build/$name.log
  mkdir -p "$corpus" "$build/crashes"
  local dirs=("$corpus")
  [ ! -d "$seeds" ] || dirs+=("$seeds")
  local options=()
  [ ! -f "tests/fuzz/$short.dict" ] || options+=("-dict=tests/fuzz/$short.dict")
  # -timeout: an input that takes 10 s is a finding. The limit on memory finds sizes that are believed unchecked.
  if "$build/tests/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$build/crashes/$short-" \
    ${options[@]+"${options[@]}"} "${dirs[@]}" > "$log" 2>&1 < /dev/null; then
    echo "fuzz: $name clean after $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
  else
    tail -n 40 "$log"
    echo "fuzz: $name FAILED; the input is in $build/crashes, the log is $log"
    return 1
  fi
}
export -f fuzz_one
rm -f "$build"/crashes/failed-*
# shellcheck disable=SC2016
printf '%s\0' "${names[@]}" | xargs -0 -P "$jobs" -I {} \
  bash -c 'fuzz_one "$@" || touch "$2/crashes/failed-$1"' _ {} "$build" "$seconds"
n_failed=$(find "$build/crashes" -name 'failed-*' | wc -l)
echo "$((${#names[@]} - n_failed)) passed, $n_failed failed"
[ "$n_failed" = 0 ]
