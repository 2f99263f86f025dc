"""Migrations are applied once, in order, whole, and by an ordinary user; on the newest and the oldest PostgreSQL."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra import embedded
from infra.migrate import MIGRATIONS_FOLDER, migrate, read_migrations
from sevenfold.errors import MigrationError, MissingRightsError

NAMES = [migration.name for migration in read_migrations(MIGRATIONS_FOLDER)]


def on_server(server: embedded.Server, statement: str, *names: str, user: str = embedded.NAME) -> None:
    with psycopg.connect(server.url_for(embedded.NAME, user), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture
def empty_urls(server_of_version: embedded.Server) -> Iterator[list[str]]:
    """The URLs of two empty databases of one server."""
    names = ["empty_one", "empty_two"]
    for name in names:
        on_server(server_of_version, "create database {}", name)
    yield [server_of_version.url_for(name) for name in names]
    for name in names:
        on_server(server_of_version, "drop database {} with (force)", name, user="postgres")


def migrate_url(url: str, folder: Path = MIGRATIONS_FOLDER) -> list[str]:
    with psycopg.connect(url) as connection:
        return migrate(connection, folder)


def write(folder: Path, *statements: str) -> Path:
    for number, text in enumerate(statements, start=1):
        (folder / f"{number:04}_step.sql").write_text(text)
    return folder


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("select tablename from pg_tables where schemaname = 'ops'")}


def test_a_second_run_finds_nothing_to_do(empty_urls: list[str]) -> None:
    assert migrate_url(empty_urls[0]) == NAMES
    assert migrate_url(empty_urls[0]) == []
    assert migrate_url(empty_urls[1]) == NAMES  # the roles are there already: the server has them


def test_runs_at_once_take_turns(empty_urls: list[str]) -> None:
    with ThreadPoolExecutor(6) as pool:
        applied = list(pool.map(migrate_url, empty_urls * 3))
    for url_number in (0, 1):
        assert sorted(name for run in applied[url_number::2] for name in run) == NAMES


def test_every_table_and_view_says_what_it_and_its_columns_are(each_warehouse: str) -> None:
    with psycopg.connect(each_warehouse) as connection:
        silent = connection.execute("""
            select attribute.attrelid::regclass::text, attribute.attname
            from pg_attribute as attribute
            join pg_class as relation on relation.oid = attribute.attrelid and relation.relkind in ('r', 'v')
            join pg_namespace as namespace on namespace.oid = relation.relnamespace
            where attribute.attnum > 0 and not attribute.attisdropped
                and namespace.nspname !~ '^(pg_|information_schema)'
                and (col_description(relation.oid, attribute.attnum) is null or obj_description(relation.oid) is null)
        """).fetchall()
        count = connection.execute("select count(*) from pg_tables where schemaname in ('ops', 'mdm')").fetchone()
    assert silent == []
    assert count is not None
    assert count[0] >= 10


def test_exceptions_of_an_earlier_version_stay_with_their_ends_and_go_on_record(
    empty_urls: list[str], tmp_path: Path
) -> None:
    for path in sorted(MIGRATIONS_FOLDER.glob("*.sql"))[:17]:
        shutil.copy(path, tmp_path)
    migrate_url(empty_urls[0], tmp_path)
    with psycopg.connect(empty_urls[0]) as connection:
        connection.execute(
            """
            insert into ops.control_exceptions (control_id, run_id, reason, decided_by, ends_on, ended_by, ended_at)
            values
                ('A', null, 'known', 'Ana', '2026-07-01', 'Eva', now()),
                ('B', 'r', 'known', 'Ana', '2026-07-01', null, null)
            """
        )
    assert migrate_url(empty_urls[0]) == NAMES[17:]
    with psycopg.connect(empty_urls[0]) as connection:
        ended = "select exception_id, ended_by from ops.control_exception_ends"
        assert connection.execute(ended).fetchall() == [(1, "Eva")]
        kept = "select exception_id, event_code, problem from audit.exception_check order by 1, 2"
        assert connection.execute(kept).fetchall() == [
            (1, "exception", None),
            (1, "exception_end", None),
            (2, "exception", None),
        ]


def test_a_failing_migration_leaves_nothing_behind(empty_urls: list[str], tmp_path: Path) -> None:
    folder = write(tmp_path, "create table ops.kept ();", "create table ops.undone (); select 1 / 0;")
    with pytest.raises(MigrationError, match="0002_step failed, and left nothing behind: division by zero"):
        migrate_url(empty_urls[0], folder)
    assert tables(empty_urls[0]) == {"schema_migrations", "kept"}
    write(folder, "create table ops.kept ();", "create table ops.mended ();")
    assert migrate_url(empty_urls[0], folder) == ["0002_step"]


def test_a_changed_migration_is_refused(empty_urls: list[str], tmp_path: Path) -> None:
    migrate_url(empty_urls[0], write(tmp_path, "create table ops.one ();"))
    with pytest.raises(MigrationError, match="0001_step was changed after the database applied it"):
        migrate_url(empty_urls[0], write(tmp_path, "create table ops.one (); ", "create table ops.two ();"))
    assert "two" not in tables(empty_urls[0])


def test_a_database_newer_than_the_code_is_refused(empty_urls: list[str], tmp_path: Path) -> None:
    migrate_url(empty_urls[0], write(tmp_path, "select 1;", "select 2;"))
    (tmp_path / "0002_step.sql").unlink()
    with pytest.raises(MigrationError, match="0002_step, which this code does not know"):
        migrate_url(empty_urls[0], tmp_path)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_step.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match="without a gap"):
        read_migrations(tmp_path)


def test_a_user_without_the_rights_is_told_so(server_of_version: embedded.Server, empty_urls: list[str]) -> None:
    """A stranger may not make schemas; with a database of its own it may, but not take roles that others made."""
    migrate_url(empty_urls[0])
    on_server(server_of_version, "create role stranger login password 'stranger'", user=embedded.SUPERUSER)
    on_server(server_of_version, "create database of_stranger owner stranger", user=embedded.SUPERUSER)
    address = f"postgresql://stranger:stranger@127.0.0.1:{server_of_version.port}"
    try:
        with pytest.raises(MissingRightsError, match=r"permission denied for database.*use_your_own_postgres"):
            migrate_url(f"{address}/empty_two")
        with pytest.raises(MissingRightsError, match=r"permission denied|must have admin option"):
            migrate_url(f"{address}/of_stranger")
        on_server(
            server_of_version,
            "grant sevenfold_loader, sevenfold_transformer, sevenfold_publisher to stranger",
            user=embedded.SUPERUSER,
        )
        assert migrate_url(f"{address}/of_stranger") == NAMES
    finally:
        on_server(server_of_version, "drop database of_stranger", user=embedded.SUPERUSER)
        on_server(server_of_version, "drop role stranger", user=embedded.SUPERUSER)
