#!/bin/sh
# Makes sure that there is a browser for the demo's test; without one it is skipped.
for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "segline: installing chromium for the demo's test"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1 && exit 0
fi
echo "segline: no Chromium or Chrome here, so the demo's test will be skipped"
