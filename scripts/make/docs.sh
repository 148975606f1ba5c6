#!/usr/bin/env bash
# Man pages and completions, printed by the tools themselves, so that they cannot drift from the options.
#   scripts/make/docs.sh BUILD     writes BUILD/share/{man,bash-completion,zsh,fish}
set -euo pipefail
build=${1:?usage: scripts/make/docs.sh BUILD}
man=$build/share/man/man1 bash=$build/share/bash-completion/completions
zsh=$build/share/zsh/vendor-completions fish=$build/share/fish/vendor_completions.d
mkdir -p "$man" "$bash" "$zsh" "$fish"
n=0
for tool in "$build"/ds-*; do
  if [ ! -x "$tool" ] || [ ! -f "$tool" ]; then continue; fi
  name=${tool##*/}
  "$tool" --man > "$man/$name.1"
  "$tool" --completion bash > "$bash/$name"
  "$tool" --completion zsh > "$zsh/_$name"
  "$tool" --completion fish > "$fish/$name.fish"
  n=$((n + 1))
done
echo "docs: man pages and completions of $n tools in $build/share"
