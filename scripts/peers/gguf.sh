#!/usr/bin/env bash
# llama.cpp runs the GGUF files that ds-quantize makes: greedy answers beside those of ds-run on the folder itself, and
# perplexity of both types.
#   LLAMA=folder/of/llama.cpp/programs scripts/peers/gguf.sh MODEL [TEXT] [PROMPTS]       BIN=build
# TEXT: a file for llama-perplexity, at least 1024 tokens. PROMPTS: a file with one prompt a line.
# Fails when BF16 answers differ on more than a fifth of the prompts: the two round in different places, so a late
# token may differ, but a wrong rotation, order or scale changes every answer.
set -euo pipefail
model=$1 text=${2:-} prompts=${3:-} bin=${BIN:-build} tokens=${TOKENS:-24}
: "${LLAMA:?folder of llama-completion and llama-perplexity}"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
if [ -z "$prompts" ]; then
  prompts=$work/prompts
  printf '%s\n' 'Why is the sky blue?' 'The capital of France is' 'Once upon a time' 'Water boils at' '1, 2, 3, 4,' \
    'The opposite of hot is' 'A bird can' 'In the morning the sun' 'To make tea you need' 'The largest planet is' > "$prompts"
fi
for type in bf16 q8_0; do
  "$bin/ds-quantize" "$model" -o "$work/$type.gguf" --to "gguf:$type" --quiet
  same=0 n=0
  while IFS= read -r prompt; do
    ours=$("$bin/ds-run" "$model" --raw -p "$prompt" --temperature 0 -n "$tokens" --quiet < /dev/null)
    theirs=$("$LLAMA/llama-completion" -m "$work/$type.gguf" -p "$prompt" -n "$tokens" --temp 0 -no-cnv --special -ctk f32 -ctv f32 \
      --no-display-prompt 2> "$work/err" < /dev/null) || { tail -3 "$work/err"; exit 1; }
    theirs=${theirs%' [end of text]'}
    # ds-run does not print the end token.
    for end in '<|im_end|>' '<|endoftext|>' '<｜end▁of▁sentence｜>'; do theirs=${theirs%"$end"}; done
    n=$((n + 1))
    if [ "$(tr -d '[:space:]' <<< "$ours")" = "$(tr -d '[:space:]' <<< "$theirs")" ]; then same=$((same + 1)); else
      [ -z "${VERBOSE:-}" ] || printf '  %s\n    ds-run    %s\n    llama.cpp %s\n' "$prompt" "${ours//$'\n'/ }" "${theirs//$'\n'/ }"
    fi
  done < "$prompts"
  echo "$type: $same of $n greedy answers of $tokens tokens equal those of ds-run on the folder"
  [ $type != bf16 ] || [ $((same * 5)) -ge $((n * 4)) ] || { echo "too few"; exit 1; }
  [ -z "$text" ] || echo "$type: $("$LLAMA/llama-perplexity" -m "$work/$type.gguf" -f "$text" -c 512 2>&1 | grep -o 'PPL = .*')"
done
