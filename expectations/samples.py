"""Which rows failed, without a value of theirs: the query that finds them, and a few of their surrogate keys."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from expectations.figures import Row

# Columns that name a row and tell nothing of a person; the first that a failing row has is shown.
KEYS = ("party_id", "customer_id", "raw_id", "batch_id", "source_code", "check_code", "account_code", "subject_code")
SHOWN = 5
PATIENCE = "30s"


def samples(connection: psycopg.Connection[Any], run: Row, catalogue: Iterable[Row]) -> list[Row]:
    """For each control that failed: its query with the run filled in, and the first keys of what it finds.

    Returns:
        control_id, query, key_column and keys; both empty where the rows have no key that may be shown.
    """
    return [
        {"control_id": control["control_id"], **_sample(connection, filled_in(control["rule_sql"], run))}
        for control in catalogue
        if control["status_code"] == "failed"
    ]


def filled_in(query: str, run: Row) -> str:
    """A rule's query with the run's own values in place of psql's variables."""
    run_id = "'" + str(run["run_id"]).replace("'", "''") + "'"
    return query.replace(":'run_id'", run_id).replace(":'as_of_date'", f"'{run['as_of_date']}'")


def _sample(connection: psycopg.Connection[Any], query: str) -> Row:
    found: Row = {"query": query + ";", "key_column": None, "keys": []}
    try:
        with connection.transaction():
            connection.execute(sql.SQL("set local statement_timeout = {}").format(PATIENCE))
            key = _key_of(connection, query)
            if key is not None:
                rows = connection.execute(_keys_query(query, key)).fetchall()
                found |= {"key_column": key, "keys": [str(row[0]) for row in rows]}
    except psycopg.Error:
        return found  # macros of dbt, a table that is gone, or too long: the query still stands there
    return found


def _key_of(connection: psycopg.Connection[Any], query: str) -> str | None:
    empty = connection.execute(sql.SQL("select * from ({}) as failing limit 0").format(sql.SQL(query)))
    names = {column.name for column in empty.description or []}
    return next((key for key in KEYS if key in names), None)


def _keys_query(query: str, key: str) -> sql.Composed:
    return sql.SQL(
        "select distinct {key} from ({query}) as failing where {key} is not null order by 1 limit {n}"
    ).format(key=sql.Identifier(key), query=sql.SQL(query), n=SHOWN)
