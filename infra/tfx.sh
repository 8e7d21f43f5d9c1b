#!/usr/bin/env bash
# The `tfx` command without the lines that TensorFlow 2.21 writes when it is imported, whatever
# TF_CPP_MIN_LOG_LEVEL says. (For the `segline` command: components/common/stack.py.)
set -o pipefail
[ "${TF_CPP_MIN_LOG_LEVEL:-3}" = 3 ] || exec tfx "$@"
{
    tfx "$@" 2>&1 >&3 | (
        trap '' INT # what `tfx` says last
        sed --unbuffered \
        -e '/^WARNING: All log messages before absl::InitializeLog() is called/d' \
        -e '/^[IWE]0000 00:00:/d' \
        -e '/^To enable the following instructions: /d' >&2
    )
} 3>&1
