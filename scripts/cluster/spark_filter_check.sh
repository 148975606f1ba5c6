#!/usr/bin/env bash
# scripts/cluster/spark_filter.py on Spark in local mode: its parts, joined, are the bytes of one run of the same stages, and what
# the duplicate search then leaves of them are the bytes of one run of all five.
#   scripts/cluster/spark_filter_check.sh [BUILD [INPUT.jsonl]]      PYTHON: one with pyspark; needs a Java
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/${1:-build}/ds-filter; input=$(realpath "${2:-data/filter/demo-raw.jsonl}")
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
"$bin" -q --stages integrity,quality,entities,semantic --threads 1 - < "$input" > "$tmp/whole"
"${PYTHON:-python3}" scripts/cluster/spark_filter.py "$bin" "$input" "$tmp/spark" 2> "$tmp/log" || { tail -n 20 "$tmp/log"; exit 1; }
parts=("$tmp"/spark/part-*)
cat "${parts[@]}" | cmp - "$tmp/whole"
cat "${parts[@]}" | "$bin" -q --stages duplicates - > "$tmp/left"
"$bin" -q "$input" > "$tmp/all"
cmp "$tmp/left" "$tmp/all"
echo "${#parts[@]} partitions, $(wc -l < "$tmp/whole") records kept, $(wc -l < "$tmp/all") after the duplicate search: the same bytes"
