#!/usr/bin/env bash
# What the semantic stage's shipped cut lets through: documentation (which it should keep) and the fortunes of Debian's
# packages fortunes and fortunes-zh (which it should not).
#   scripts/check/semantic_fortunes.sh [BUILD]      $PEERS_DIR/corpus/{en,zh}.jsonl is the documentation; apt-get fetches the rest
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/${1:-build}/ds-filter; peers=${PEERS_DIR:-$HOME/peers}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && apt-get download fortunes fortunes-zh > /dev/null 2>&1 && for deb in *.deb; do dpkg -x "$deb" .; done)
python3 - "$tmp" <<'P'
import glob, json, os, sys
out = {l: open(f"{sys.argv[1]}/{l}.jsonl", "w", encoding="utf-8") for l in ("en", "zh")}
for path in sorted(glob.glob(sys.argv[1] + "/usr/share/games/fortunes/*")):
    if os.path.splitext(path)[1] or os.path.islink(path): continue
    chinese = os.path.basename(path) in ("chinese", "tang300", "song100")
    for text in open(path, encoding="utf-8", errors="replace").read().split("\n%\n"):
        if len(text) >= (40 if chinese else 200):
            print(json.dumps({"text": text}, ensure_ascii=False), file=out["zh" if chinese else "en"])
P
share() { # NAME FILE
  "$bin" -q --stages semantic "$2" -o "$tmp/kept" --threads 1
  awk -v n="$1" -v k="$(wc -l < "$tmp/kept")" -v a="$(wc -l < "$2")" 'BEGIN { printf "%s: %.1f %% of %d pass\n", n, 100 * k / a, a }'
}
for lang in en zh; do
  share "$lang documentation" "$peers/corpus/$lang.jsonl"
  share "$lang fortunes" "$tmp/$lang.jsonl"
done
