#!/usr/bin/env bash
# The distributed run as SLURM array jobs: sig (one task a shard) > edges (one task a part of the keys) > cluster > apply.
#   scripts/cluster/slurm_filter.sh WORK_FOLDER OUTPUT_FOLDER N_SHARDS INPUT...
# Every step only reads and writes files in WORK_FOLDER, which all nodes must see; the output is byte for byte what
# `ds-filter INPUT... -o OUTPUT_FOLDER` writes on one machine; a single INPUT, which the shards share, is in parts
# whose names sort in its order.
set -euo pipefail
bin=${DS_FILTER:-$(cd "$(dirname "$0")/../.." && pwd)/build/ds-filter}
work=$1 out=$2 n=$3; shift 3
parts=${PARTS:-5}
mkdir -p "$work" "$out"
quoted=$(printf ' %q' "$@")
works=$(for ((i = 0; i < n; ++i)); do printf ' %q' "$work/shard-$i"; done)
edges=$(for ((i = 0; i < parts; ++i)); do printf ' %q' "$work/edges-$i"; done)
job() { sbatch --parsable --output="$work/%x-%A-%a.log" "$@"; }
sig=$(job -J sig --array=0-$((n - 1)) --wrap "exec $bin sig -q --shard auto --work $work/shard-\$SLURM_ARRAY_TASK_ID$quoted")
edge=$(job -J edges --array=0-$((parts - 1)) -d afterok:"$sig" --wrap "exec $bin edges -q --part slurm$works -o $work/edges-\$SLURM_ARRAY_TASK_ID")
cluster=$(job -J cluster -d afterok:"$edge" --wrap "exec $bin cluster -q$works --edges$edges -o $work/clusters")
apply=$(job -J apply --array=0-$((n - 1)) -d afterok:"$cluster" --wrap "exec $bin apply -q --shard auto --work $work/shard-\$SLURM_ARRAY_TASK_ID --clusters $work/clusters$quoted -o $out/")
echo "submitted: sig $sig, edges $edge, cluster $cluster, apply $apply"
