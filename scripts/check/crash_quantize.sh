#!/usr/bin/env bash
# kill -9 at N random moments, --resume each time: the folder is never half there and ends with identical bytes.
#   scripts/check/crash_quantize.sh [N] [MODEL] [WORK]       BIN=build, SEED=1, SIGNAL=9
# Small files and one slow thread give many moments to hit. Every kill is followed by a look: config.json only where all
# is there, no shard that does not match the reference under its final name.
set -euo pipefail
n=${1:-200} model=${2:-data/dsv3-tiny} work=${3:-$(mktemp -d)} bin=${BIN:-build}
signal=${SIGNAL:-9}
RANDOM=${SEED:-1}
options=(--max-shard-size 300kB --threads 1 --isa scalar --quiet)
mkdir -p "$work"; trap 'rm -rf "$work/want" "$work/out"' EXIT
rm -rf "$work/want" "$work/out"
start=$(date +%s%N)
"$bin/ds-quantize" "$model" -o "$work/want" "${options[@]}"
took_us=$((($(date +%s%N) - start) / 1000))
sums() { (cd "$1" && find . -type f ! -name '*.partial' ! -name 'ds-quantize.manifest.jsonl' -print0 | sort -z | xargs -0 -r sha256sum); }
want=$(sums "$work/want")
kills=0 completed=0 runs=0
while [ $kills -lt "$n" ]; do
  runs=$((runs + 1))
  "$bin/ds-quantize" "$model" -o "$work/out" "${options[@]}" --resume &
  pid=$!
  # Up to a quarter of a whole run: several kills for each completion.
  sleep "$(printf '0.%06d' $((RANDOM * 32768 % (took_us / 4 + 1000) + RANDOM % 1000)))"
  if kill -s "$signal" $pid 2> /dev/null; then kills=$((kills + 1)); fi
  rc=0; wait $pid 2> /dev/null || rc=$?
  case $rc in 0 | 75 | 130 | 137 | 143) ;; *) echo "run $runs ended with $rc"; exit 1 ;; esac
  # Whatever has its final name is whole.
  if [ -d "$work/out" ]; then
    while read -r line; do grep -qxF "$line" <<< "$want" || { echo "after kill $kills: $line is not what it should be"; exit 1; }; done < <(sums "$work/out")
    if [ -e "$work/out/config.json" ]; then
      [ "$(sums "$work/out")" = "$want" ] || { echo "after kill $kills: config.json is there but not all else"; exit 1; }
      if [ $rc -eq 0 ]; then
        [ -z "$(find "$work/out" -name '*.partial' -o -name 'ds-quantize.manifest.jsonl')" ] || { echo "leftovers in a complete folder"; exit 1; }
        completed=$((completed + 1)); rm -rf "$work/out"
      fi
    fi
  fi
done
"$bin/ds-quantize" "$model" -o "$work/out" "${options[@]}" --resume
[ "$(sums "$work/out")" = "$want" ] || { echo "after the last resume: other bytes"; exit 1; }
echo "$kills kills (signal $signal) in $runs runs, $completed completions in between: always whole files, always the same bytes"
