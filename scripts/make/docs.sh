#!/usr/bin/env bash
# Man pages and bash completions, printed by the tools themselves, so that they cannot drift from the options.
#   scripts/make/docs.sh BUILD     writes BUILD/share/{man/man1,bash-completion/completions}
set -euo pipefail
build=${1:?usage: scripts/make/docs.sh BUILD}
man=$build/share/man/man1 completions=$build/share/bash-completion/completions
mkdir -p "$man" "$completions"
n=0
for tool in "$build"/ds-*; do
  if [ ! -x "$tool" ] || [ ! -f "$tool" ]; then continue; fi
  name=${tool##*/}
  "$tool" --man > "$man/$name.1"
  "$tool" --completion bash > "$completions/$name"
  n=$((n + 1))
done
echo "docs: $n man pages and completions in $build/share"
