#!/usr/bin/env bash
# A full disk: refused with the numbers before anything is written, or exit 74 half-way; what was there stays intact and
# --resume goes on. Needs the right to mount a tmpfs (root, or a user namespace: unshare -rm).
#   scripts/check/disk_full_quantize.sh       BIN=build
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${BIN:-build}
if [ "${1:-}" != inside ]; then
  exec unshare -m ${UNSHARE_ROOT:-$([ "$(id -u)" = 0 ] || echo -r)} "$0" inside
fi
disk=$(mktemp -d)
mount -t tmpfs -o size=12m tmpfs "$disk"
trap 'umount "$disk"; rmdir "$disk"' EXIT
q="$bin/ds-quantize data/dsv3-tiny -o $disk/out --max-shard-size 1MB --quiet"
fail() { echo "FAILED: $1"; exit 1; }

# Room enough for one, not for a second beside it.
$q
before=$(cd "$disk/out" && sha256sum ./* | sha256sum)
rc=0; $q --force --scales pow2 2> "$disk/err" || rc=$?
[ $rc = 74 ] || fail "replacing: exit $rc"
grep -q 'needs .* GB more, the file system has .* free' "$disk/err" || fail "no numbers: $(cat "$disk/err")"
[ "$(cd "$disk/out" && sha256sum ./* | sha256sum)" = "$before" ] || fail "the old folder was touched"
rm -rf "$disk/out" "$disk/out.partial" "$disk/err"

# The disk fills up while we write: someone else takes the room after the check.
mount -o remount,size=64m "$disk"
$q --threads 1 --isa scalar 2> /tmp/disk_full.err & pid=$!
while [ -z "$(ls "$disk/out" 2> /dev/null | grep safetensors || true)" ]; do sleep 0.005; done
kill -STOP $pid  # it would be done before the disk is full
dd if=/dev/zero of="$disk/filler" bs=64k 2> /dev/null || true
kill -CONT $pid
rc=0; wait $pid || rc=$?
[ $rc = 74 ] || fail "filling up: exit $rc ($(cat /tmp/disk_full.err))"
[ ! -e "$disk/out/config.json" ] || fail "config.json is there"
rm "$disk/filler"
$q --resume
[ -e "$disk/out/config.json" ] || fail "resume did not finish"
$bin/ds-quantize data/dsv3-tiny --verify "$disk/out" --quiet || fail "verify"
echo "full disk: 74 before and half-way, old output intact, --resume completes"
