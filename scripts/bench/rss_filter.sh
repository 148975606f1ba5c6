#!/usr/bin/env bash
# Peak memory: of the duplicate search over many short records, one in ten a copy, at most 512 MB + 400 bytes a
# record; and of all stages over lines as long as the default allows, at most 512 MB.
#   scripts/bench/rss_filter.sh [BUILD [RECORDS [THREADS]]]
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-build}/ds-filter; n=${2:-3000000}; threads=${3:-2}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/rss_filter.XXXX"); trap 'rm -rf "$tmp"' EXIT
awk -v n="$n" 'function word(k,   t) { for (t = ""; length(t) < 5; k = int(k / 26)) t = t substr("abcdefghijklmnopqrstuvwxyz", k % 26 + 1, 1); return t }
BEGIN { srand(6); for (i = 0; i < n; ++i) {
  k = i && i % 10 == 0 ? int(rand() * i) : i
  printf "{\"id\":%d,\"text\":\"%s %s %s %s %s %s\"}\n", i, word(k), word(k * 7919 % 11881376), word(k * 104729 % 11881376), word(k * 611953 % 11881376), word(k * 15485863 % 11881376), word(k * 32452843 % 11881376) } }' > "$tmp/in.jsonl"
python3 - "$bin" "$tmp" "$n" "$threads" <<'P'
import json, os, subprocess, sys
bin, tmp, n, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
def peak_of(name, *options):
    p = subprocess.Popen([bin, f"{tmp}/{name}", "-o", f"{tmp}/out.jsonl", "--report", f"{tmp}/r.json", "-q", "--threads", threads, *options])
    _, status, usage = os.wait4(p.pid, 0)
    if status: sys.exit(f"{name}: ds-filter failed")
    return usage.ru_maxrss * 1024, json.load(open(f"{tmp}/r.json"))["records"]

over = False
for script in ("en", "zh"):
    text = json.dumps(open(f"data/filter/entities-test-{script}-keep.txt").read(), ensure_ascii=False)[1:-1]
    line = '{"text":"' + text * int(9.9e6 / len(text.encode())) + '"}\n'
    with open(f"{tmp}/long.jsonl", "w") as f: f.writelines([line] * 8)
    peak, records = peak_of("long.jsonl", "--no-short-circuit")
    over |= peak > 512e6 or records["quarantined"] > 0
    print(f"8 lines of {len(line.encode()) / 1e6:.1f} MB ({script}): peak {peak / 1e6:.0f} MB; bound 512 MB")
peak, records = peak_of("in.jsonl", "--stages", "integrity,duplicates")
bound = 512e6 + 400 * n
print(f"{n} records, {records['dropped']} duplicates: peak {peak / 1e6:.0f} MB, {peak / n:.0f} bytes a record; bound {bound / 1e6:.0f} MB")
sys.exit(over or peak > bound)
P
