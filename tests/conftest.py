"""Fixtures that every room's tests share: one embedded server per session, a fresh migrated database per test."""

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from infra import embedded
from infra.migrate import migrate
from sevenfold import airflow
from sevenfold.settings import Settings, get_settings

# Terminals are as wide as each test says: pytest-xdist gives its workers 80 columns for good.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# The same examples in every session, however slow the machine: a test that fails now and then tells nobody anything.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

TEMPLATE = "sevenfold_template"
# A test's data need not outlive a power cut, and several test sessions may share a small machine.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB", "max_wal_size": "1GB"}
KEPT_VARIABLES = {"SEVENFOLD_POSTGRES_BIN"}

# A database's name is used again once it is dropped: dbt need not read the project anew for each, which takes it ten
# seconds. Whether what it read before still holds, dbt itself finds out.
_in_use: set[str] = set()
_read_projects = tempfile.TemporaryDirectory(prefix="sevenfold-dbt-")


@pytest.fixture(scope="session", autouse=True)
def _no_real_deployment() -> Iterator[None]:
    """Keep the tests away from the deployment that the environment or .env may name."""
    with pytest.MonkeyPatch.context() as patch, short_folder() as home:
        for name in os.environ:
            if name.startswith("SEVENFOLD_") and name not in KEPT_VARIABLES:
                patch.delenv(name)
        patch.setenv("SEVENFOLD_HOME", str(home))
        patch.setitem(Settings.model_config, "env_file", None)
        get_settings.cache_clear()
        yield
        embedded.remove(home)
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def airflow_ready() -> Iterator[None]:
    """Airflow initialised once in this process, in a home of its own.

    It reads its environment when it is first imported, so every test that imports it asks for this.
    """
    assert "airflow" not in sys.modules, "a test imported Airflow without `airflow_ready`"
    with tempfile.TemporaryDirectory(prefix="sevenfold-airflow-") as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVENFOLD_HOME", home)
        get_settings.cache_clear()
        airflow.initialise()
        yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def warehouse_server() -> Iterator[embedded.Server]:
    """One embedded server for the whole session."""
    with short_folder() as home:
        yield embedded.start(home, get_settings().postgres_bin, FAST_SETTINGS)
        embedded.remove(home)


@pytest.fixture
def warehouse(warehouse_server: embedded.Server, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated, empty warehouse that is the configured one; its home is empty too."""
    with fresh_warehouse(warehouse_server, tmp_path / "home") as url:
        yield url


@pytest.fixture(scope="module")
def module_warehouse(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As `warehouse`, shared by the tests of a module: for read-only tests on data that is costly to make."""
    with fresh_warehouse(warehouse_server, tmp_path_factory.mktemp("home")) as url:
        yield url


@contextmanager
def fresh_warehouse(server: embedded.Server, home: Path, template: str = TEMPLATE) -> Iterator[str]:
    """Make a database, empty and migrated or as another one is, and make it the warehouse; drop it afterwards."""
    name = next(name for number in itertools.count(1) if (name := f"test_{number}") not in _in_use)
    _in_use.add(name)
    _make_template(server)
    _run_on_server(server, "create database {} template {}", name, template)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVENFOLD_WAREHOUSE_URL", server.url_for(name))
        patch.setenv("SEVENFOLD_HOME", str(home))
        get_settings.cache_clear()
        read, kept = home / "dbt" / "target" / "partial_parse.msgpack", Path(_read_projects.name) / name
        if kept.exists():
            read.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(kept, read)
        yield server.url_for(name)
        if read.exists() and not kept.exists():
            shutil.copy(read, kept)
    get_settings.cache_clear()
    _drop(server, name)
    _in_use.remove(name)


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a temporary folder that other users may pass through: as root the server runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="sevenfold-tests-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_template(server: embedded.Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", [TEMPLATE]).fetchone() is not None:
            return
    _run_on_server(server, "create database {}", TEMPLATE)
    with psycopg.connect(server.url_for(TEMPLATE)) as connection:
        migrate(connection)


def _drop(server: embedded.Server, name: str) -> None:
    """Drop a database as the administrator: only he may end an autovacuum that works on it."""
    with psycopg.connect(server.url_for("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _run_on_server(server: embedded.Server, statement: str, *names: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
