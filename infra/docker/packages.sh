#!/bin/sh
# Installs what a lock names into $VIRTUAL_ENV, without what no step reads, and lets the code
# in /opt/code be found from there.
set -eu

uv venv "$VIRTUAL_ENV"
uv pip sync --quiet --require-hashes "$1"
cd "$VIRTUAL_ENV"/lib/python3.*/site-packages
echo /opt/code >segline.pth
rm -r tensorflow/include # headers, 430 MB
find numpy pandas pyarrow scipy sklearn -type d -name tests -prune -exec rm -r {} +
