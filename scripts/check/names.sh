#!/usr/bin/env bash
# No type name twice at namespace level in the house, over universal-ctags: a class Plan in two rooms is an ODR
# violation waiting for the program that joins them, and a puzzle for its reader before that. Names inside other
# classes and unnamed namespaces are their file's own affair. Prints each breach and exits 1.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v ctags > /dev/null || { echo "names: universal-ctags is missing: apt-get install universal-ctags" >&2; exit 1; }

types() {
  ctags -R --languages=C++ --langmap=C++:+.h.cu --kinds-C++=csgut --fields=+sKZ --fields-C++=-'{template}' --excmd=number -f - "$@" |
    awk -F'\t' '{
      scope = "namespace:"
      for (i = 4; i <= NF; i++) if ($i ~ /^(scope:)?(namespace|class|struct|union|enum|function):/) { scope = $i; sub(/^scope:/, "", scope) }
      if (scope !~ /^namespace:/ || scope ~ /__anon/ || $1 ~ /^__anon/) next
      sub(/;"$/, "", $3)
      print $1 "\t" $2 ":" $3
    }' | sort -u
}
bad=0
found=$(types lib kernels tools)
# A CUDA twin and its CPU original, or a class in a header and its forward declaration, do not count: ctags lists
# definitions only.
while read -r name; do
  printf 'type name twice: %s\n' "$name"
  awk -F'\t' -v name="$name" '$1 == name { print "  " $2 }' <<< "$found"
  bad=1
done < <(cut -f1 <<< "$found" | uniq -d)
[ $bad = 0 ] && echo "names: $(wc -l <<< "$found") types, each name once"
exit $bad
