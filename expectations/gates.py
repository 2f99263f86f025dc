"""A gate: check the controls of one door, keep what they found, and stop the run when it must not pass."""

import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from expectations.controls import (
    Control,
    ControlResult,
    GateCode,
    GateFailed,
    GateResult,
    could_not_run,
    failure_message,
    gate_result,
    with_exceptions,
)
from sevenfold import control_exceptions
from sevenfold.errors import SevenfoldError
from sevenfold.privacy import describe_database_error
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect, sqlalchemy_url

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class RunContext:
    """What the controls of a door depend on beside the tables: the run, and the latest date that others published.

    For the catalogue it stands for any run, and every comparison has something to compare with.
    """

    run_id: str
    as_of_date: dt.date
    published_as_of_date: dt.date | None
    is_catalogue: bool = False


def run_gate(gate_code: GateCode, run_id: str) -> GateResult:
    """Check one door for a run and store the results in ``quality.control_results``, in place of earlier ones.

    Raises:
        GateFailed: A critical control failed that nobody has accepted, a control of any severity could not run, or the
            gate has no control.
            The results are stored before it is raised.
        SevenfoldError: The run is unknown, or the warehouse does not have the pipeline's own tables.
    """
    started = time.perf_counter()
    controls = _controls(gate_code, run_id)
    results = _judged(_checked(controls, run_id), run_id)
    _store(run_id, gate_code, results)
    result = gate_result(gate_code, results, time.perf_counter() - started)
    logger.info("Gate %s of run %s: %s", gate_code, run_id, result)
    message = failure_message(run_id, gate_code, results)
    if message:
        raise GateFailed(message, result)
    return result


def _controls(gate_code: GateCode, run_id: str) -> list[Control]:
    known = doors()
    if gate_code not in known:
        raise SevenfoldError(f"There is no gate {gate_code!r}; the gates are {', '.join(known)}.")
    from expectations.drift import keep_measures

    try:
        with connect() as connection:
            context = _context(connection, run_id)
            keep_measures(connection, gate_code, run_id)
            return known[gate_code](context, connection)
    except psycopg.Error as error:
        raise SevenfoldError(
            f"Gate {gate_code} of run {run_id} could not read what its controls are made from: "
            f"{describe_database_error(error)} Apply this version's migrations with `sevenfold warehouse migrate`."
        ) from None


def doors() -> dict[GateCode, Callable[[RunContext, Connection], list[Control]]]:
    """What makes the controls of each gate."""
    # The import of Great Expectations writes some two hundred log lines and takes seconds: only when a gate runs.
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)
    from expectations import marts_door, quality_levels_door, raw_door, snapshot_door

    return {
        "raw": raw_door.controls,
        "quality_levels": quality_levels_door.controls,
        "marts": marts_door.controls,
        "snapshot": snapshot_door.controls,
    }


def _context(connection: Connection, run_id: str) -> RunContext:
    row = connection.execute(
        """
        select as_of_date, (
            select max(published.as_of_date)
            from ops.pipeline_runs as published
            where published.status_code = 'published' and published.run_id <> %(run_id)s
        )
        from ops.pipeline_runs
        where run_id = %(run_id)s
        """,
        {"run_id": run_id},
    ).fetchone()
    if row is None:
        raise SevenfoldError(f"Run {run_id} is not in ops.pipeline_runs: open the run before its gates.")
    as_of_date, published_as_of_date = row
    if not isinstance(as_of_date, dt.date):
        raise SevenfoldError(f"Run {run_id} has no as-of date in ops.pipeline_runs: open the run with one.")
    return RunContext(run_id, as_of_date, published_as_of_date if isinstance(published_as_of_date, dt.date) else None)


def _checked(controls: list[Control], run_id: str) -> list[ControlResult]:
    """The verdicts; of a table that is not there the verdict says so, rather than what the engine makes of it."""
    missing = _missing_tables({control.table for control in controls})
    testable = [control for control in controls if control.table not in missing]
    verdicts = {result.control.control_id: result for result in _checked_by_engine(testable, run_id)}
    return [
        could_not_run(control, "the table does not exist") if control.table in missing else verdicts[control.control_id]
        for control in controls
    ]


def _judged(results: list[ControlResult], run_id: str) -> list[ControlResult]:
    """The verdicts with what somebody accepted, by the exceptions in force on the day the run began."""
    with connect() as connection:
        day = connection.execute(
            "select (coalesce(started_at, now()) at time zone %s)::date from ops.pipeline_runs where run_id = %s",
            (get_settings().time_zone, run_id),
        ).fetchone()
        exceptions = control_exceptions.find(connection)
    return with_exceptions(results, exceptions, day[0] if day else control_exceptions.today(), run_id)


def _checked_by_engine(controls: list[Control], run_id: str) -> list[ControlResult]:
    """A checker that crashes has proved nothing: every control comes back as an error, with the class of the crash."""
    from expectations import engine

    try:
        return engine.check(controls, sqlalchemy_url(), run_id)
    except SevenfoldError:
        raise
    except Exception as error:  # its text may quote a row, so only its class is said
        return [could_not_run(control, f"the checking engine crashed: {type(error).__name__}") for control in controls]


def _missing_tables(tables: set[str]) -> set[str]:
    with connect() as connection:
        rows = connection.execute(
            """
            select wanted.table_name from unnest(%(tables)s::text[]) as wanted(table_name)
            where not exists (
                select from pg_catalog.pg_class as relations
                inner join pg_catalog.pg_namespace as schemas on schemas.oid = relations.relnamespace
                where schemas.nspname || '.' || relations.relname = wanted.table_name
            )
            """,
            {"tables": sorted(tables)},
        ).fetchall()
    return {str(name) for (name,) in rows}


def _store(run_id: str, gate_code: GateCode, results: list[ControlResult]) -> None:
    """Replace the rows of this gate and run, in one transaction."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("delete from quality.control_results where run_id = %s and gate_code = %s", (run_id, gate_code))
        with cursor.copy(
            """
            copy quality.control_results (
                run_id, gate_code, control_id, table_name, dimension_code, severity_code, description, is_met,
                status_code, tested_count, failed_count, observed_value, expected_value, critical_data_element,
                rationale, what_to_do, owner, checked_at, exception_id
            ) from stdin
            """
        ) as copy:
            for result in results:
                copy.write_row(_row(run_id, result))


def _row(run_id: str, result: ControlResult) -> tuple[object, ...]:
    control = result.control
    return (
        run_id,
        control.gate_code,
        control.control_id,
        control.table,
        control.dimension_code,
        control.severity,
        control.description,
        result.is_met,
        result.status_code,
        result.tested_count,
        result.failed_count,
        result.observed_value,
        result.expected_value,
        control.critical_data_element,
        control.rationale,
        control.what_to_do,
        control.owner,
        result.checked_at,
        result.exception.exception_id if result.exception else None,
    )
