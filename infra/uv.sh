#!/bin/sh
# Prints the path of uv in the version of infra/locks/uv.txt, and gets it into .tools where
# it is not on the PATH. Works from the project's root.
set -eu

lock=infra/locks/uv.txt
version=$(sed -n 's/^uv==\([^ ;]*\).*/\1/p' "$lock")

for uv in uv .tools/bin/uv; do
    case $("$uv" --version 2>/dev/null || true) in
    "uv $version" | "uv $version "*)
        command -v "$uv"
        exit 0
        ;;
    esac
done

fail() {
    echo "segline: $*" >&2
    exit 1
}

# Trust what the machine trusts: many registries stand behind a company's certificate.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
echo "segline: getting uv $version" >&2
rm -rf .tools/uv*.dist-info .tools/bin/uv
wanted="install --quiet --require-hashes --target .tools --requirement $lock"
mkdir -p .tools
# shellcheck disable=SC2086  # several words
get() {
    "$@" $wanted 2>.tools/uv.log
}
if command -v uv >/dev/null 2>&1 && get uv pip; then
    :
else
    command -v python3 >/dev/null 2>&1 || fail "python3 is needed to set things up; install it first"
    wanted="$wanted --disable-pip-version-check"
    get python3 -m pip ||
        { python3 -m venv .tools/venv >/dev/null 2>&1 && get .tools/venv/bin/pip; } ||
        fail "uv can't be installed: $(tail -n 1 .tools/uv.log). Install python3-venv if that is missing, or uv $version (docs.astral.sh/uv)"
fi
echo .tools/bin/uv
