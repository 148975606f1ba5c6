#!/usr/bin/env bash
# Asks a model the questions of a file and prints "correct/total": the first door to its accuracy.
#   scripts/check/answers.sh BUILD MODEL QUESTIONS.jsonl [at least this many correct]
# Records: {"id","match":"exact"|"contains","messages":[..],"answer":".."}, as data/dsv3-tiny-data/eval_*.jsonl.
# Exits 1 when fewer are correct than asked for. Greedy decoding. Wrong answers go to stderr with VERBOSE=1.
set -euo pipefail
build=${1:?usage: answers.sh BUILD MODEL QUESTIONS [MIN]} model=${2:?} questions=${3:?} least=${4:-0}
answers=$(mktemp)
trap 'rm -f "$answers"' EXIT
"$build/ds-run" "$model" --jsonl "$questions" --temperature 0 --max-tokens 256 --quiet < /dev/null > "$answers"
# Both files hold one record a line, in the same order. The strings are compared as JSON text: both sides write
# UTF-8 as it is and escape only what JSON demands.
paste -d '\n' "$questions" "$answers" | awk -v least="$least" -v verbose="${VERBOSE:-}" '
  # The JSON string that follows "key": in the line, without its quotes; the last one if there are several.
  function field(line, key,   rest, value, found, c, i) {
    found = ""
    while (match(line, "\"" key "\": ?\"")) {
      rest = substr(line, RSTART + RLENGTH)
      value = ""
      for (i = 1; i <= length(rest); i++) {
        c = substr(rest, i, 1)
        if (c == "\\") { value = value c substr(rest, ++i, 1) }
        else if (c == "\"") break
        else value = value c
      }
      found = value
      line = substr(rest, i + 1)
    }
    return found
  }
  function trimmed(s) { gsub(/^( |\\n)+|( |\\n)+$/, "", s); return s }
  NR % 2 == 1 { want = field($0, "answer"); contains = $0 ~ /"match": ?"contains"/; id = field($0, "id"); next }
  {
    if (field($0, "id") != id) { print "record " id " has no answer" > "/dev/stderr"; mismatch = 1 }
    got = trimmed(field($0, "text"))
    ok = contains ? index(got, want) > 0 : got == want
    n_correct += ok
    n++
    if (!ok && verbose) print id ": wanted " want ", got " got > "/dev/stderr"
  }
  END {
    print n_correct + 0 "/" n + 0
    exit mismatch || n == 0 || n_correct < least
  }'
