#!/usr/bin/env bash
# A kernel variant (kernels/cpu/*_avx2.cpp and its like) is compiled with instructions that the machine may lack.
# If its object defined a weak symbol - an inline function, a template instance - the linker could pick that copy
# for everybody, and baseline code would die of SIGILL. So variant objects define strong and local symbols only.
#   scripts/check/variants.sh BUILD
set -euo pipefail
build=${1:?usage: scripts/check/variants.sh BUILD}
bad=0 n=0
while IFS= read -r object; do
  n=$((n + 1))
  # W and V: weak; u: unique. DW.ref.* is a pointer, the same in every copy.
  # Lower-case w and v are undefined references, which are harmless.
  weak=$(nm --defined-only --demangle "$object" | awk '$2 ~ /^[WVu]$/ && $3 !~ /^DW\.ref\./ { $1 = ""; print }')
  if [ -n "$weak" ]; then
    echo "weak symbols in ${object##*/}:"
    printf '%s\n' "$weak"
    bad=1
  fi
done < <(find "$build" -name '*.o' | grep -E '/kernels/cpu/[^/]*_(avx2|avx512[a-z0-9]*|amx)\.cpp\.o$' || true)
[ $bad = 0 ] && echo "variants: $n objects define no weak symbol"
exit $bad
