#!/usr/bin/env bash
# scripts/cluster/slurm_run.sh on a throw-away cluster: the joined answers of three shards are those of a single run, byte for
# byte, with records that fail among them; a task that is stopped is requeued and goes on; the same command again changes nothing.
#   scripts/cluster/slurm_local.sh scripts/cluster/try_slurm_run.sh BUILD          (root; packages slurm-wlm and munge)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(cd "${1:-build}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "try_slurm_run: FAILED: $1" >&2; cat "$work"/w/*.log >&2 || true; exit 1; }
state() { scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
submit() { DS_RUN=$build/ds-run scripts/cluster/slurm_run.sh "$work/w" "$work/out" 3 "$work/in" data/dsv3-tiny --threads 1 --temperature 0 --concurrency 1; }
wait_for_join() {
  for ((i = 0; i < 240; i++)); do
    case $(state "$1" JobState) in COMPLETED | FAILED | CANCELLED | TIMEOUT) break ;; esac
    sleep 1
  done
  [ "$(state "$1" JobState)" = COMPLETED ] || fail "the joining job is $(state "$1" JobState)"
}
{
  cat data/dsv3-tiny-data/eval_math.jsonl
  echo '{"id":"bad","prompt":5}'
  echo ''
  echo '{"prompt":"7+8=?"}'
  cat data/dsv3-tiny-data/eval_reading.jsonl
} > "$work/in"
"$build/ds-run" data/dsv3-tiny --jsonl "$work/in" --threads 1 --temperature 0 --concurrency 1 -q > "$work/single" || [ $? = 65 ]
words=$(submit); echo "$words"
run=$(sed 's/.*ds-run \([0-9]*\),.*/\1/' <<< "$words") join=${words##* }
# Stop one task once it has answered something.
for ((i = 0; i < 60; i++)); do [ -s "$work/w/out-1.jsonl" ] && break; sleep 0.3; done
scancel --batch --signal=TERM "${run}_1"
for ((i = 0; i < 60; i++)); do [ "$(state "${run}_1" Restarts)" = 1 ] && break; sleep 1; done
[ "$(state "${run}_1" Restarts)" = 1 ] || fail "the stopped task was not requeued"
echo "stopped with $(wc -l < "$work/w/out-1.jsonl") of $(wc -l < "$work/w/in-1.jsonl") answers"
scontrol update job "${run}_1" StartTime=now 2> /dev/null || true
wait_for_join "$join"
plain() { sed 's/"cached_tokens":[0-9]*/"cached_tokens":0/; s/"where":"[^"]*"/"where":""/' "$1"; }
cmp <(plain "$work/out") <(plain "$work/single") || fail "the joined answers are not those of the single run"
before=$(sha256sum < "$work/out")
words=$(submit)
wait_for_join "${words##* }"
[ "$(sha256sum < "$work/out")" = "$before" ] || fail "the same command again gave other answers"
echo "try_slurm_run: $(wc -l < "$work/out") answers of 3 shards equal those of a single run, after a stop, and again"
