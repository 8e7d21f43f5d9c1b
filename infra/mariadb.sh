#!/bin/sh
# Makes sure that there is a MariaDB server to test against; without one those tests are
# skipped.
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "segline: installing mariadb-server for the tests"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends mariadb-server; } \
        >/dev/null 2>&1 && exit 0
fi
echo "segline: no MariaDB server here, so its tests will be skipped"
