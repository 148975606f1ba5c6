#!/usr/bin/env bash
# ds-bench beside GuideLLM (PyPI), a load generator for OpenAI-style servers that others wrote, on the same scripted
# server: first token after 20 ms, then one every 5 ms. In turns; what each client costs by itself is measured on a
# server that answers at once, and taken off. Agreement means: the 99 % interval of the paired differences of medians
# over the rounds reaches into the 95 % interval that ds-bench states for its own median. Exits 1 otherwise.
#   GUIDELLM=.../bin/guidellm TOKENIZER=folder scripts/peers/llm_tool.sh BUILD
# TOKENIZER is a model folder with tokenizer.json: GuideLLM makes its prompts with it. Needs jq. Loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
guidellm=${GUIDELLM:-guidellm}
tokenizer=${TOKENIZER:?a folder with tokenizer.json}
rounds=${ROUNDS:-5}
command -v "$guidellm" > /dev/null || { echo "bench_llm_tool: no $guidellm (pip install guidellm)" >&2; exit 66; }
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
work=$(mktemp -d)
port=${PORT:-18476}
"$build/ds-bench" doctor --serve "$port" --script ttft=20ms,tpot=5ms,tokens=16 --quiet &
steady=$!
"$build/ds-bench" doctor --serve $((port + 1)) --script tokens=16 --quiet &
null=$!
trap 'kill $steady $null 2> /dev/null || true; rm -rf "$work"' EXIT
sleep 0.5

# median TTFT and end to end in ms; ours with half the width of each one's interval
guide() {
  "$guidellm" run --backend "kind=openai_http,target=http://127.0.0.1:$1,model=scripted" \
    --profile kind=concurrent,streams=2 --constraint kind=max_requests,count=100 \
    --tokenizer "kind=hf_auto,model=$tokenizer" --data kind=synthetic_text,prompt_tokens=32,output_tokens=16 \
    --output "kind=json,path=$work/guide.json" --disable-console > "$work/guide.log" 2>&1 ||
    { tail -n 5 "$work/guide.log" >&2; exit 66; }
  jq -r '.benchmarks[0].metrics | [.time_to_first_token_ms.successful.median, .request_latency.successful.median * 1000] | @tsv' \
    "$work/guide.json"
}
ours() {
  "$build/ds-bench" run --url "http://127.0.0.1:$1" --requests 100 --concurrency 2 --output-tokens 16 --no-overhead --quiet \
    > "$work/ours.jsonl"
  "$build/ds-bench" stats "$work/ours.jsonl" --json |
    jq -r '.groups[0].metrics | [."ttft.svc".p50, ."e2e.svc".p50] | [.[].ms, (.[] | (.hi - .lo) / 2)] | @tsv'
}
for ((i = 0; i < rounds; i++)); do
  printf '%s\t%s\t%s\t%s\n' "$(guide "$port")" "$(ours "$port")" "$(guide $((port + 1)))" "$(ours $((port + 1)))"
done | awk -F'\t' '
  # 99 % of Student t for n - 1 degrees of freedom
  BEGIN { split("63.66 9.92 5.84 4.60 4.03 3.71 3.50 3.36 3.25", t, " ") }
  { printf "round %d: GuideLLM ttft %.2f e2e %.2f, ds-bench %.2f +- %.2f, %.2f +- %.2f; on a null server %.2f %.2f, %.2f %.2f ms\n",
      NR, $1, $2, $3, $5, $4, $6, $7, $8, $9, $10
    d["ttft"] = ($1 - $7) - ($3 - $9); d["e2e"] = ($2 - $8) - ($4 - $10)
    for (m in d) { sum[m] += d[m]; square[m] += d[m] * d[m] }
    half["ttft"] += $5; half["e2e"] += $6 }
  function judge(m,   mean, spread, own) {
    mean = sum[m] / NR; own = half[m] / NR
    spread = t[NR - 1] * sqrt((square[m] / NR - mean * mean) / (NR - 1))
    printf "%-4s GuideLLM minus ds-bench, own costs taken off: %+.2f +- %.2f ms; the interval of ds-bench +- %.2f ms: %s\n",
      m, mean, spread, own, (ok = mean - spread <= own && mean + spread >= -own) ? "agree" : "DISAGREE"
    return ok
  }
  END { if (NR < 3) exit 1
    a = judge("ttft"); b = judge("e2e"); exit !(a && b) }'
