#!/usr/bin/env bash
# Writes data/filter/han-simplify.tsv: each traditional ideograph of the basic plane and its simplified form, as ICU's
# Traditional-Simplified transform has them (Unicode licence). Needs uconv (icu-devtools).
set -euo pipefail
cd "$(dirname "$0")/../.."
out=data/filter/han-simplify.tsv
chars=$(mktemp)
trap 'rm -f "$chars"' EXIT
python3 -c 'print("\n".join(chr(c) for c in range(0x4E00, 0xA000)))' > "$chars"
{
  echo "# Traditional and simplified ideographs after ICU $(uconv --version 2>/dev/null | grep -o 'ICU [0-9.]*' | cut -d' ' -f2), Unicode licence; scripts/make/han_simplify.sh"
  paste "$chars" <(uconv -f utf-8 -t utf-8 -x Traditional-Simplified < "$chars") | awk -F'\t' '$1 != $2 && length($2) > 0'
} > "$out"
wc -l "$out"
