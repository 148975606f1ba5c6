#!/usr/bin/env bash
# Filters the shipped raw corpus, English and Chinese, and shows what happened.
# Part of `make demo`.
#   scripts/demo/filter.sh [BUILD [OUTPUT_FOLDER]]
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-build}/ds-filter; out=${2:-${1:-build}/demo-filter}
mkdir -p "$out"
printf '  $ ds-filter demo-raw.jsonl -o clean.jsonl --rejects rejects/ \\\n'
printf '      --html report.html\n'
"$bin" data/filter/demo-raw.jsonl -o "$out/clean.jsonl" \
  --rejects "$out/rejects/" --bad-lines "$out/bad-lines.jsonl" \
  --report "$out/report.json" --html "$out/report.html" --no-short-circuit
echo
echo "One record explained, the rules that it failed:"
id=$(sed -n '1s/.*"id": "\([^"]*\)".*/\1/p' "$out/rejects/entities.jsonl")
printf '  $ ds-filter explain demo-raw.jsonl --id %s | grep ^x\n' "$id"
"$bin" explain data/filter/demo-raw.jsonl --id "$id" -q |
  grep -E '^x|found|dropped by' | fold -s -w 78
echo
printf '%s\n' "kept:    $out/clean.jsonl" \
  "dropped: $out/rejects/, each with its reason" "report:  $out/report.html"
