#!/usr/bin/env bash
# A short bench of the embedded model, its verdict against the previous run, and
# a report. Called by the demo.
#   scripts/demo/bench.sh BUILD
# The previous run is kept in BUILD/bench/; the first call has none to compare
# with.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
model=data/dsv3-tiny
keep=$build/bench
mkdir -p "$keep"

. scripts/demo/words.sh

[ ! -f "$keep/today.jsonl" ] || mv "$keep/today.jsonl" "$keep/previous.jsonl"

title "How fast is it, and how sure are we?"
command_line "ds-bench run $model > today.jsonl; ds-bench stats today.jsonl"
"$build/ds-bench" run "$model" --requests 60 --output-tokens 16 --ignore-eos \
  --quiet --out "$keep/today.jsonl"
"$build/ds-bench" stats "$keep/today.jsonl" # as wide as a terminal at least

if [ -f "$keep/previous.jsonl" ]; then
  title "Against the previous run:"
  command_line "ds-bench compare previous.jsonl today.jsonl \
--gate p90_ttft:+25% --gate p50_tpot:+25%"
  # The verdict is data here; a slower run must not end the demo.
  rc=0
  "$build/ds-bench" compare "$keep/previous.jsonl" "$keep/today.jsonl" \
    --gate p90_ttft:+25% --gate p50_tpot:+25% \
    > "$keep/verdict.txt" 2> "$keep/refused.txt" || rc=$?
  cat "$keep/verdict.txt" "$keep/refused.txt"
  echo "    exit code $rc (0 pass, 1 fail, 3 inconclusive, 65 not comparable)"
else
  title "The next call compares with this one."
fi

title "Still right? Thirty questions into a ledger that notices drift:"
command_line "ds-bench eval $model --set math --limit 30 > items.jsonl"
command_line "ds-bench drift --ledger drift.jsonl items.jsonl"
"$build/ds-bench" eval "$model" --set math --limit 30 --quiet \
  --out "$keep/items.jsonl"
"$build/ds-bench" drift --ledger "$keep/drift.jsonl" "$keep/items.jsonl" |
  fold_text | sed 's/^/    /' || true

"$build/ds-bench" report "$keep/today.jsonl" "$keep/items.jsonl" \
  "$keep/drift.jsonl" --title "dsv3-tiny" --out "$keep/report.html"
command_line "ds-bench report today.jsonl items.jsonl drift.jsonl \
-o report.html"
title "The report: $keep/report.html, one file that opens anywhere"
