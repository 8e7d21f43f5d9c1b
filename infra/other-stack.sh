#!/bin/sh
# Tests the stack that this machine does not take (infra/stack.sh): the current one where glibc
# is old, the older one where it is new. Needs root, for a root file system of another release
# of the same distribution; where that can't be had it says why, and ends with status 77.
#
#   sh infra/other-stack.sh [pytest's arguments]
#
# OTHER_ROOT names a root file system to take instead of a new one; it needs the packages below. Works from the project's root.
set -eu

skip() {
    echo "segline: the other stack is not tested: $*" >&2
    exit 77
}

here=$(sh infra/stack.sh)
[ "${here%%:*}" = older ] && other=current || other=older
# shellcheck source=/dev/null
. /etc/os-release
case $ID-$other in
debian-current) suite=trixie ;;
debian-older) suite=bookworm ;;
ubuntu-current) suite=noble ;;
ubuntu-older) suite=jammy ;;
*) skip "it is known how for Debian and Ubuntu, not for $ID" ;;
esac
[ "$(id -u)" = 0 ] || skip "it needs root"
unshare --mount --pid --fork true 2>/dev/null || skip "this container may not mount anything"

root=${OTHER_ROOT:-$PWD/.tools/other-stack/$suite}
packages=python3,python3-dev,python3-venv,g++,git,make,procps,ca-certificates
packages=$packages,mariadb-server,postgresql
[ $suite != jammy ] || packages=$packages,python3.11,python3.11-dev,python3.11-venv

# The host's own mirrors, with another release's name.
sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v host="$VERSION_CODENAME" -v suite="$suite" \
            '$2 == host || $2 == host "-updates" { sub(host, suite, $2); print "deb", $1, $2, $3 }'
}

make_root() {
    if ! command -v mmdebstrap >/dev/null 2>&1; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && apt-get install --yes --no-install-recommends mmdebstrap; } \
            >/dev/null 2>&1 || skip "mmdebstrap can't be installed"
    fi
    echo "segline: making a root of $suite in $root"
    rm -rf "$root.new"
    mkdir -p "$(dirname "$root")"
    sources | mmdebstrap --quiet --variant=apt --include="$packages" "$suite" "$root.new" - ||
        skip "mmdebstrap can't make a root of $suite"
    mv "$root.new" "$root"
}
[ -d "$root/usr" ] || make_root

# The files that git knows or would know, as they are; the environment there is kept.
mkdir -p "$root/segline"
find "$root/segline" -mindepth 1 -maxdepth 1 ! -name .venv ! -name .tools -exec rm -rf {} +
git ls-files --cached --others --exclude-standard -z |
    xargs -0 sh -c 'for f; do [ -e "$f" ] && printf "%s\0" "$f"; done' sh |
    tar --create --null --files-from=- | tar --extract --directory "$root/segline"

# What the stacks may differ in; forms of data are read by the same libraries in both.
[ $# -gt 0 ] || set -- tests/components tests/pipeline tests/infra \
    tests/end_to_end/test_run.py tests/end_to_end/test_kubeflow_package.py \
    tests/end_to_end/test_databases.py tests/end_to_end/test_tiles.py \
    --ignore=tests/components/datasets

# What reaches registries here does so there: names, certificates, settings, uv's cache.
cache=$($(sh infra/uv.sh) cache dir)
export root cache HOST_HOME="$HOME"
# shellcheck disable=SC2016  # expanded in the shell that is started
exec unshare --mount --pid --fork --kill-child sh -euc '
for file in /etc/resolv.conf /etc/hosts; do cat "$file" >"$root$file" 2>/dev/null || true; done
there() {
    [ -d "$1" ] || return 0
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
}
there /etc/ssl/certs /etc/ssl/certs
there /usr/local/share/ca-certificates /usr/local/share/ca-certificates
there "$HOST_HOME/.config" /root/.config && mount -o remount,bind,ro "$root/root/.config" 2>/dev/null || true
there "$cache" /root/.cache/uv
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
exec env -u SEGLINE_STACK -u VIRTUAL_ENV -u TMPDIR HOME=/root UV_CACHE_DIR=/root/.cache/uv \
    UV_LINK_MODE=copy GIT_CONFIG_GLOBAL=/dev/null \
    PATH=/segline/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" sh -euc "cd /segline; make --no-print-directory environment; exec pytest \"\$@\"" \
    pytest "$@"
' sh --numprocesses "$(nproc)" --dist loadfile --no-loadscope-reorder "$@"
