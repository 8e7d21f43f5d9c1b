#!/bin/sh
# Makes sure that there are a MariaDB and a PostgreSQL server to test against; without
# them those tests are skipped.
missing=
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || missing="mariadb-server"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null 2>&1 ||
    missing="$missing postgresql"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "segline: installing $missing for the tests"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { apt-get update && apt-get install --yes --no-install-recommends $missing; } >/dev/null 2>&1 &&
        exit 0
fi
echo "segline: no $missing here, so its tests will be skipped"
