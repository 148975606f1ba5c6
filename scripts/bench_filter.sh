#!/usr/bin/env bash
# ds-filter, all five stages, against datatrove (Gopher quality and repetition, C4, FineWeb, MinHash) on the same text and
# one core each, interleaved so that both meet the same load.
#   scripts/bench_filter.sh [BUILD] [ROUNDS]
# Needs $PEERS_DIR/corpus/{en,zh}.jsonl (Debian documentation) and a Python with datatrove as $DATATROVE_PY; the
# benchmark of the peer is $BENCH_DATATROVE (bench_datatrove.py). Rates are MB of UTF-8 text per CPU-second: on a machine
# that is not quiet, wall seconds are others' seconds, too.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-build}/ds-filter; rounds=${2:-3}
peers=${PEERS_DIR:-$HOME/peers}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
rate() {  # FILE ARGS...: CPU seconds and MB per CPU-second of one run
  local file=$1; shift
  local bytes; bytes=$(python3 -c 'import json,sys; print(sum(len(json.loads(l)["text"].encode()) for l in open(sys.argv[1], encoding="utf-8")))' "$file")
  { /usr/bin/env TIMEFORMAT='%U %S %R' bash -c 'time "$@" > /dev/null 2>&1' _ "$bin" "$file" -o "$tmp/out.jsonl" --threads "${threads:-1}" -q "$@"; } 2> "$tmp/time"
  awk -v b="$bytes" -v t="${threads:-1}" '{ printf "%.2f MB per CPU-second, %.2f MB/s wall (%d thread%s)\n", b / 1e6 / ($1 + $2), b / 1e6 / $3, t, (t > 1 ? "s" : "") }' "$tmp/time"
}
for lang in en zh; do
  small=$peers/corpus/$lang.jsonl big=$peers/corpus/$lang-big.jsonl
  [ -e "$big" ] || python3 scripts/make_big_corpus.py "$small" "$big" "$([ $lang = en ] && echo 210 || echo 60)"
  for ((r = 1; r <= rounds; ++r)); do
    echo "round $r, $lang, load $(cut -d' ' -f1 /proc/loadavg)"
    echo "  ds-filter, five stages:            $(rate "$big")"
    echo "  ds-filter, every rule of every one: $(rate "$big" --no-short-circuit)"
    [ "$(nproc)" -gt 1 ] && echo "  ds-filter, two threads:            $(threads=2 rate "$big")"
    if [ -n "${DATATROVE_PY:-}" ] && [ -n "${BENCH_DATATROVE:-}" ] && [ "$r" = 1 ]; then
      "$DATATROVE_PY" "$BENCH_DATATROVE" bench "$small" "$lang" --mb "${DATATROVE_MB:-6}" --work "$tmp/datatrove" 2>/dev/null | grep -E "pipeline of four|minhash|documents"
    fi
  done
done
