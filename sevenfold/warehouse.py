"""The warehouse: one way to reach it, for every room, as the role that the step needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from infra import embedded
from infra.binaries import OLDEST_MAJOR_VERSION
from sevenfold.errors import (
    MissingRightsError,
    OutOfDiskError,
    SettingsError,
    WarehouseError,
    WarehouseLoginError,
    WarehouseTooOldError,
    WarehouseUnreachableError,
)
from sevenfold.settings import get_settings

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection as ArrowConnection

ROLE_PREFIX = "sevenfold_"  # roles are shared by all databases of a server
PIPELINE_ROLES = ("loader", "transformer", "publisher")
CONNECT_SECONDS = 10
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


def warehouse_url() -> str:
    """Return the warehouse's libpq URL; start the embedded server when no URL is configured.

    Raises:
        SettingsError: when the configured URL is not a PostgreSQL URL.
        WarehouseError: when the embedded server cannot start.
    """
    settings = get_settings()
    if settings.warehouse_url is None:
        return embedded.start(settings.home, settings.postgres_bin).url
    parts = urlsplit(settings.warehouse_url)
    if parts.scheme not in SCHEMES or not parts.path.strip("/"):
        raise SettingsError(
            "SEVENFOLD_WAREHOUSE_URL is not a PostgreSQL URL with a database. "
            "Write it as postgresql://user:password@host:5432/database."
        )
    return urlunsplit(parts._replace(scheme="postgresql"))


def sqlalchemy_url() -> str:
    """Return the warehouse's URL for SQLAlchemy with psycopg 3."""
    return warehouse_url().replace("postgresql://", "postgresql+psycopg://", 1)


def connect(role: str | None = None, autocommit: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the warehouse, in UTC, as a role of the pipeline.

    Args:
        role: `loader`, `transformer`, `publisher` or any other role that the URL's user is a member of.
        autocommit: whether each statement is a transaction of its own.

    Raises:
        WarehouseUnreachableError: when no server answers.
        WarehouseLoginError: when the server refuses the login.
        WarehouseTooOldError: when the server is older than PostgreSQL 15.
        MissingRightsError: when the URL's user may not take the role.
    """
    url = warehouse_url()
    defaults = {"connect_timeout": CONNECT_SECONDS, "application_name": "sevenfold"}
    given = psycopg.conninfo.conninfo_to_dict(url)
    missing = {name: value for name, value in defaults.items() if name not in given}
    try:
        connection = psycopg.connect(url, autocommit=True, **missing)  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        raise _login_problem(url, error) from None
    try:
        require_supported_version(connection.info.server_version)
        for statement in _session_statements(role):
            connection.execute(statement)
        connection.autocommit = autocommit
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        user = connection.info.user
        connection.close()
        raise _role_problem(role or user, user) from None
    except BaseException:
        connection.close()
        raise
    return connection


def arrow_connection(role: str | None = None) -> "ArrowConnection":
    """Connect through ADBC, for Arrow streams in and out; the caller commits.

    Raises:
        WarehouseError: as `connect` does.
    """
    import adbc_driver_postgresql.dbapi as adbc  # heavy: not at import

    connect(role).close()  # says clearly what is wrong, where ADBC would not
    connection = adbc.connect(warehouse_url())
    with connection.cursor() as cursor:
        for statement in _session_statements(role):
            cursor.execute(statement.as_string())
    connection.commit()
    return connection


def role_name(role: str) -> str:
    """Return a role's name in the database: `loader` is `sevenfold_loader` there."""
    return role if role.startswith(ROLE_PREFIX) else ROLE_PREFIX + role


@contextmanager
def clear_errors(what: str) -> Iterator[None]:
    """Turn the server's refusals inside the block into errors that say what to do, without any row's values.

    Args:
        what: the sentence that the message starts with, such as "The migration cannot run".
    """
    try:
        yield
    except psycopg.errors.DiskFull:
        raise OutOfDiskError(f"{what}: the disk of the warehouse server is full. Make room and run again.") from None
    except psycopg.errors.InsufficientPrivilege as error:
        reason = error.diag.message_primary
        raise MissingRightsError(
            f"{what}: {reason}. See docs/how_to/use_your_own_postgres.md for the rights."
        ) from None
    except (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown, psycopg.errors.CannotConnectNow):
        raise WarehouseUnreachableError(f"{what}: the warehouse server is shutting down. Run again.") from None
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise WarehouseUnreachableError(f"{what}: the connection to the warehouse was lost. Run again.") from None
        raise WarehouseError(f"{what}: {error.diag.message_primary}.") from None


def require_supported_version(server_version: int) -> None:
    """Check a server's version number, such as 180004.

    Raises:
        WarehouseTooOldError: when the server is older than PostgreSQL 15.
    """
    major_version = server_version // 10000
    if major_version < OLDEST_MAJOR_VERSION:
        raise WarehouseTooOldError(
            f"The warehouse runs PostgreSQL {major_version}, and Sevenfold needs {OLDEST_MAJOR_VERSION} or newer. "
            "Upgrade the server, set SEVENFOLD_WAREHOUSE_URL to another, or unset it for the embedded one."
        )


def _session_statements(role: str | None) -> list[sql.Composed | sql.SQL]:
    """Return what opens a session: a time zone that does not depend on the server, and the role."""
    statements: list[sql.Composed | sql.SQL] = [sql.SQL("set time zone 'UTC'")]
    if role:
        statements.append(sql.SQL("set role {}").format(sql.Identifier(role_name(role))))
    return statements


def _login_problem(url: str, error: psycopg.OperationalError) -> WarehouseError:
    """Tell a server that is away from one that refuses, in whatever language it speaks."""
    parts = urlsplit(url)
    place = f"{parts.hostname or 'the local socket'}:{parts.port or 5432}"
    database = parts.path.strip("/")
    # libpq ends with a question of its own: "Is the server running on that host?"
    reason = [line for line in str(error).strip().splitlines() if not line.startswith("\t")][-1].strip()
    reached = psycopg.pq.PGconn.ping(url.encode())
    if reached == psycopg.pq.Ping.OK:
        return WarehouseLoginError(
            f"The warehouse server at {place} refuses the user {parts.username} for the database {database}: {reason}. "
            "Correct SEVENFOLD_WAREHOUSE_URL (user, password, database) or the server's pg_hba.conf."
        )
    if reached == psycopg.pq.Ping.REJECT:
        return WarehouseUnreachableError(
            f"The warehouse server at {place} takes no connection now (starting, stopping, full): {reason}. Try again."
        )
    return WarehouseUnreachableError(
        f"No warehouse server answers at {place}: {reason}. Start it, correct SEVENFOLD_WAREHOUSE_URL, or unset it "
        "for the embedded server."
    )


def _role_problem(role: str, user: str) -> MissingRightsError:
    name = role_name(role)
    return MissingRightsError(
        f"The warehouse user {user} may not act as the role {name}. Run `sevenfold warehouse migrate` when the role is "
        f"missing; otherwise an administrator runs: grant {name} to {user};"
    )
