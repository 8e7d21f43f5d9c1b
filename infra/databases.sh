#!/bin/sh
# Makes sure that there are a MariaDB and a PostgreSQL server to test against; without them
# those tests are skipped.
missing=
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || missing="mariadb-server"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "segline: installing for the tests: $missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # several packages
    { apt-get update && apt-get install --yes --no-install-recommends $missing; } \
        >/dev/null 2>&1 && exit 0
fi
echo "segline: not here, so their tests will be skipped: $missing"
