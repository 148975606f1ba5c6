#!/usr/bin/env bash
# ds-bench beside GuideLLM (PyPI), a load generator for OpenAI-style servers that others wrote, on the same scripted
# server: first token after 20 ms, then one every 5 ms. In turns; what each client costs by itself is measured on a
# server that answers at once, and taken off. Prints the medians; exits 1 when they differ by more than 1 ms.
#   GUIDELLM=.../bin/guidellm TOKENIZER=folder scripts/bench_llm_tool.sh BUILD
# TOKENIZER is a model folder with tokenizer.json: GuideLLM makes its prompts with it. Needs jq. Loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
guidellm=${GUIDELLM:-guidellm}
tokenizer=${TOKENIZER:?a folder with tokenizer.json}
rounds=${ROUNDS:-3}
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

# median TTFT and end to end in ms
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
    jq -r '.groups[0].metrics | [."ttft.svc".p50.ms, ."e2e.svc".p50.ms] | @tsv'
}
for ((i = 0; i < rounds; i++)); do
  printf '%s\t%s\t%s\t%s\n' "$(guide "$port")" "$(ours "$port")" "$(guide $((port + 1)))" "$(ours $((port + 1)))"
done | awk -F'\t' '
  { printf "round %d: GuideLLM ttft %.2f e2e %.2f, ds-bench %.2f %.2f; on a null server %.2f %.2f, %.2f %.2f ms\n", NR, $1, $2, $3, $4, $5, $6, $7, $8
    ttft += ($1 - $5) - ($3 - $7); e2e += ($2 - $6) - ($4 - $8) }
  END { ttft /= NR; e2e /= NR; ok = ttft > -1 && ttft < 1 && e2e > -1 && e2e < 1
    printf "GuideLLM minus ds-bench, own costs taken off: ttft %+.2f ms, e2e %+.2f ms: %s\n", ttft, e2e, ok ? "agree" : "DISAGREE"
    exit !ok }'
