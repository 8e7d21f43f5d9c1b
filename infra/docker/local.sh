#!/bin/sh
# Builds a target of the Dockerfile (`cpu`, `gpu`) on this machine without Docker and without
# a registry, mounts it, and prints the folder: the image's root, to look at or to run in.
#
#   root=$(sh infra/docker/local.sh cpu)
#
# By buildah, on a Debian 13 that mmdebstrap makes in place of the Dockerfile's base. Layers
# are kept in $SEGLINE_IMAGES, so that the same image is made only once. Works as root, from
# the project's root. Where it can't be done it says why and ends with status 77.
set -eu

target=${1:-cpu}
images=${SEGLINE_IMAGES:-/var/tmp/segline-images}

cannot() {
    echo "segline: no image can be built here: $*" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || cannot "this takes root"
if ! command -v buildah >/dev/null 2>&1 || ! command -v mmdebstrap >/dev/null 2>&1; then
    command -v apt-get >/dev/null 2>&1 || cannot "buildah and mmdebstrap are Debian's packages"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends buildah mmdebstrap; } \
        >/dev/null 2>&1 || cannot "buildah and mmdebstrap can't be installed"
fi

tool() {
    command=$1
    shift
    buildah "$command" --root "$images/storage" --runroot "$images/run" "$@"
}

mkdir -p "$images"
exec 9>"$images/lock" # one at a time
flock 9

# What Debian's slim image is: the essential packages without documentation.
if ! tool inspect --type image localhost/debian >/dev/null 2>&1; then
    slim=
    for folder in doc man locale info; do
        slim="$slim --dpkgopt=path-exclude=/usr/share/$folder/*"
    done
    # shellcheck disable=SC2086  # several options
    mmdebstrap --quiet --variant=minbase $slim trixie "$images/debian.tar" \
        >&2 || cannot "Debian's packages can't be had"
    base=$(tool from scratch)
    tool add --quiet "$base" "$images/debian.tar" / >/dev/null
    # Trust what the machine trusts: many networks stand behind a company's certificate.
    if [ -d /usr/local/share/ca-certificates ]; then
        tool add --quiet "$base" /usr/local/share/ca-certificates \
            /usr/local/share/ca-certificates >/dev/null
    fi
    tool commit --quiet --rm "$base" localhost/debian >/dev/null
    rm "$images/debian.tar"
fi

tool build-using-dockerfile --quiet --layers --force-rm --isolation chroot --network host --pull-never \
    --build-arg BASE=localhost/debian --build-arg "COMMIT=${COMMIT:-}" --target "$target" \
    --file infra/docker/Dockerfile --tag "localhost/segline:$target" . >&2

# A container of it, for the mount alone; one of an earlier image is removed.
tool rm "segline-$target" >/dev/null 2>&1 || true
tool from --pull-never --name "segline-$target" "localhost/segline:$target" >/dev/null
tool mount "segline-$target"
