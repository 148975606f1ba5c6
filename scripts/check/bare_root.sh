# A bare Debian in a folder, for checks that must not see this machine; to be sourced. Needs root, debootstrap and a
# Debian mirror: MIRROR, or the first one of this machine's apt; apt's proxy settings and the resolver are taken over.
#   make_bare_root SUITE   makes $bare_root, which goes when the script ends
#   inside COMMAND...      runs there
#   quietly COMMAND...     shows the end of the output only where it fails
need_bare_root_tools() {
  if [ "$(id -u)" != 0 ]; then echo "needs root (chroot and mounts): sudo $0" >&2; return 1; fi
  if ! command -v debootstrap > /dev/null; then
    echo "debootstrap is missing: apt-get install debootstrap" >&2
    return 1
  fi
}
# The first URI for the suite in deb822 or one-line sources; only when this machine's own suite is the one wanted.
host_mirror() {
  [ -d /etc/apt ] || return 0
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2> /dev/null |
    awk -v suite="$1" '$2 == suite { print $1; exit }'
}
remove_bare_root() {
  local at
  [ -n "${bare_root:-}" ] || return 0
  for at in dev/shm dev proc; do
    if mountpoint -q "$bare_root/$at"; then umount "$bare_root/$at" || umount -l "$bare_root/$at"; fi
  done
  if grep -q " $bare_root/" /proc/self/mounts; then
    echo "something is still mounted under $bare_root, left there" >&2
  else
    rm -rf --one-file-system "$bare_root" "$bare_root.log"
  fi
}
quietly() { "$@" > "$bare_root.log" 2>&1 || { tail -n 20 "$bare_root.log" >&2; return 1; }; }
inside() {
  chroot "$bare_root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
    DEBIAN_FRONTEND=noninteractive "$@" < /dev/null
}
make_bare_root() {
  local mirror=${MIRROR:-$(host_mirror "$1" || true)}
  bare_root=$(mktemp -d "${TMPDIR:-/var/tmp}/dstools-root.XXXXXX")
  trap remove_bare_root EXIT
  trap 'exit 130' INT TERM
  quietly debootstrap --variant=minbase "$1" "$bare_root" "${mirror:-http://deb.debian.org/debian}" || return 1
  cp -L /etc/resolv.conf "$bare_root/etc/resolv.conf"
  apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries)' | grep -v '""' \
    > "$bare_root/etc/apt/apt.conf.d/90host" || true
  mount -t proc proc "$bare_root/proc"
  mount --bind /dev "$bare_root/dev"
  mount -t tmpfs tmpfs "$bare_root/dev/shm"
  quietly inside apt-get -q update
}
