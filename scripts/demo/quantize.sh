#!/usr/bin/env bash
# Quantises the embedded model, shows the sizes, and lets the quantised model
# answer.
#   scripts/demo/quantize.sh BUILD [WORK]
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/demo/words.sh
build=${1:-build} model=data/dsv3-tiny
work=${2:-$build/demo-quantize}
rm -rf "$work" && mkdir -p "$work"
run() {
  command_line "$*"
  "$build/$1" "${@:2}" < /dev/null 2>&1 | fold_text | sed 's/^/    /'
}
size() { du -b --apparent-size "$1" | awk '{printf "%.2f MB", $1 / 1e6}'; }

printf '\n%s\n%s\n' 'DeepSeek-V3 was published in FP8 with 128x128 block scales.' \
  'So is this one now:'
run ds-quantize "$model" -o "$work/fp8" --histogram
printf '  %s in BF16, %s in FP8\n' "$(size "$model/model.safetensors")" \
  "$(size "$work/fp8/model.safetensors")"
printf '\nHow far its values are from the originals, and what that does to\n'
printf 'the model:\n'
# Texts of the kind the model was trained on: short reading passages with a
# question and the answer.
head -60 data/dsv3-tiny-data/eval_reading.jsonl |
  sed -n 's/.*"content": "\([^"]*\)"}\], "answer": "\([^"]*\)".*/\1\n\2/p' |
  sed 's/\\n/\n/g' > "$work/text"
run ds-quantize "$model" --verify "$work/fp8" --eval "$work/text"
if [ -x "$build/ds-run" ]; then
  printf '\nThe FP8 folder answers:\n'
  run ds-run "$work/fp8" 'Why is the sky blue?' --quiet
fi
