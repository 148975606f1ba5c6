#!/usr/bin/env bash
# Answers to many records as a SLURM array: the input in N shards of lines, a task each, then one job that joins them.
#   scripts/cluster/slurm_run.sh WORK_FOLDER OUT N_SHARDS RECORDS MODEL [OPTION of ds-run]...
# RECORDS is JSONL, plain or .gz/.zst. Shard i has every N-th line, so that long and short records are spread; OUT has the answers
# in the order of RECORDS, the bytes that one `ds-run MODEL --jsonl RECORDS` writes (apart from usage.cached_tokens, where records
# share a beginning, and from the place of a bad record, which is told in its shard). A task that is preempted or killed is requeued and goes on with its own --resume file; the same command again does
# what is missing. Nodes must see WORK_FOLDER and MODEL.   DS_RUN=program   SBATCH_ARGS='--mem=64G --cpus-per-task=16'
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
bin=${DS_RUN:-$here/build/ds-run}
work=$1 out=$2 n=$3 records=$4 model=$5; shift 5
mkdir -p "$work"
work=$(cd "$work" && pwd)
case $records in
  *.gz) cat=(gzip -dc) ;;
  *.zst) cat=(zstd -dcq) ;;
  *) cat=(cat) ;;
esac
# Made once: a second run of this command must give the tasks the shards that their answers belong to. A record without an id is
# called by its line, which is another one in a shard: it gets the id that the single run would give it.
sum=$(sha256sum < "$records" | cut -d' ' -f1)-$n
if [ "$(cat "$work/shards" 2> /dev/null)" != "$sum" ]; then
  [ ! -e "$work/shards" ] || { echo "slurm_run: $work holds shards of other records: take another folder" >&2; exit 65; }
  "${cat[@]}" "$records" | awk -v n="$n" -v to="$work/in-" '
    BEGIN { for (i = 0; i < n; ++i) printf "" > (to i ".jsonl") }
    /^[ \t\r]*$/ { next }
    !/"id"[ \t]*:/ && !/"custom_id"[ \t]*:/ { sub(/^[ \t]*\{/, "{\"id\":\"line:" NR "\",") }
    { print > (to (k++ % n) ".jsonl") }'
  echo "$sum" > "$work/shards"
fi
options=; [ $# = 0 ] || options=$(printf ' %q' "$@")
# A path would be another one in the folder where tasks run; ORG/NAME of the cache is no path.
[ ! -e "$model" ] || model=$(realpath "$model")
program=$(printf '%q ' "$bin" "$model")
# Exit code 65 says that some records failed: their answers say so, and joining goes on; any other code stops the chain.
task=$(cat << TASK
#!/bin/bash
i=\$SLURM_ARRAY_TASK_ID
$program --jsonl in-\$i.jsonl --resume out-\$i.jsonl -q$options &
child=\$!
trap 'kill -TERM \$child 2> /dev/null' TERM
code=0; wait \$child || code=\$?
while kill -0 \$child 2> /dev/null; do code=0; wait \$child || code=\$?; done
if [ \$code = 75 ]; then scontrol requeue \$SLURM_JOB_ID; sleep 60; fi
[ \$code = 65 ] || exit \$code
TASK
)
join=$(cat << JOIN
#!/bin/bash
set -euo pipefail
answers=()
for ((i = 0; i < $n; ++i)); do
  [ "\$(wc -l < in-\$i.jsonl)" = "\$(wc -l < out-\$i.jsonl)" ] || { echo "shard \$i is not whole" >&2; exit 1; }
  answers+=(out-\$i.jsonl)
done
# One line of each in turn; the shorter ones leave empty lines behind.
paste -d '\n' "\${answers[@]}" | sed '/^\$/d' > join.partial
mv join.partial $(printf '%q' "$(realpath -m "$out")")
JOIN
)
job() { sbatch --parsable --chdir="$work" --output="$work/%x-%A-%a.log" ${SBATCH_ARGS:-} "$@"; }
run=$(job -J ds-run --requeue --open-mode=append --signal=B:TERM@60 --array="0-$((n - 1))" <<< "$task")
merge=$(job -J join -d afterok:"$run" <<< "$join")
echo "submitted: ds-run $run, join $merge"
