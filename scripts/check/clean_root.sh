#!/usr/bin/env bash
# Proves both commands of the README in a bare Debian 12: debootstrap makes the root, apt adds git, make and
# ca-certificates and nothing else, the committed state of this repository is cloned into it, then `make demo` and
# `make test` run there as given. Prints timings and PASS or FAIL. Needs root, debootstrap and a Debian mirror.
#   sudo scripts/check/clean_root.sh [SUITE=bookworm] [TARGET...=demo test]
# The mirror is MIRROR, or the first one of this machine's apt; apt's proxy settings and the resolver are taken over.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${1:-bookworm}
[ $# = 0 ] || shift
targets=("$@")
[ ${#targets[@]} != 0 ] || targets=(demo test)
if [ "$(id -u)" != 0 ]; then echo "clean_root: needs root (chroot and mounts): sudo $0" >&2; exit 1; fi
if ! command -v debootstrap > /dev/null; then
  echo "clean_root: debootstrap is missing: apt-get install debootstrap" >&2
  exit 1
fi
# The first URI for the suite in deb822 or one-line sources; only when this machine's own suite is the one wanted.
host_mirror() {
  [ -d /etc/apt ] || return 0
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2> /dev/null |
    awk -v suite="$suite" '$2 == suite { print $1; exit }'
}
mirror=${MIRROR:-$(host_mirror || true)}
mirror=${mirror:-http://deb.debian.org/debian}

root=$(mktemp -d "${TMPDIR:-/var/tmp}/dstools-root.XXXXXX")
cleanup() {
  local at
  for at in dev/shm dev proc; do
    if mountpoint -q "$root/$at"; then umount "$root/$at" || umount -l "$root/$at"; fi
  done
  if grep -q " $root/" /proc/self/mounts; then
    echo "clean_root: something is still mounted under $root, left there" >&2
  else
    rm -rf --one-file-system "$root"
  fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

result=PASS
# timed NAME COMMAND...: shows the command's output as it comes and how long it took.
timed() {
  local name=$1 begin=$SECONDS rc=0
  shift
  "$@" || rc=$?
  summary+=("$(printf '%-28s %5d s  %s' "$name" $((SECONDS - begin)) "$([ $rc = 0 ] && echo good || echo "FAILED ($rc)")")")
  [ $rc = 0 ] || result=FAIL
  return $rc
}
quietly() { "$@" > "$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; return 1; }; }
inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb "$@" < /dev/null
}
summary=()
finish() {
  rm -f "$root.log"
  printf '\n'
  printf '%s\n' "${summary[@]}"
  echo "clean root, $suite, commit $(git rev-parse --short HEAD): $result"
  [ $result = PASS ]
}

timed "debootstrap $suite" quietly debootstrap --variant=minbase "$suite" "$root" "$mirror" || { finish; exit 1; }
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries)' | grep -v '""' > "$root/etc/apt/apt.conf.d/90host" || true
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
timed "apt: git make" quietly inside sh -c 'apt-get -q update &&
  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends git make ca-certificates' || { finish; exit 1; }
git init -q --bare -b main "$root/srv/dstools.git"
git push -q "file://$root/srv/dstools.git" HEAD:refs/heads/main
timed "git clone" quietly inside git clone file:///srv/dstools.git /root/dstools || { finish; exit 1; }
for target in "${targets[@]}"; do
  timed "make $target" inside make -C /root/dstools "$target" || true
done
finish
