#!/usr/bin/env bash
# Coordinated omission, live: one client, 20 ms service, 25 requests per second for 100 s, one stall of 1 s.
# Expected: from send P99 about 20 ms; from plan P99 about 520 ms and P99.9 about 980 ms.
#   scripts/bench/stall.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
work=$(mktemp -d)
port=${PORT:-18473}
"$build/ds-bench" doctor --serve "$port" --script ttft=20ms,tokens=1,stall=50s:1s --quiet &
server=$!
trap 'kill $server 2> /dev/null || true; rm -rf "$work"' EXIT
sleep 0.5
"$build/ds-bench" run --url "http://127.0.0.1:$port" --arrivals constant --rate 25 --requests 2500 --concurrency 1 --output-tokens 1 \
  --warmup 0 --quiet > "$work/stall.jsonl"
"$build/ds-bench" stats "$work/stall.jsonl"
# P99.9 of e2e from plan and from send: rank 2498 of 2500.
for start in t_plan_ns t_send_ns; do
  printf 'P99.9 from %s: ' "$start"
  grep '"type":"request"' "$work/stall.jsonl" |
    sed -E "s/.*\"$start\":([0-9]+).*\"t_done_ns\":([0-9]+).*/\1 \2/" | awk '{ print ($2 - $1) / 1e6 }' | sort -n | sed -n 2498p
done
