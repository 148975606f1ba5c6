#!/usr/bin/env bash
# ds-bench as a SLURM job whose exit code is the verdict: 0 no slower than the baseline, 1 slower, 3 not to be told.
#   sbatch --export=ALL,DS_BENCH=/path/to/ds-bench scripts/cluster/slurm_bench.sh FOLDER GATE RUN_ARGUMENTS...
#   sbatch ... scripts/cluster/slurm_bench.sh results/ p90_ttft:+5% /models/dsv3 --requests 300
# The first job makes FOLDER/baseline.jsonl; later ones measure FOLDER/today.jsonl and compare. Before the time limit and
# on preemption ds-bench gets SIGTERM, keeps what it has, and the requeued job measures the rest. Follow-up jobs with
# --dependency=afterok run only after verdict 0.
#SBATCH --job-name=ds-bench
#SBATCH --ntasks=1
#SBATCH --signal=TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
folder=$1 gate=$2
shift 2
bin=${DS_BENCH:-ds-bench}
mkdir -p "$folder"
# A job that was stopped finds its own part again; one of yesterday is no part of it.
part=$folder/job-$SLURM_JOB_ID.jsonl
resume=()
[ ! -s "$part" ] || resume=(--resume "$part")
# srun does not take the job's --cpus-per-task by itself (Slurm 22.05 and later).
srun --ntasks=1 ${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK} "$bin" run "$@" "${resume[@]}" --quiet --out "$part"
rc=$?
if [ $rc = 75 ]; then
  scontrol requeue "$SLURM_JOB_ID" && sleep 60 # until the requeue ends this script
  exit 75
fi
[ $rc = 0 ] || exit $rc
if [ ! -s "$folder/baseline.jsonl" ]; then
  mv "$part" "$folder/baseline.jsonl"
  echo "baseline made: $folder/baseline.jsonl"
  exit 0
fi
mv "$part" "$folder/today.jsonl"
# exec: the job's exit code is the verdict's.
exec "$bin" compare "$folder/baseline.jsonl" "$folder/today.jsonl" --gate "$gate"
