#!/usr/bin/env bash
# What dstools does, on the embedded model. Each step is a function that runs when its tool is built.
#   scripts/demo.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
model=data/dsv3-tiny
eval_data=data/dsv3-tiny-data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
started=$SECONDS

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
  bold='' dim='' plain=''
fi
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
command_line() { printf '%s  $ %s%s\n' "$dim" "$1" "$plain"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

ask() {
  printf '  %s%s%s\n' "$bold" "${1//$'\n'/$'\n  '}" "$plain"
  "$build/ds-run" "$model" "$1" --quiet --think-out "$work/think" < /dev/null | sed 's/^/    /'
}

step_run_answers() {
  title "A model of the DeepSeek-V3 architecture, 7.4 million parameters, answers:"
  command_line "ds-run $model 'Why is the sky blue?'"
  ask '你好,我叫小明。'
  ask 'Why is the sky blue?'
  ask '什么是混合专家模型?'
  ask 'A box holds 6 pencils. Tom buys 4 boxes and uses 5 pencils. How many are left?'
  ask $'资料:星港的电话是5521。月湾的电话是8830。\n问题:月湾的电话是多少?'
  ask 'Tell me about the penguin.'
}

step_run_think() {
  title "It thinks before it calculates; the thoughts go to stderr, the answer to stdout:"
  command_line "ds-run $model 'What is 62*7?' --think-out thoughts.txt"
  "$build/ds-run" "$model" 'What is 62*7?' --quiet --think-out "$work/think" < /dev/null | sed 's/^/    answer:   /'
  sed 's/^/    thoughts: /' "$work/think"
  echo
}

step_run_pipe() {
  title "In a pipe (instruction, then what was piped in):"
  command_line "printf 'Facts: Anna lives in Rome. Ben has a cat.' | ds-run $model --raw ... | tr a-z A-Z"
  printf 'Facts: Anna lives in Rome. Ben has a cat.\nQuestion: Where does Anna live?' |
    "$build/ds-run" "$model" --quiet 2> /dev/null | tr '[:lower:]' '[:upper:]' | sed 's/^/    /'
  title "As JSON:"
  command_line "ds-run $model '用JSON回答:法国的首都是哪里?'"
  "$build/ds-run" "$model" '用JSON回答:法国的首都是哪里?' --quiet < /dev/null 2> /dev/null | sed 's/^/    /'
}

step_run_score() {
  title "How likely is a text? (log-probability of every token)"
  command_line "ds-run $model --score < records.jsonl"
  printf '%s\n' '{"id":"likely","text":"Question: 12+30=?\nAnswer: 42"}' \
    '{"id":"unlikely","text":"Question: 12+30=?\nAnswer: 77"}' |
    "$build/ds-run" "$model" --score --quiet | sed -E 's/"logprobs":\[[^]]*\]/"logprobs":[...]/; s/^/    /'
}

step_run_accuracy() {
  title "Does it get things right? Held-out questions, through --jsonl:"
  local name n label result begin
  while read -r name n label; do
    begin=$(now_ms)
    head -n "$n" "$eval_data/$name.jsonl" > "$work/questions.jsonl"
    result=$(scripts/check_answers.sh "$build" "$model" "$work/questions.jsonl")
    printf '    %-34s %-14s %6d ms\n' "$label" "$result" $(($(now_ms) - begin))
  done << 'SETS'
eval_math 100 arithmetic and word problems
eval_multiturn 20 recalling earlier turns
eval_reading 40 reading a list of facts
SETS
}

steps_run=(step_run_answers step_run_think step_run_pipe step_run_score step_run_accuracy)

n_steps=0
if [ -x "$build/ds-run" ]; then
  for step in "${steps_run[@]}"; do
    "$step"
    n_steps=$((n_steps + 1))
  done
fi
if [ $n_steps = 0 ]; then
  echo "demo: no tool is built yet in $build"
  exit 0
fi
title "Done in $((SECONDS - started)) s. Next:"
printf '    %s\n' "$build/ds-run $model            a conversation" "$build/ds-run --help                 the whole tool" \
  "make test                           everything that must hold"
