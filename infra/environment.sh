#!/bin/sh
# Makes .venv with the locked packages; does nothing where it is up to date.
#
# Needs python3 and a package registry, nothing else: gets uv where there is none
# (into .tools, the system's Python is left alone), takes the stack that the machine can have
# (infra/stack.sh), and finds or fetches a Python for it.
# Works as `sh infra/environment.sh` from the project's root.
set -eu

venv=.venv
stack_and_why=$(sh infra/stack.sh)
stack=${stack_and_why%%:*}
lock=infra/locks/$stack/dev.lock
case $stack in
current) pythons="3.13 3.12 3.11" ;; # the newest that is here
older) pythons="3.11" ;;
esac

# What the environment was made from. The package itself is installed editable.
wanted=$(cat "$lock" pyproject.toml | cksum)
if [ "$(cat "$venv/.made-from" 2>/dev/null || true)" = "$wanted" ] &&
    "$venv/bin/python" -c "" 2>/dev/null; then
    exit 0
fi

# Trust what the machine trusts: many registries stand behind a company's certificate.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
uv=$(sh infra/uv.sh)

find_python() {
    for python in $pythons; do
        interpreter=$("$uv" python find --quiet --system --no-python-downloads "$python" 2>/dev/null) &&
            return
    done
    python=${pythons%% *}
    interpreter=$python
    "$uv" python install --quiet "$python" >/dev/null 2>&1 || {
        echo "segline: Python $python can't be had here: install it (apt install python$python, pyenv install $python, or uv python install $python where GitHub can be reached) and try again" >&2
        exit 1
    }
}

# One of TFX's packages, pyfarmhash, is published as source only.
can_compile() {
    command -v c++ >/dev/null 2>&1 && "$venv/bin/python" -c "
import os, sysconfig
assert os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h'))" 2>/dev/null
}

install_compiler() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "segline: installing a C++ compiler and Python's headers"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && apt-get install --yes --no-install-recommends g++; } >/dev/null 2>&1 || true
        can_compile || apt-get install --yes --no-install-recommends "python$python-dev" >/dev/null 2>&1 || true
    fi
    can_compile || {
        echo "segline: a C++ compiler and the headers of Python $python are needed: install them (apt install g++ python$python-dev) and try again" >&2
        exit 1
    }
}

find_python
tfx=$(sed -n 's/^tfx==\([^ ;]*\).*/\1/p' "$lock")
echo "segline: the $stack stack, TFX $tfx on Python $python (${stack_and_why#*: })"
echo "segline: installing the locked packages into $venv (a minute or two, once)"
rm -f "$venv/.made-from"
"$venv/bin/python$python" -c "" 2>/dev/null || rm -rf "$venv"
"$uv" venv --quiet --allow-existing --python "$interpreter" "$venv"
can_compile || install_compiler
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
echo "$wanted" >"$venv/.made-from"
