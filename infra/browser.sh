#!/bin/sh
# Makes sure that there is what the tests of pages take: a browser, and the ONNX Runtime that
# `segline export page` gets by npm. Without them those tests are skipped.
find_browser() {
    for browser in chromium chromium-browser google-chrome; do
        command -v "$browser" >/dev/null 2>&1 && return 0
    done
    return 1
}

if ! find_browser && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "segline: installing chromium for the tests of pages"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1
fi
find_browser || echo "segline: no Chromium or Chrome here, so the tests of pages will be skipped"

version=$(sed -n 's/^_VERSION = "\(.*\)"/\1/p' components/predictor/browser_page.py)
[ -f ".tools/onnxruntime-web-$version.tgz" ] || {
    mkdir -p .tools
    npm pack --silent --pack-destination .tools "onnxruntime-web@$version" >/dev/null 2>&1 ||
        echo "segline: npm can't get onnxruntime-web $version, so the browser page's test will be skipped"
}
exit 0
