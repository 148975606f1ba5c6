#!/usr/bin/env bash
# A report of ds-bench in a browser: it holds charts, asks nothing of the network, runs no script, and is drawn in
# light and in dark. Exits 77 (skipped) without Chromium.
#   scripts/check/report.sh BUILD [FOLDER FOR THE PICTURES]
set -euo pipefail
build=$(cd "${1:-build}" && pwd)
command -v chromium > /dev/null || { echo "check_report: not run: chromium is missing"; exit 77; }
keep=${2:+$(mkdir -p "$2" && cd "$2" && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$build/ds-bench" run --cmd true --requests 40 --no-overhead --quiet --out run.jsonl
"$build/ds-bench" report run.jsonl --out report.html
browser() {
  chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --window-size=1000,1600 "$@" \
    "file://$work/report.html" 2> browser.log || { tail -n 3 browser.log; exit 1; }
}
browser --dump-dom > dom.html
browser --screenshot=light.png > /dev/null
browser --blink-settings=preferredColorScheme=0 --screenshot=dark.png > /dev/null
fail() { echo "check_report: $1"; exit 1; }
[ "$(grep -c '<svg' dom.html)" -ge 2 ] || fail "no charts"
! grep -qE '<script(>| +src)|(src|href)="(https?:)?//|@import|url\(' report.html || fail "it fetches or runs something"
# A blank page of this size is below 10 kB.
for picture in light dark; do [ "$(stat -c %s $picture.png)" -gt 10000 ] || fail "$picture is blank"; done
! cmp -s light.png dark.png || fail "light and dark look alike"
[ -z "$keep" ] || cp light.png dark.png report.html "$keep"
echo "check_report: drawn in light and dark"
