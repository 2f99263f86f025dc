"""The logins of people and BI tools that read: made, listed and dropped; what they may read is their group's."""

import secrets
from dataclasses import dataclass

import psycopg
from psycopg import sql

from sevenfold.errors import WarehouseError
from sevenfold.warehouse import clear_errors, connect, role_name

READER_GROUPS = ("bi_reader", "pii_reader", "auditor")
STATEMENT_TIMEOUT = "5min"


@dataclass(frozen=True)
class Login:
    """A user who may read, the groups whose rights he has, and how many sessions of his are open."""

    name: str
    groups: tuple[str, ...]
    session_count: int


def create_login(name: str, group: str) -> str:
    """Make a user who may read what a group may read; return the generated password, which is stored nowhere.

    The user's transactions are read-only and a statement ends after five minutes, unless the user sets it otherwise.

    Args:
        name: the user's name, new to the server.
        group: `bi_reader` (marts), `pii_reader` (marts and personal data) or `auditor` (marts, quality, operations).

    Raises:
        WarehouseError: when the group is unknown or the name is taken.
        MissingRightsError: when the URL's user may not make users.
    """
    if group not in READER_GROUPS:
        raise WarehouseError(f"There is no group of readers named {group}: choose {', '.join(READER_GROUPS)}.")
    password = secrets.token_urlsafe(24)
    user = sql.Identifier(name)
    with connect() as connection, clear_errors(f"The user {name} cannot be made"):
        hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        try:
            connection.execute(
                sql.SQL("create role {} login password {} in role {}").format(
                    user, sql.Literal(hashed), sql.Identifier(role_name(group))
                )
            )
        except psycopg.errors.DuplicateObject:
            raise WarehouseError(f"The server has a user named {name} already. Choose another name.") from None
        for parameter, value in (
            ("default_transaction_read_only", "on"),
            ("statement_timeout", STATEMENT_TIMEOUT),
        ):
            connection.execute(
                sql.SQL("alter role {} set {} = {}").format(user, sql.Identifier(parameter), sql.Literal(value))
            )
    return password


def list_logins() -> list[Login]:
    """List who may log in and read by a group of readers, by name; a server's databases share their users."""
    with connect() as connection:
        rows = connection.execute(
            """
            select
                logins.rolname,
                array_agg(groups.rolname::text order by groups.rolname),
                (select count(*) from pg_stat_activity where usesysid = logins.oid)
            from pg_auth_members as members
            inner join pg_roles as groups on groups.oid = members.roleid
            inner join pg_roles as logins on logins.oid = members.member
            where groups.rolname = any(%s) and logins.rolcanlogin and logins.rolname <> current_user
            group by logins.oid, logins.rolname
            order by logins.rolname collate "C"
            """,
            ([role_name(group) for group in READER_GROUPS],),
        ).fetchall()
    prefix = len(role_name(""))
    return [Login(name, tuple(group[prefix:] for group in groups), sessions) for name, groups, sessions in rows]


def drop_login(name: str) -> int:
    """Drop a reader's login: a session that is still open may read no more.

    Returns:
        How many sessions were open.

    Raises:
        WarehouseError: there is no reader of this name, or he owns something.
        MissingRightsError: another user has made the login.
    """
    logins = {login.name: login for login in list_logins()}
    if name not in logins:
        there = ", ".join(logins) or "none"
        raise WarehouseError(f"There is no reader's login named {name}; there is: {there}.")
    with connect() as connection, clear_errors(f"The user {name} cannot be dropped"):
        try:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
        except psycopg.errors.DependentObjectsStillExist:
            raise WarehouseError(
                f"The user {name} owns tables or holds rights of his own, so he cannot be dropped. An administrator "
                f'runs in each database: reassign owned by "{name}" to sevenfold; drop owned by "{name}"; then drop '
                "the user again."
            ) from None
    return logins[name].session_count
