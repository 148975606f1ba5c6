#!/usr/bin/env bash
# Speed of ds-quantize against cp, interleaved in one run, medians over rounds.
#   scripts/bench/quantize.sh MODEL_BF16 [ROUNDS] [WORK]     BIN=build by default
# Rows: BF16 -> FP8 against cp of the input; FP8 -> BF16 against cp of the output. Like with like: "as cp" leaves
# writing back to the kernel on both sides (--no-sync); "synced" waits for the disk on both sides. Warm: the input is
# in the page cache. Cold: it was dropped (posix_fadvise DONTNEED, no root needed); skipped where that has no effect.
#
# Every step starts with as much free memory that was in use a moment ago as it will fill. Many virtual machines give
# memory back to their host two seconds after it is freed (free page reporting), first of all the large pieces that
# large writes are kept in, and taking it again costs several times the copy: without this, a step was timed by how
# long ago the files before it were deleted. Choose a MODEL that one thread converts in less than those two seconds.
set -euo pipefail
model=$1 rounds=${2:-5} work=${3:-$(mktemp -d)} bin=${BIN:-build}
q=$bin/ds-quantize
mkdir -p "$work"; trap 'rm -rf "$work/fp8" "$work/bf16" "$work/copy" "$work/t" "$work/memory"' EXIT
now() { date +%s.%N; }
drop() { sync; for f in "$1"/*.safetensors; do dd if="$f" iflag=nocache count=0 2>/dev/null; done; }
warm() { cat "$1"/*.safetensors > /dev/null; }
declare -A times
bytes=$(cat "$model"/*.safetensors | wc -c)
take_memory() {
  sleep 4  # what was freed before has gone to the host, nobody is busy with that during the step
  dd if=/dev/zero of="$work/memory" bs=2M count="$bytes" iflag=count_bytes status=none
  rm "$work/memory"
}
timed() { # LABEL COMMAND...
  local label=$1 t0 t1; shift
  take_memory
  t0=$(now); "$@"; t1=$(now)
  times[$label]+="$(echo "$t1 - $t0" | bc) "
}
copy() { cp "$1"/*.safetensors "$work/copy/"; }
copy_sync() { cp "$1"/*.safetensors "$work/copy/"; sync "$work"/copy/*; }
fresh() { rm -rf "$work/copy" "$work/t"; mkdir -p "$work/copy"; sync; }
median() { tr ' ' '\n' <<< "$1" | grep . | sort -n | awk '{a[NR]=$1} END {print (NR%2 ? a[(NR+1)/2] : (a[NR/2]+a[NR/2+1])/2)}'; }

rm -rf "$work/fp8" "$work/bf16"
$q "$model" -o "$work/fp8" --quiet --no-sync
for ((i = 0; i < rounds; ++i)); do
  for state in warm cold; do
    prepare=$([ $state = warm ] && echo warm || echo drop)
    fresh; $prepare "$model";      timed "$state cp-input" copy "$model"
    fresh; $prepare "$model";      timed "$state bf16-fp8" $q "$model" -o "$work/t" --quiet --no-sync
    mkdir -p "$work/bf16"; rm -rf "$work/bf16"; mv "$work/t" "$work/bf16"
    fresh; $prepare "$model";      timed "$state cp-input-synced" copy_sync "$model"
    fresh; $prepare "$model";      timed "$state bf16-fp8-synced" $q "$model" -o "$work/t" --quiet
    fresh; $prepare "$work/fp8";   timed "$state fp8-bf16" $q "$work/fp8" -o "$work/t" --to bf16 --quiet --no-sync
    rm -rf "$work/bf16"; mv "$work/t" "$work/bf16"
    fresh; $prepare "$work/bf16";  timed "$state cp-output" copy "$work/bf16"
  done
  fresh; warm "$model"; timed "threads-1" $q "$model" -o "$work/t" --quiet --no-sync --threads 1
  fresh; warm "$model"; timed "threads-2" $q "$model" -o "$work/t" --quiet --no-sync --threads 2
done
echo "model $(du -sh --apparent-size "$model" | cut -f1), $rounds rounds, $(nproc) processors, $(uname -r)"
for label in "${!times[@]}"; do printf '%-24s %s s   (%s)\n' "$label" "$(median "${times[$label]}")" "${times[$label]}"; done | sort
ratio() { echo "scale=3; $(median "${times[$1]}") / $(median "${times[$2]}")" | bc; }
for state in warm cold; do
  echo "$state: bf16->fp8 / cp input $(ratio "$state bf16-fp8" "$state cp-input") (goal <= 1.0), synced $(ratio "$state bf16-fp8-synced" "$state cp-input-synced"); fp8->bf16 / cp output $(ratio "$state fp8-bf16" "$state cp-output") (goal <= 1.1)"
done
echo "1 -> 2 threads, cached: $(ratio threads-1 threads-2)x (goal >= 1.8)"
