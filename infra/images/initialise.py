#!/opt/environment/bin/python
"""Brings both databases to this image's version, before anything else starts; a second time changes nothing.

Airflow's tables, its first user, the pool that tasks take turns in, then the warehouse's schemas, roles and tables.
"""

import sys
from pathlib import Path

ADMIN = "admin"
ADMIN_PASSWORD = Path("/run/secrets/airflow_admin_password")


def airflow(*arguments: str) -> None:
    """Run a command of Airflow's in this process: a password among its arguments is in no list of processes."""
    from airflow.cli.cli_parser import get_parser

    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)


def make_admin() -> None:
    """Make the first user of the web page, unless there is one: a password changed there stays changed."""
    password = ADMIN_PASSWORD.read_text().strip()
    names = ("--firstname", "Sevenfold", "--lastname", "Administrator", "--email", "admin@localhost")
    airflow("users", "create", "--username", ADMIN, "--role", "Admin", *names, "--password", password)


def make_pool() -> None:
    """Make the pool of tasks that load the warehouse, unless there is one: its size may have been changed."""
    from airflow.models.pool import Pool

    from sevenfold.airflow import POOL, POOL_SLOTS

    if Pool.get_pool(POOL) is None:
        Pool.create_or_update_pool(
            POOL, slots=POOL_SLOTS, description="Tasks that load the warehouse", include_deferred=False
        )


def migrate_warehouse() -> list[str]:
    """Apply the warehouse's migrations that it has not had; give their names."""
    from infra.migrate import migrate
    from sevenfold.warehouse import connect

    with connect() as connection:
        return migrate(connection)


def main() -> None:
    """Do all of it in order; a SevenfoldError's text is all that its reader needs."""
    from sevenfold.errors import SevenfoldError

    airflow("db", "migrate")
    make_admin()
    make_pool()
    try:
        applied = migrate_warehouse()
    except SevenfoldError as error:
        sys.exit(str(error))
    sys.stdout.write(f"Warehouse migrations applied now: {', '.join(applied) or 'none, it is up to date'}\n")


if __name__ == "__main__":
    main()
