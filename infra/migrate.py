"""Migrations: the schemas, the roles and the tables that dbt does not make, in numbered SQL files applied once each."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sevenfold.errors import MigrationError
from sevenfold.warehouse import clear_errors, require_supported_version

MIGRATIONS_FOLDER = Path(__file__).parent / "migrations"
LOCK_KEY = 7_000_001  # of the advisory lock: two runs at once take turns
ATTEMPTS = 5  # databases of one server share the roles, and no lock spans databases
RACE_ERRORS = (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation)

HISTORY_TABLE = b"""
    create schema if not exists ops;
    create table if not exists ops.schema_migrations (
        migration_number integer primary key,
        migration_name text not null,
        content_sha256 text not null,
        applied_at timestamptz not null default now()
    );
"""


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    statements: bytes

    @property
    def content_sha256(self) -> str:
        """Return the hash by which a later change of the file is noticed."""
        return hashlib.sha256(self.statements).hexdigest()


def migrate(connection: psycopg.Connection[Any], folder: Path = MIGRATIONS_FOLDER) -> list[str]:
    """Bring the database to the code's version; return the names of the migrations applied now.

    Each migration is one transaction. Two runs at once are safe: the second waits and finds nothing to do.

    Args:
        connection: of a user who may create schemas in the database and, the first time on a server, roles.
        folder: the SQL files, named `0001_what_it_does.sql`.

    Raises:
        MigrationError: when a migration fails or was changed once applied, or the database is newer than the code.
        MissingRightsError: when the user lacks a right.
        WarehouseTooOldError: when the server is older than PostgreSQL 15.
    """
    require_supported_version(connection.info.server_version)
    migrations = read_migrations(folder)
    with clear_errors("The migration cannot run"):
        return [migration.name for migration in migrations if _apply_safely(connection, migration, migrations)]


def read_migrations(folder: Path) -> list[Migration]:
    """Read the SQL files of a folder in the order of their numbers.

    Raises:
        MigrationError: when the numbers are not 1, 2, 3, ...
    """
    migrations = [
        Migration(int(path.stem.split("_", 1)[0]), path.stem, path.read_bytes())
        for path in sorted(folder.glob("*.sql"))
    ]
    if [migration.number for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"The migrations in {folder} are not numbered 0001, 0002, ... without a gap. Rename them.")
    return migrations


def _apply_safely(connection: psycopg.Connection[Any], migration: Migration, migrations: list[Migration]) -> bool:
    """Apply a migration; try again when another database of the server changed the same role at the same time."""
    attempt = 1
    while True:
        try:
            return _apply(connection, migration, migrations)
        except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
            raise  # not the migration's fault
        except psycopg.Error as error:
            if attempt == ATTEMPTS or not isinstance(error, RACE_ERRORS):
                reason = error.diag.message_primary
                raise MigrationError(f"Migration {migration.name} failed, and left nothing behind: {reason}.") from None
        time.sleep(0.1 * attempt)
        attempt += 1


def _apply(connection: psycopg.Connection[Any], migration: Migration, migrations: list[Migration]) -> bool:
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK_KEY])
        if connection.execute("select to_regclass('ops.schema_migrations')").fetchone() == (None,):
            connection.execute(HISTORY_TABLE)
        rows = connection.execute("select migration_number, migration_name, content_sha256 from ops.schema_migrations")
        applied = {number: (name, content_sha256) for number, name, content_sha256 in rows}
        _check_history(applied, migrations)
        if migration.number in applied:
            return False
        connection.execute(migration.statements)
        connection.execute(
            "insert into ops.schema_migrations (migration_number, migration_name, content_sha256) values (%s, %s, %s)",
            [migration.number, migration.name, migration.content_sha256],
        )
        return True


def _check_history(applied: dict[int, tuple[str, str]], migrations: list[Migration]) -> None:
    known = {migration.number: migration for migration in migrations}
    for number, (name, content_sha256) in sorted(applied.items()):
        if number not in known:
            raise MigrationError(
                f"The database has migration {name}, which this code does not know: it was used by a newer version of "
                "Sevenfold. Use that version."
            )
        if known[number].content_sha256 != content_sha256:
            raise MigrationError(
                f"Migration {known[number].name} was changed after the database applied it (as {name}). "
                "Restore the file, and put the change into a new migration."
            )
