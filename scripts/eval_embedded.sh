#!/usr/bin/env bash
# Accuracy of the embedded model on its evaluation files through ds-run, to compare with data/dsv3-tiny/README.md.
#   scripts/eval_embedded.sh [BUILD]
# Comparing JSON texts is the work of the test program; this only calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
exec "$build/tests/test_tools" --test-case='accuracy of the embedded model' --minimal
