#!/usr/bin/env bash
# Peak memory of ds-quantize does not depend on the size of the model.
#   scripts/bench/rss_quantize.sh [WORK] [GB...]       BIN=build, THREADS="1 2"
# Makes synthetic BF16 folders (random values, llama shapes), converts them to FP8 and back, prints the peak resident
# set of each and fails above 512 MB + 32 MB a thread.
set -euo pipefail
work=${1:-$(mktemp -d)}; shift || true
sizes=${*:-1 8}
bin=${BIN:-build}
mkdir -p "$work"
make_folder() { # FOLDER GB
  python3 - "$1" "$2" << 'PY'
import json, os, struct, sys
folder, gb = sys.argv[1], int(sys.argv[2])
os.makedirs(folder, exist_ok=True)
rows, cols = 7168, 18432  # 264 MB each: V3's largest dense matrix
per_shard, n = 4, gb * 4
block = bytearray(os.urandom(2 * cols * 128))
for i in range(1, len(block), 2):  # bf16 exponents of about 2^-13 .. 2^2
    block[i] = 0x39 + block[i] % 8 + (block[i] & 0x80)
weight_map = {}
for shard in range(gb):
    name = f"model-{shard + 1:05}-of-{gb:05}.safetensors"
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for i in range(per_shard):
        tensor = f"model.layers.{shard * per_shard + i}.mlp.down_proj.weight"
        header[tensor] = {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [at, at + rows * cols * 2]}
        at += rows * cols * 2
        weight_map[tensor] = name
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/{name}", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _ in range(per_shard * rows // 128):
            f.write(block)
json.dump({"metadata": {"total_size": n * rows * cols * 2}, "weight_map": weight_map}, open(f"{folder}/model.safetensors.index.json", "w"))
# A family that is not run yet: only then are down projections alone a folder that ds-quantize takes.
json.dump({"model_type": "deepseek_v4", "torch_dtype": "bfloat16"}, open(f"{folder}/config.json", "w"))
PY
}
peak() { # COMMAND...: peak resident set in kB
  /usr/bin/env python3 -c 'import resource, subprocess, sys; rc = subprocess.call(sys.argv[1:]); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(rc)' "$@"
}
failed=0
for gb in $sizes; do
  make_folder "$work/m" "$gb"
  for threads in ${THREADS:-1 2}; do
    bound=$(((512 + 32 * threads) * 1024))
    for way in fp8 bf16; do
      if [ $way = fp8 ]; then from=m to=f; else from=f to=b; fi
      kb=$(peak "$bin/ds-quantize" "$work/$from" -o "$work/$to" --to $way --threads "$threads" --quiet --no-sync)
      echo "$gb GB, $threads thread(s), to $way: peak $((kb / 1024)) MB (bound $((bound / 1024)) MB)"
      [ "$kb" -le "$bound" ] || failed=1
    done
    kb=$(peak "$bin/ds-quantize" "$work/m" --verify "$work/f" --threads "$threads" --quiet)
    echo "$gb GB, $threads thread(s), verify: peak $((kb / 1024)) MB"
    [ "$kb" -le "$bound" ] || failed=1
    rm -rf "$work/f" "$work/b"
  done
  rm -rf "$work/m"
done
exit $failed
