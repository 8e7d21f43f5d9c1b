#!/bin/sh
# Makes .venv with the locked packages; does nothing where it is up to date.
#
# Needs python3 and a package registry, nothing else: gets uv where there is none
# (into .tools, the system's Python is left alone), finds or fetches Python 3.10.
# Works as `sh infra/environment.sh` from the project's root.
set -eu

venv=.venv
lock=requirements-dev.lock
python=$(cat .python-version)

# What the environment was made from. The package itself is installed editable.
wanted=$(cat "$lock" pyproject.toml .python-version | cksum)
if [ "$(cat "$venv/.made-from" 2>/dev/null || true)" = "$wanted" ] &&
    "$venv/bin/python" -c "" 2>/dev/null; then
    exit 0
fi

# Trust what the machine trusts: many registries stand behind a company's certificate.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

fail() {
    echo "segline: $*" >&2
    exit 1
}

find_uv() {
    if command -v uv >/dev/null 2>&1; then
        uv=uv
    elif [ -x .tools/bin/uv ]; then
        uv=.tools/bin/uv
    else
        command -v python3 >/dev/null 2>&1 || fail "python3 is needed to set things up; install it first"
        echo "segline: getting uv"
        python3 -m pip install --quiet --disable-pip-version-check --target .tools uv 2>/dev/null ||
            { python3 -m venv .tools/venv 2>/dev/null &&
                .tools/venv/bin/pip install --quiet --disable-pip-version-check --target .tools uv; } ||
            fail "uv can't be installed: python3 has neither pip nor venv; install uv (docs.astral.sh/uv) or python3-venv"
        uv=.tools/bin/uv
    fi
}

find_python() {
    "$uv" python find --quiet "$python" >/dev/null 2>&1 ||
        "$uv" python install --quiet "$python" >/dev/null 2>&1 ||
        fail "Python $python can't be had here: install it (apt install python$python, pyenv install $python, or uv python install $python where GitHub can be reached) and try again"
}

find_uv
find_python
echo "segline: installing the locked packages into $venv (a minute or two, once)"
rm -f "$venv/.made-from"
"$uv" venv --quiet --allow-existing --python "$python" "$venv"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
echo "$wanted" >"$venv/.made-from"
