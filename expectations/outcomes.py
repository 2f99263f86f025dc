"""What came of the controls that no gate checks: dbt's tests, and the keys of published tables."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from expectations.controls import Status
from sevenfold.warehouse import connect

if TYPE_CHECKING:
    from expectations.catalogue import Definition


class Outcome(NamedTuple):
    """What one control found: how many rows break its rule."""

    definition: "Definition"
    status_code: Status
    failed_count: int


def keep_outcomes(run_id: str, outcomes: Sequence[Outcome]) -> None:
    """Store outcomes of a run in ``quality.control_results``, in place of earlier ones."""
    if not outcomes:
        return
    with connect() as connection, connection.cursor() as cursor:
        tested = _row_counts(cursor, {outcome.definition.table_name for outcome in outcomes})
        cursor.executemany(STORE, [_row(run_id, one, tested.get(one.definition.table_name)) for one in outcomes])


def keep_unchanged_outcomes(run_id: str) -> None:
    """Give a run what the run that loaded the rules found about them, and say that it was then."""
    with connect() as connection:
        connection.execute(
            """
            insert into quality.control_results
            select (jsonb_populate_record(results, jsonb_build_object(
                'run_id', %(run_id)s::text,
                'observed_value', split_part(results.observed_value, ';', 1) || '; unchanged since they were tested'
            ))).*
            from quality.control_results as results
            where
                results.run_id = (
                    select loaded.run_id from quality.control_results as loaded
                    where loaded.gate_code = 'dbt' and loaded.table_name like 'rules.%%' and loaded.run_id <> %(run_id)s
                    order by loaded.checked_at desc, loaded.run_id collate "C" desc
                    limit 1
                )
                and results.gate_code = 'dbt'
                and results.table_name like 'rules.%%'
            on conflict (run_id, control_id) do nothing
            """,
            {"run_id": run_id},
        )


STORE = """
    insert into quality.control_results (
        run_id, gate_code, control_id, table_name, dimension_code, severity_code, description, is_met, status_code,
        tested_count, failed_count, observed_value, expected_value, critical_data_element, rationale, what_to_do, owner,
        checked_at
    )
    values (
        %(run_id)s, %(gate_code)s, %(control_id)s, %(table_name)s, %(dimension_code)s, %(severity_code)s,
        %(description)s, %(is_met)s, %(status_code)s, %(tested_count)s, %(failed_count)s, %(observed_value)s, 'none',
        %(critical_data_element)s, %(rationale)s, %(what_to_do)s, %(owner)s, %(checked_at)s
    )
    on conflict (run_id, control_id) do update set
        is_met = excluded.is_met,
        status_code = excluded.status_code,
        tested_count = excluded.tested_count,
        failed_count = excluded.failed_count,
        observed_value = excluded.observed_value,
        checked_at = excluded.checked_at
"""
COPIED = (
    *("control_id", "gate_code", "table_name", "dimension_code", "severity_code", "description"),
    *("critical_data_element", "rationale", "what_to_do", "owner"),
)


def _row(run_id: str, outcome: Outcome, tested_count: int | None) -> dict[str, Any]:
    is_error = outcome.status_code == "error"
    return {
        **{name: getattr(outcome.definition, name) for name in COPIED},
        "run_id": run_id,
        "is_met": outcome.status_code == "passed",
        "status_code": outcome.status_code,
        "tested_count": tested_count,
        "failed_count": outcome.failed_count,
        "observed_value": "could not run" if is_error else f"{outcome.failed_count:,} that break the rule",
        "checked_at": dt.datetime.now(dt.UTC),
    }


def _row_counts(cursor: Any, tables: set[str]) -> dict[str, int]:
    """The rows of the tables; of a view nothing is said, as counting it would compute it."""
    cursor.execute(
        "select nspname || '.' || relname from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace "
        "where relkind = 'r' and nspname || '.' || relname = any(%s)",
        (sorted(tables),),
    )
    names = [name for (name,) in cursor.fetchall()]
    count = sql.SQL("select {}, count(*) from {}")
    parts = [count.format(sql.Literal(name), sql.Identifier(*name.split(".", 1))) for name in names]
    cursor.execute("set local enable_indexonlyscan = off")  # of rows just written, each would be looked up in the table
    return dict(cursor.execute(sql.SQL(" union all ").join(parts)).fetchall()) if parts else {}
