"""ML Metadata on a server that speaks nothing but TLS, with a certificate of our own making."""

import subprocess

import database_servers
import pytest

from components.common.errors import UserError
from pipeline.config.loading import load_config
from pipeline.metadata.store import connection_config, open_store


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority, and a certificate of it for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"),
    )
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    openssl("req", "-newkey", "rsa:2048", "-nodes", *subject, "-keyout", "key", "-out", "request")
    openssl(
        *("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"),
        *("-copy_extensions", "copy", "-out", "certificate"),
    )
    return folder


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    if not database_servers.mariadb_path():
        pytest.skip("no MariaDB server here: infra/databases.sh installs it where it may")
    options = (
        f"--ssl-ca={authority}/ca.pem",
        f"--ssl-cert={authority}/certificate",
        f"--ssl-key={authority}/key",
        "--require-secure-transport=ON",
    )
    with database_servers.mariadb(tmp_path_factory.mktemp("tls"), options) as server:
        server.create("tls")
        yield server


@pytest.fixture
def config(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLINE_TEST_PASSWORD", database_servers.PASSWORD)

    def make(tls):
        environment = {
            "SEGLINE__RUN__METADATA": f"{{backend: mysql, port: {server.port}, database: tls, "
            f"password: {{environment: SEGLINE_TEST_PASSWORD}}, tls: {tls}}}"
        }
        return load_config("pets", environment=environment)

    return make


@pytest.mark.slow
def test_it_is_encrypted(config, authority):
    store = open_store(config(f"{{ca: {authority}/ca.pem}}"))
    assert store.get_contexts() == []
    with pytest.raises(UserError, match="can't be read"):  # the server wants it
        open_store(config("null"))


def test_postgresql_is_asked_for_it_in_its_own_words():
    tls = {"SEGLINE__RUN__METADATA": "{backend: postgresql, tls: {ca: /ca, cert: /c, key: /k}}"}
    made = connection_config(load_config("pets", environment=tls)).postgresql.ssloption
    assert (made.sslmode, made.sslrootcert, made.sslcert, made.sslkey) == (
        *("verify-full", "/ca"),
        *("/c", "/k"),
    )
