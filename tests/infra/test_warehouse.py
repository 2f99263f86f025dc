"""Whatever keeps the warehouse from being used is said in words, without a password and without anybody's data."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from infra import embedded
from sevenfold.errors import (
    SettingsError,
    WarehouseError,
    WarehouseLoginError,
    WarehouseTooOldError,
    WarehouseUnreachableError,
)
from sevenfold.settings import get_settings
from sevenfold.warehouse import arrow_connection, clear_errors, connect, sqlalchemy_url, warehouse_url


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Set variables for one test; the settings are read anew before and after."""
    get_settings.cache_clear()
    yield monkeypatch
    get_settings.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SEVENFOLD_WAREHOUSE_URL", url)
    get_settings.cache_clear()


@contextmanager
def server_that_says(version: str) -> Iterator[int]:
    """A listener that speaks just enough of PostgreSQL's protocol to say which version it is."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4, "big") + body

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while (start := client.recv(1024)) and start[4:8] != b"\x00\x03\x00\x00":
                    client.sendall(b"N")  # neither TLS nor GSS
                greeting = message(b"R", bytes(4)) + message(b"S", b"server_version\0" + version.encode() + b"\0")
                client.sendall(greeting + message(b"Z", b"I"))
                client.recv(1024)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_the_three_connections_take_the_role(warehouse: str) -> None:
    question = "select current_user::text, current_setting('timezone')"
    with connect("loader") as connection:
        assert connection.execute(question).fetchone() == ("sevenfold_loader", "UTC")
        connection.rollback()
        assert connection.execute(question).fetchone() == ("sevenfold_loader", "UTC")
    with arrow_connection("transformer") as arrow, arrow.cursor() as cursor:
        cursor.execute(question)
        arrow.rollback()
        cursor.execute(question)
        assert cursor.fetchone() == ("sevenfold_transformer", "UTC")
    assert sqlalchemy_url() == warehouse.replace("postgresql://", "postgresql+psycopg://")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_spellings_of_a_url_are_one(configure: pytest.MonkeyPatch, scheme: str) -> None:
    use(configure, f"{scheme}://ana:s%40crt@db.example.com:5432/sevenfold?sslmode=require")
    assert warehouse_url() == "postgresql://ana:s%40crt@db.example.com:5432/sevenfold?sslmode=require"


@pytest.mark.parametrize(
    "url", ["mysql://ana:secret@host/db", "host=localhost dbname=db password=secret", "postgresql://host"]
)
def test_another_kind_of_url_is_refused(configure: pytest.MonkeyPatch, url: str) -> None:
    use(configure, url)
    with pytest.raises(SettingsError, match="postgresql://user:password@host:5432/database") as caught:
        connect()
    assert "secret" not in str(caught.value)


def test_without_a_url_the_embedded_server_is_the_warehouse(configure: pytest.MonkeyPatch) -> None:
    get_settings.cache_clear()
    home = get_settings().home
    try:
        assert embedded.status(home).state_code == "absent"
        with connect() as connection:
            assert connection.info.dbname == "sevenfold"
        assert embedded.status(home).state_code == "running"
    finally:
        embedded.remove(home)


def test_a_server_that_is_away(configure: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can, either
        port = unused.getsockname()[1]
        use(configure, f"postgresql://ana:secret@127.0.0.1:{port}/sevenfold")
        for open_connection in (connect, arrow_connection):
            with pytest.raises(
                WarehouseUnreachableError, match=rf"No warehouse server answers at 127\.0\.0\.1:{port}: .* refused\."
            ) as caught:
                open_connection()
            assert "secret" not in str(caught.value)


def test_a_host_that_does_not_exist(configure: pytest.MonkeyPatch) -> None:
    use(configure, "postgresql://ana:secret@nowhere.invalid:5432/sevenfold")
    with pytest.raises(WarehouseUnreachableError, match=r"nowhere\.invalid:5432"):
        connect()


@pytest.mark.parametrize(
    ("user", "password", "database"),
    [("sevenfold", "secret", "sevenfold"), ("nobody", "secret", "sevenfold"), ("sevenfold", None, "missing")],
)
def test_a_login_that_is_refused(
    configure: pytest.MonkeyPatch, warehouse_server: embedded.Server, user: str, password: str | None, database: str
) -> None:
    password = password or warehouse_server.password
    use(configure, f"postgresql://{user}:{password}@127.0.0.1:{warehouse_server.port}/{database}")
    with pytest.raises(WarehouseLoginError, match=f"refuses the user {user} for the database {database}") as caught:
        connect()
    assert password not in str(caught.value)


def test_a_server_that_is_too_old(configure: pytest.MonkeyPatch) -> None:
    with server_that_says("14.19") as port:
        use(configure, f"postgresql://ana:secret@127.0.0.1:{port}/sevenfold")
        with pytest.raises(WarehouseTooOldError, match="PostgreSQL 14, and Sevenfold needs 15 or newer"):
            connect()


def test_a_lost_connection(warehouse: str) -> None:
    with psycopg.connect(warehouse) as other, connect() as connection:
        other.execute("select pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        with pytest.raises(WarehouseUnreachableError, match="The load stopped"), clear_errors("The load stopped"):
            connection.execute("select 1")


def test_other_refusals_keep_the_values_to_themselves(warehouse: str) -> None:
    with connect(autocommit=True) as connection:
        connection.execute("set statement_timeout = '50ms'")
        with pytest.raises(WarehouseError, match="statement timeout") as caught, clear_errors("The load stopped"):
            connection.execute("select pg_sleep(5), %s", ["ana@example.com"])
    assert "ana@example.com" not in str(caught.value)
    assert caught.value.__suppress_context__
