#!/usr/bin/env bash
# ds-filter, all five stages, and datatrove (Gopher repetition and quality, C4, FineWeb, then MinHash over what is left), turn
# by turn on the same text and one core each; one thread against two; peak memory.
#   scripts/bench/filter.sh [BUILD] [ROUNDS]
# Needs $PEERS_DIR/corpus/{en,zh}.jsonl (Debian documentation); with datatrove in $DATATROVE_PY (a Python) both programs run
# over every n-th document, $DATATROVE_MB (4) MB. Rates are MB of UTF-8 text per CPU-second (user + system, process start included for
# ds-filter, loading not counted for datatrove): on a machine that is not quiet, wall seconds are others' seconds, too.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-build}/ds-filter; rounds=${2:-3}
peers=${PEERS_DIR:-$HOME/peers}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
text_mb() { python3 -c 'import json,sys; print(sum(len(json.loads(l)["text"].encode()) for l in open(sys.argv[1], encoding="utf-8")) / 1e6)' "$1"; }
timed() {  # NAME MB FILE ARGS...: remembers the least CPU and wall seconds of each name
  local name=$1 mb=$2 file=$3; shift 3
  rm -rf "$tmp/out"; mkdir "$tmp/out"
  { /usr/bin/env TIMEFORMAT='%U %S %R' bash -c 'time "$@" > /dev/null 2>&1' _ "$bin" "$file" -o "$tmp/out/kept.jsonl" -q "$@"; } 2> "$tmp/time"
  awk -v n="$name" -v mb="$mb" '{ printf "%s\t%.3f\t%.3f\t%.3f\n", n, $1 + $2, $3, mb }' "$tmp/time" | tee -a "$tmp/all" |
    awk -F'\t' '{ printf "  %-44s %7.2f MB per CPU-second, %6.2f MB/s wall\n", $1, $4 / $2, $4 / $3 }'
}
least() { awk -F'\t' -v n="$1" -v c="$2" '$1 == n && (!m || $c < m) { m = $c } END { print m }' "$tmp/all"; }
for lang in en zh; do
  small=$peers/corpus/$lang.jsonl big=$peers/corpus/$lang-big.jsonl sample=$tmp/$lang.jsonl
  [ -e "$big" ] || python3 scripts/make/big_corpus.py "$small" "$big" 205
  python3 -c 'import itertools,json,sys
lines = [l for l in open(sys.argv[1], "rb")]; size = 0; step = max(1, int(sum(map(len, lines)) / 1e6 / float(sys.argv[3])))
open(sys.argv[2], "wb").writelines(lines[::step])' "$small" "$sample" "${DATATROVE_MB:-4}"
  big_mb=$(text_mb "$big") sample_mb=$(text_mb "$sample")
  for ((r = 1; r <= rounds; ++r)); do
    echo "round $r, $lang, $big_mb MB, load $(cut -d' ' -f1 /proc/loadavg)"
    timed "$lang, five stages" "$big_mb" "$big" --threads 1
    [ "$(nproc)" -lt 2 ] || timed "$lang, five stages, two threads" "$big_mb" "$big" --threads 2
    timed "$lang, every rule of every stage" "$big_mb" "$big" --threads 1 --no-short-circuit
    [ -n "${DATATROVE_PY:-}" ] || continue
    timed "$lang, sample, five stages" "$sample_mb" "$sample" --threads 1
    timed "$lang, sample, every rule" "$sample_mb" "$sample" --threads 1 --no-short-circuit
    "$DATATROVE_PY" scripts/peers/filter_datatrove.py "$sample" "$lang" 2> /dev/null |
      awk -v l="$lang" -v mb="$sample_mb" '{ printf "%s, sample, datatrove\t%.3f\t%.3f\t%.3f\n", l, $1, $1, mb }' | tee -a "$tmp/all" |
      awk -F'\t' '{ printf "  %-44s %7.3f MB per CPU-second\n", $1, $4 / $2 }'
  done
  awk -v l="$lang" -v mb="$big_mb" -v c="$(least "$lang, five stages" 2)" -v a="$(least "$lang, every rule of every stage" 2)" 'BEGIN {
    printf "%s: %.1f MB per CPU-second, every rule scored %.1f (least of the rounds)\n", l, mb / c, mb / a }'
  [ "$(nproc)" -lt 2 ] || awk -F'\t' -v one="$lang, five stages" '
    $1 == one { a = $3 }  $1 == one ", two threads" { print a / $3 }' "$tmp/all" | sort -n | awk -v l="$lang" '{ r[NR] = $1 } END {
    printf "%s: two threads %.2f times as fast as one (wall; median of the rounds, %.2f to %.2f)\n", l, r[int((NR + 1) / 2)], r[1], r[NR] }'
  [ -z "${DATATROVE_PY:-}" ] || awk -v l="$lang" -v d="$(least "$lang, sample, datatrove" 2)" -v o="$(least "$lang, sample, five stages" 2)" -v e="$(least "$lang, sample, every rule" 2)" 'BEGIN {
    printf "%s: %.0f times datatrove on the same text and one core, %.0f times with every rule scored\n", l, d / o, d / e }'
done
