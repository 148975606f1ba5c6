#!/usr/bin/env bash
# A model that nobody here made: ds-run's greedy answers must equal those of transformers, token by token.
#   scripts/check/real_answers.sh BUILD [MODELS]
# Needs the network once, for the model and for torch (CPU) and transformers, which go to .cache/transformers;
# PYTHON=/path/to/python uses an environment that has them.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: scripts/check/real_answers.sh BUILD [MODELS]}
folder=$(scripts/make/get_models.sh "${2:-${DS_MODELS:-models}}")
python=${PYTHON:-.cache/transformers/bin/python}
if ! "$python" -c 'import torch, transformers' 2> /dev/null; then
  if [ -n "${PYTHON:-}" ]; then echo "test_real: $PYTHON lacks torch or transformers" >&2; exit 1; fi
  echo "test_real: making a Python environment with torch and transformers in .cache/transformers"
  python3 -m venv .cache/transformers
  # The CPU build has an index of its own; without access to it PyPI's build does as well.
  .cache/transformers/bin/pip install -q torch --index-url https://download.pytorch.org/whl/cpu 2> /dev/null ||
    .cache/transformers/bin/pip install -q torch
  .cache/transformers/bin/pip install -q 'transformers>=4.56' numpy
fi
"$python" tests/real/compare_transformers.py "$build" "$folder"
