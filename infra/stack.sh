#!/bin/sh
# Prints which of the two stacks this machine gets (`current` or `older`), and why.
#
# The compiled packages of the current one (ml-metadata, TFDV) need glibc 2.39.
# SEGLINE_STACK chooses by hand.
set -eu

case $(uname -m) in
x86_64 | amd64) ;;
*)
    echo "segline: TFX is published for x86-64 alone, and this is $(uname -m)" >&2
    exit 1
    ;;
esac

needed=39
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true) # "glibc 2.41"
minor=${libc#glibc 2.}
case $libc in
"glibc 2."[0-9]*) ;;
*)
    echo "segline: TFX is published for Linux with glibc alone, and this is not one" >&2
    exit 1
    ;;
esac

case ${SEGLINE_STACK:-} in
current)
    [ "${minor%%.*}" -ge $needed ] || {
        echo "segline: SEGLINE_STACK=current needs glibc 2.$needed or newer, and here is $libc; leave it out, or run in the image (infra/docker)" >&2
        exit 1
    }
    echo "current: SEGLINE_STACK says so"
    ;;
older) echo "older: SEGLINE_STACK says so" ;;
"")
    if [ "${minor%%.*}" -ge $needed ]; then
        echo "current: this machine has $libc"
    else
        echo "older: the current one needs glibc 2.$needed, and this machine has $libc"
    fi
    ;;
*)
    echo "segline: SEGLINE_STACK is \"$SEGLINE_STACK\"; it can be current or older" >&2
    exit 1
    ;;
esac
