#!/usr/bin/env bash
# ds-bench beside tools that others wrote, on the same thing: wrk on the scripted server, hyperfine on a command.
# Agreement means: over six rounds measured in turns, the 99 % interval of the difference of medians touches
# +-0.3 ms, what one start of a process or one connection costs.
#   scripts/peers/cross_check.sh BUILD        needs wrk, hyperfine and jq (apt-get install wrk hyperfine jq)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
for tool in wrk hyperfine jq; do
  command -v "$tool" > /dev/null || { echo "bench_cross_check: $tool is missing (apt-get install $tool)" >&2; exit 66; }
done
work=$(mktemp -d)
port=${PORT:-18474}
"$build/ds-bench" doctor --serve "$port" --script ttft=20ms,tpot=2ms,tokens=8 --quiet &
server=$!
trap 'kill $server 2> /dev/null || true; rm -rf "$work"' EXIT
sleep 0.5
failed=0
rounds=6

# Six rounds in turns, so that a busy machine hits both tools alike.
# judge NAME FILE: the paired differences of the medians (outside minus ds-bench), 99 % interval and 0.3 ms of slack.
judge() {
  awk -v name="$1" '
    { d = $1 - $2; n++; sum += d; square += d * d; a += $1; b += $2; printf "%-10s round %d: %8.3f ms, ds-bench %8.3f ms\n", name, n, $1, $2 }
    END {
      mean = sum / n; half = 4.03 * sqrt((square / n - mean * mean) / (n - 1))
      ok = (mean - half <= 0.3 && mean + half >= -0.3)
      printf "%-10s mean %8.3f ms, ds-bench %8.3f ms, difference %+.3f +- %.3f ms: %s\n", name, a / n, b / n, mean, half, ok ? "agree" : "DISAGREE"
      exit !ok
    }' "$2" || failed=1
}
median() { "$build/ds-bench" stats "$1" --json | jq '.groups[0].metrics["e2e.svc"].p50.ms'; }

cat > "$work/post.lua" << 'LUA'
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}'
done = function(summary, latency, requests)
  io.write(string.format("MEDIAN_US %d\n", latency:percentile(50)))
end
LUA
for ((i = 0; i < rounds; i++)); do
  wrk -t1 -c2 -d2s -s "$work/post.lua" "http://127.0.0.1:$port" > "$work/wrk.txt"
  "$build/ds-bench" run --url "http://127.0.0.1:$port" --concurrency 2 --duration 2s --no-overhead --quiet > "$work/http.jsonl"
  echo "$(awk '/MEDIAN_US/ { print $2 / 1000 }' "$work/wrk.txt") $(median "$work/http.jsonl")" >> "$work/wrk"
done
judge wrk "$work/wrk"

for ((i = 0; i < rounds; i++)); do
  hyperfine -N --warmup 2 --runs 30 'sleep 0.03' --export-json "$work/hf.json" > /dev/null 2>&1
  "$build/ds-bench" run --cmd 'sleep 0.03' --requests 30 --warmup 2 --no-overhead --quiet > "$work/cmd.jsonl"
  echo "$(jq '.results[0].median * 1000' "$work/hf.json") $(median "$work/cmd.jsonl")" >> "$work/hyperfine"
done
judge hyperfine "$work/hyperfine"
exit $failed
