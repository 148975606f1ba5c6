#!/usr/bin/env bash
# Precision and recall of stage 3 on the shipped sentences, per language, and each mistake.
#   scripts/check/entities_scores.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-build}/ds-filter
for lang in en zh; do
  for want in keep drop; do
    file=data/filter/entities-test-$lang-$want.txt
    "$bin" --text-lines --stages entities -q -o "/tmp/ds-entities.$$.kept" --rejects "/tmp/ds-entities.$$.rejects" --profile <(echo '{"personal_data":{"phone":"off"}}') "$file"
    kept=$(wc -l < "/tmp/ds-entities.$$.kept"); dropped=$(wc -l < "/tmp/ds-entities.$$.rejects")
    if [ $want = keep ]; then false_hits=$dropped; innocent=$((kept + dropped)); sed 's/^/  wrongly dropped: /' "/tmp/ds-entities.$$.rejects" | cut -c1-400
    else caught=$dropped; missed=$kept; sed 's/^/  missed: /' "/tmp/ds-entities.$$.kept"; fi
  done
  awk -v l=$lang -v c="$caught" -v m="$missed" -v f="$false_hits" -v n="$innocent" 'BEGIN {
    printf "%s: precision %.3f, recall %.3f (%d of %d caught, %d of %d innocent dropped)\n", l, c / (c + f), c / (c + m), c, c + m, f, n }'
done
rm -f "/tmp/ds-entities.$$".*
