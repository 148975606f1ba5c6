#!/usr/bin/env bash
# What dstools does, on the embedded model. Each step is a function that runs
# when its tool is built.
#   scripts/demo/demo.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
model=data/dsv3-tiny
eval_data=data/dsv3-tiny-data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
started=$SECONDS

. scripts/demo/words.sh
export COLUMNS=76 # what the tools print is indented by four
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# The command, the answer below it.
ask() {
  command_line "ds-run $model '$1'"
  "$build/ds-run" "$model" "$1" --quiet < /dev/null | fold_text |
    sed 's/^/    /'
}

step_run_answers() {
  title "A DeepSeek-V3 model of 7.4 million parameters, in two languages:"
  ask '你好,我叫小明。'
  ask 'Why is the sky blue?'
  ask '什么是混合专家模型?'
  ask "A box holds 6 pencils. Tom buys 4 boxes and uses 5 pencils.\
 How many are left?"
  ask $'资料:星港的电话是5521。月湾的电话是8830。\n问题:月湾的电话是多少?'
  ask 'Tell me about the penguin.'
}

step_run_think() {
  title "It thinks first: thoughts on stderr, the answer alone on stdout."
  command_line "ds-run $model 'What is 62*7?' 2> thoughts"
  "$build/ds-run" "$model" 'What is 62*7?' < /dev/null 2> "$work/thoughts" |
    sed 's/^/    stdout: /'
  fold -s -w 68 "$work/thoughts" | sed 's/^/    stderr: /'
}

step_run_pipe() {
  title "In a pipe:"
  local facts='Facts: Anna lives in Rome. Ben has a cat.'
  command_line "printf '$facts"
  command_line "  Question: Where does Anna live?' | ds-run $model | tr a-z A-Z"
  printf '%s\nQuestion: Where does Anna live?' "$facts" |
    "$build/ds-run" "$model" --quiet |
    tr '[:lower:]' '[:upper:]' | sed 's/^/    /'
  title "An answer in JSON, and the whole record:"
  command_line "ds-run $model '用JSON回答:法国的首都是哪里?'"
  "$build/ds-run" "$model" '用JSON回答:法国的首都是哪里?' --quiet < /dev/null |
    sed 's/^/    /'
  command_line "ds-run $model 'Write 47 in words.' --json"
  "$build/ds-run" "$model" 'Write 47 in words.' --json --quiet < /dev/null |
    fold -w 76 | sed 's/^/    /'
}

step_run_score() {
  title "How likely is a text? The log-probability of every token, in sum:"
  command_line "ds-run $model --score < records.jsonl"
  printf '%s\n' '{"id":"12+30=42","text":"Question: 12+30=?\nAnswer: 42"}' \
    '{"id":"12+30=77","text":"Question: 12+30=?\nAnswer: 77"}' |
    "$build/ds-run" "$model" --score --quiet |
    sed -E 's/"logprobs":\[[^]]*\]/"logprobs":[...]/' |
    fold -w 76 | sed 's/^/    /'
}

step_run_accuracy() {
  title "Is it right? Questions it has not seen in training, through --jsonl:"
  command_line "ds-run $model --jsonl < questions | compare with the answers"
  local name n label result begin
  while read -r name n label; do
    begin=$(now_ms)
    head -n "$n" "$eval_data/$name.jsonl" > "$work/questions.jsonl"
    result=$(scripts/check/answers.sh "$build" "$model" "$work/questions.jsonl")
    printf '    %-34s %-14s %6d ms\n' "$label" "$result" \
      $(($(now_ms) - begin))
  done << 'SETS'
eval_math 60 arithmetic and word problems
eval_multiturn 20 recalling earlier turns
eval_reading 40 reading a list of facts
SETS
}

steps_run=(step_run_answers step_run_think step_run_pipe step_run_score
  step_run_accuracy)

n_steps=0
if [ -x "$build/ds-run" ]; then
  for step in "${steps_run[@]}"; do
    "$step"
    n_steps=$((n_steps + 1))
  done
fi
# The other tools bring their own scene.
for tool in quantize filter bench; do
  if [ -x "$build/ds-$tool" ]; then
    title "ds-$tool:"
    "scripts/demo/$tool.sh" "$build" 2>&1
    n_steps=$((n_steps + 1))
  fi
done
if [ $n_steps = 0 ]; then
  echo "demo: no tool is built yet in $build"
  exit 0
fi
title "Done in $((SECONDS - started)) s. What next:"
printf '    %-34s %s\n' "$build/ds-run $model" "a conversation" \
  "$build/ds-run --help" "the whole tool" \
  "make test" "everything that must hold"
