#!/usr/bin/env bash
# llama.cpp's server measured from outside by ds-bench, beside the timings that the server itself writes into its log:
# closed loop at one client, so that a request's time is the server's work alone, then an open load and a search.
#   LLAMA=folder/of/llama.cpp/programs scripts/peers/llama_server.sh GGUF [BUILD]          needs jq and curl
# Agreement means: ds-bench's interval does not lie below the server's own figure, since it cannot see less than the
# work, and its median above it by at most 5 % and 2 ms, what HTTP, tokenizing and sampling take.
set -euo pipefail
cd "$(dirname "$0")/../.."
gguf=$1 build=${2:-build}
: "${LLAMA:?folder of llama-server}"
work=$(mktemp -d)
port=${PORT:-18478}
url=http://127.0.0.1:$port
"$LLAMA/llama-server" -m "$gguf" --port "$port" -t "${THREADS:-1}" -c 4096 --parallel 2 --no-webui > "$work/server.log" 2>&1 &
server=$!
trap 'kill $server 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"' EXIT
for ((i = 0; i < 60; i++)); do curl -sf "$url/health" > /dev/null && break; sleep 1; done

n=${REQUESTS:-40}
"$build/ds-bench" run --url "$url" --requests "$n" --input-tokens 64 --output-tokens 16 --ignore-eos --warmup 4 --no-overhead \
  --quiet > "$work/closed.jsonl"
"$build/ds-bench" stats "$work/closed.jsonl"
kill -0 $server
# The last n requests of the log are the measured ones: "prompt eval time = 81.1 ms / 41 tokens (...)" and
# "eval time = 474.7 ms / 16 tokens ( 31.6 ms per token", which the server divides by tokens - 1, as TPOT does.
grep 'prompt eval time' "$work/server.log" | tail -n "$n" | sed -E 's/.*time *= *([0-9.]+) ms.*/\1/' > "$work/ttft"
grep ' eval time' "$work/server.log" | grep -v prompt | tail -n "$n" | sed -E 's/.*\( *([0-9.]+) ms per token.*/\1/' > "$work/tpot"
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
failed=0
for metric in ttft tpot; do
  jq -r --arg m "$metric.svc" '.groups[0].metrics[$m].p50 | "\(.ms) \(.lo) \(.hi)"' <("$build/ds-bench" stats "$work/closed.jsonl" --json) |
    awk -v name=$metric -v theirs="$(median "$work/$metric")" '{
      ok = $3 >= theirs && $1 <= theirs * 1.05 + 2
      printf "%s: ds-bench P50 %.2f [%.2f, %.2f] ms, server log %.2f ms: %s\n", name, $1, $2, $3, theirs, ok ? "agree" : "DISAGREE"
      exit !ok }' || failed=1
done

"$build/ds-bench" run --url "$url" --rate 1,2 --requests $((n / 2)) --input-tokens 64 --output-tokens 16 --ignore-eos --no-overhead --quiet \
  > "$work/open.jsonl"
"$build/ds-bench" stats "$work/open.jsonl" --slo ttft=500ms,tpot=50ms
[ -z "${SEARCH:-}" ] || "$build/ds-bench" run --url "$url" --find-goodput "$SEARCH" --input-tokens 64 --output-tokens 16 --ignore-eos \
  --requests "$n" --duration 10s --no-overhead > "$work/search.jsonl" || true
exit $failed
