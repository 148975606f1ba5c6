#!/usr/bin/env bash
# Says which sources clang-format would change (exit 1), or changes them with --fix. Without clang-format it says so
# and passes. Versions differ a little in taste: 14 is the one that decides, others only report.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v clang-format > /dev/null; then
  echo "format: clang-format is not installed, nothing checked"
  exit 0
fi
mapfile -t sources < <(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')
if [ "${1:-}" = --fix ]; then
  clang-format -i "${sources[@]}"
  exit 0
fi
bad=()
for source in "${sources[@]}"; do
  clang-format "$source" | cmp -s - "$source" || bad+=("$source")
done
if [ ${#bad[@]} = 0 ]; then
  echo "format: ${#sources[@]} sources as clang-format writes them"
  exit 0
fi
printf 'format: clang-format would change %s\n' "${bad[@]}"
version=$(clang-format --version | sed -n 's/.*version \([0-9]\+\).*/\1/p')
if [ "$version" != 14 ]; then
  echo "format: version $version here, 14 decides: reported only"
  exit 0
fi
exit 1
