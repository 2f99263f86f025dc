"""A warehouse on another machine, as such servers are: TLS alone, a certificate to be checked, settings in the URL."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import psycopg2  # type: ignore[import-untyped]
import pytest
import sqlalchemy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra import embedded
from sevenfold import dbt
from sevenfold.errors import WarehouseUnreachableError
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect, sqlalchemy_url
from tests.conftest import FAST_SETTINGS, fresh_warehouse, short_folder
from tests.infra.conftest import DEBIAN_15

pytestmark = pytest.mark.skipif(
    not (DEBIAN_15 / "postgres").exists(),
    reason="The package's PostgreSQL is built without TLS: apt-get install postgresql-15",
)

QUESTION = "select ssl, current_setting('work_mem') from pg_stat_ssl where pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def remote_server() -> Iterator[embedded.Server]:
    """A server that speaks TLS alone; its certificate's authority is beside its data, as `authority.crt`."""
    with short_folder() as home:
        server = embedded.start(home, DEBIAN_15, FAST_SETTINGS)
        data = server.folder / "data"
        make_certificate(data)
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        with psycopg.connect(server.url_for("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("alter system set ssl = on")
            connection.execute("select pg_reload_conf()")
        yield server
        embedded.remove(home)


def make_certificate(data: Path) -> None:
    """Write a certificate for 127.0.0.1 that is its own authority, and its key, for the server's user alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, content, mode in (
        ("server.crt", certificate.public_bytes(pem), 0o600),
        ("server.key", secret, 0o600),
    ):
        (data / file).write_bytes(content)
        (data / file).chmod(mode)
        os.chown(data / file, data.stat().st_uid, data.stat().st_gid)


@pytest.fixture
def remote(remote_server: embedded.Server, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A migrated database there, reached by a URL that checks the certificate and sets a memory limit."""
    authority = tmp_path / "authority.crt"
    authority.write_bytes((remote_server.folder / "data" / "server.crt").read_bytes())
    with fresh_warehouse(remote_server, tmp_path / "home") as url, pytest.MonkeyPatch.context() as patch:
        options = f"sslmode=verify-full&sslrootcert={authority}&options=-c%20work_mem%3D7MB"
        patch.setenv("SEVENFOLD_WAREHOUSE_URL", f"{url}?{options}")
        get_settings.cache_clear()
        yield patch


def ask_psycopg() -> object:
    with psycopg.connect(str(get_settings().warehouse_url)) as connection:
        return connection.execute(QUESTION).fetchone()


def ask_adbc() -> object:
    with adbc.connect(str(get_settings().warehouse_url)) as connection, connection.cursor() as cursor:
        cursor.execute(QUESTION)
        return cursor.fetchone()


def ask_sqlalchemy() -> object:
    engine = sqlalchemy.create_engine(sqlalchemy_url())
    with engine.connect() as connection:
        return tuple(connection.execute(sqlalchemy.text(QUESTION)).one())


def ask_as_dbt() -> object:
    """By dbt's driver, with what `profiles.yml` takes from the environment, and the rest of it for libpq."""
    given = dbt._warehouse_environment()
    profile = {"host": "SEVENFOLD_DBT_HOST", "port": "SEVENFOLD_DBT_PORT", "user": "SEVENFOLD_DBT_USER"}
    profile |= {"password": "DBT_ENV_SECRET_SEVENFOLD_PASSWORD", "dbname": "SEVENFOLD_DBT_DBNAME"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        connection = psycopg2.connect(**{option: given[variable] for option, variable in profile.items()})
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(QUESTION)
        return cursor.fetchone()


each_driver = pytest.mark.parametrize("ask", [ask_psycopg, ask_adbc, ask_sqlalchemy, ask_as_dbt])


@each_driver
def test_every_driver_checks_the_certificate_and_heeds_what_the_url_says(
    remote: pytest.MonkeyPatch, tmp_path: Path, ask: Callable[[], object]
) -> None:
    assert ask() == (True, "7MB")
    make_certificate(tmp_path)  # of an authority that nobody knows
    remote.setenv("SEVENFOLD_WAREHOUSE_URL", str(get_settings().warehouse_url).replace("authority.crt", "server.crt"))
    get_settings.cache_clear()
    with pytest.raises(Exception, match="certificate verify failed"):
        ask()


def test_what_is_wrong_with_the_certificate_is_said(remote: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with connect("loader") as connection:
        assert connection.execute("show work_mem").fetchone() == ("7MB",)
    make_certificate(tmp_path)
    remote.setenv("SEVENFOLD_WAREHOUSE_URL", str(get_settings().warehouse_url).replace("authority.crt", "server.crt"))
    get_settings.cache_clear()
    with pytest.raises(WarehouseUnreachableError, match="certificate verify failed") as caught:
        connect()
    assert "postgresql://" not in str(caught.value)
