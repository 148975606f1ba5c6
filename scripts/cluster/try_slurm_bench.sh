#!/usr/bin/env bash
# scripts/cluster/slurm_bench.sh on a throw-away cluster: the header tells job and node, the verdict's exit code arrives at the
# scheduler, a stopped job is requeued and goes on.
#   scripts/cluster/slurm_local.sh scripts/cluster/try_slurm_bench.sh BUILD          (root; packages slurm-wlm, munge and jq)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(cd "${1:-build}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "try_slurm_bench: FAILED: $1" >&2; cat "$work"/*.log >&2 || true; exit 1; }
submit() { # prints the job's id
  sbatch --parsable --output="$work/%j.log" --export=ALL,DS_BENCH="$build/ds-bench" scripts/cluster/slurm_bench.sh "$work/results" p50_e2e:65ms "$@"
}
state() { scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
finish() { # waits, prints the exit code as the scheduler knows it
  for ((i = 0; i < 120; i++)); do
    case $(state "$1" JobState) in COMPLETED | FAILED | CANCELLED | TIMEOUT) break ;; esac
    sleep 1
  done
  state "$1" ExitCode
}
run=(--requests 40 --no-overhead)
first=$(submit --cmd 'sleep 0.05' "${run[@]}")
[ "$(finish "$first")" = 0:0 ] || fail "the first job made no baseline"
same=$(submit --cmd 'sleep 0.05' "${run[@]}")
code=$(finish "$same")
[ "$code" = 0:0 ] || fail "the same command ended with $code"
# Another command is another target, but the plan is the same: exactly what compare is for.
slow=$(submit --cmd 'sleep 0.08' "${run[@]}")
[ "$(finish "$slow")" = 1:0 ] || fail "a slower command ended with $(state "$slow" ExitCode)"
jq -c 'select(.type == "header").env | {host, processors, threads, threads_reason, slurm}' "$work/results/today.jsonl"
[ "$(jq -r 'select(.type == "header").env.slurm.job_id' "$work/results/today.jsonl")" = "$slow" ] || fail "the header does not name the job"

# Every second request is slow: 40 of them cannot tell on which side of 65 ms the median lies.
echo "if rm '$work/slow' 2> /dev/null; then sleep 0.12; else touch '$work/slow'; sleep 0.02; fi" > "$work/uneven.sh"
uneven=$(submit --cmd "bash $work/uneven.sh" "${run[@]}")
[ "$(finish "$uneven")" = 3:0 ] || fail "an uneven command ended with $(state "$uneven" ExitCode)"

long=$(submit --cmd 'sleep 0.1' --requests 100 --no-overhead)
for ((i = 0; i < 30; i++)); do [ "$(state "$long" JobState)" = RUNNING ] && break; sleep 1; done
sleep 3
scancel --signal=TERM "$long"
# Requeued jobs wait for a while before they start again.
for ((i = 0; i < 60; i++)); do [ "$(state "$long" Restarts)" = 1 ] && break; sleep 1; done
[ "$(state "$long" Restarts)" = 1 ] || fail "the stopped job was not requeued"
scontrol update job "$long" StartTime=now 2> /dev/null || true
code=$(finish "$long")
[ "$code" = 65:0 ] || fail "the requeued job ended with $code (expected 65: its plan is not the baseline's)"
n=$(grep -c '"phase":"measure"' "$work/results/today.jsonl")
[ "$n" = 100 ] || fail "$n of 100 requests after the requeue"
[ "$(grep -c '"type":"header"' "$work/results/today.jsonl")" = 1 ] || fail "two headers"
jq -c 'select(.type == "header").env.slurm' "$work/results/today.jsonl"
jq -c 'select(.type == "trailer") | {n_sent, n_resumed, interrupted}' "$work/results/today.jsonl"
squeue --states=all --Format=JobID:8,Name:12,State:12,exit_code:10
echo "try_slurm_bench: verdicts 0, 1 and 3 are the jobs' exit codes; a stopped job went on to $n requests"
