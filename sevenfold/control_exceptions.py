"""Exceptions: somebody accepts that a control fails, for a reason and until a day; after that day it fails again.

An exception accepts a failure; it never makes a control pass, and never stands for a control that could not run. It is
a row that nobody changes or deletes; the database puts it on record in the chain of evidence (migration 0018).
"""

import datetime as dt
import difflib
from dataclasses import dataclass
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from sevenfold.errors import SevenfoldError
from sevenfold.privacy import holds_address
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

LONGEST = dt.timedelta(days=366)  # what is to be accepted for longer is another threshold

Connection = psycopg.Connection[tuple[Any, ...]]


class ControlExceptionError(SevenfoldError):
    """An exception cannot be made, or ended, as asked."""


@dataclass(frozen=True)
class ControlException:
    """One row of `ops.control_exceptions`, and who ended it before its day: `ops.control_exception_ends`.

    Attributes:
        decided_by: Who decided, as the writer says.
        recorded_by: The login that wrote it, as the database has it in the chain of evidence.
    """

    exception_id: int
    control_id: str
    run_id: str | None
    maximum_failed_count: int | None
    reason: str
    decided_by: str
    decided_at: dt.datetime
    ends_on: dt.date
    ended_by: str | None
    ended_at: dt.datetime | None
    recorded_by: str | None = None

    def is_in_force(self, day: dt.date, run_id: str) -> bool:
        """Whether a run that began on a day may use it."""
        return self.ended_at is None and day <= self.ends_on and self.run_id in {None, run_id}

    def covers(self, failed_count: int) -> bool:
        """Whether so many failures are accepted."""
        return self.maximum_failed_count is None or failed_count <= self.maximum_failed_count


@dataclass(frozen=True)
class ExceptionRequest:
    """What somebody wants to accept: a control, why, who, until which day, and how far."""

    control_id: str
    reason: str
    decided_by: str
    ends_on: dt.date
    maximum_failed_count: int | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class FailedWarning:
    """A warning of a run that failed and that nobody has accepted: counts and rules, no value of a row."""

    control_id: str
    description: str
    failed_count: int
    tested_count: int
    observed_value: str
    expected_value: str
    what_to_do: str
    owner: str


SELECT: LiteralString = """
    select
        exceptions.exception_id, exceptions.control_id, exceptions.run_id, exceptions.maximum_failed_count,
        exceptions.reason, exceptions.decided_by, exceptions.decided_at, exceptions.ends_on, ends.ended_by,
        ends.ended_at, entries.recorded_by
    from ops.control_exceptions as exceptions
    left join audit.entries as entries
        on
            entries.event_code = 'exception'
            and (entries.content ->> 'exception_id')::bigint = exceptions.exception_id
    left join ops.control_exception_ends as ends on exceptions.exception_id = ends.exception_id
    order by exceptions.exception_id
"""
# What checks these stops the run by itself, and asks for no exception.
WITHOUT_EXCEPTIONS = {"dbt": "a test of dbt", "publication": "a key that the database holds, or the evidence"}


def today() -> dt.date:
    """Give the day in the deployment's time zone."""
    return dt.datetime.now(ZoneInfo(get_settings().time_zone)).date()


def find(connection: Connection) -> list[ControlException]:
    """Read all exceptions that there ever were, oldest first."""
    with connection.cursor(row_factory=class_row(ControlException)) as cursor:
        return cursor.execute(SELECT).fetchall()


def list_exceptions(every: bool = False) -> list[ControlException]:
    """List the exceptions that a run of today could use, or all there ever were."""
    with connect() as connection:
        found = find(connection)
    return [row for row in found if every or (row.ended_at is None and today() <= row.ends_on)]


def in_force(connection: Connection) -> list[int]:
    """Give the exceptions that every run of today may use: what a gate lets pass hangs on them."""
    return [row.exception_id for row in find(connection) if row.run_id is None and row.is_in_force(today(), "")]


def failed_warnings(run_id: str) -> list[FailedWarning]:
    """List the warnings of a run that failed before publication and that no exception accepts, or none any more."""
    with connect() as connection, connection.cursor(row_factory=class_row(FailedWarning)) as cursor:
        return cursor.execute(
            """
            select
                control_id, description, coalesce(failed_count, 0) as failed_count,
                coalesce(tested_count, 0) as tested_count, observed_value, expected_value, what_to_do, owner
            from quality.control_results
            where
                run_id = %s and status_code = 'failed' and severity_code = 'warning'
                and (exception_id is null or exception_id in (select exception_id from ops.control_exception_ends))
                and gate_code not in ('publication', 'snapshot')
            order by control_id collate "C"
            """,
            (run_id,),
        ).fetchall()


def accept_for_run(run_id: str, control_ids: list[str], reason: str, decided_by: str) -> list[int]:
    """Accept failures of one run, and note it beside its results.

    Returns:
        The numbers of the exceptions.

    Raises:
        ControlExceptionError: as `add` does.
    """
    numbers = add([ExceptionRequest(each, reason, decided_by, today(), run_id=run_id) for each in control_ids])
    with connect() as connection:
        connection.execute(
            """
            update quality.control_results as results
            set exception_id = exceptions.exception_id
            from ops.control_exceptions as exceptions
            where
                exceptions.exception_id = any(%s)
                and results.run_id = exceptions.run_id
                and results.control_id = exceptions.control_id
            """,
            (numbers,),
        )
    return numbers


def add(requests: list[ExceptionRequest]) -> list[int]:
    """Keep exceptions, all or none.

    Returns:
        Their numbers.

    Raises:
        ControlExceptionError: A control was never checked or takes no exception, reason or name is blank, the reason
            holds an e-mail address, or the day is over or too far off.
    """
    with connect("publisher") as connection:
        for request in requests:
            _check(connection, request)
        return [_insert(connection, request) for request in requests]


def end(exception_id: int, ended_by: str) -> None:
    """End an exception before its day.

    Raises:
        ControlExceptionError: There is no such exception, or it was ended before; or nobody is named.
    """
    if not ended_by.strip():
        raise ControlExceptionError("Say who ends it (--by).")
    with connect("publisher") as connection:
        ended = connection.execute(
            """
            insert into ops.control_exception_ends (exception_id, ended_by)
            select exception_id, %s
            from ops.control_exceptions
            where exception_id = %s
            on conflict do nothing
            """,
            (ended_by.strip(), exception_id),
        ).rowcount
    if not ended:
        raise ControlExceptionError(
            f"Exception {exception_id} is not there, or was ended before: `sevenfold exception list --all`."
        )


def _check(connection: Connection, request: ExceptionRequest) -> None:
    if not request.reason.strip() or not request.decided_by.strip():
        raise ControlExceptionError("Say why (--reason) and who (--by).")
    if holds_address(request.reason):
        raise ControlExceptionError(
            "The reason holds an e-mail address, and it stays on record for ever: leave it out."
        )
    if not today() <= request.ends_on <= today() + LONGEST:
        raise ControlExceptionError(
            f"An exception ends within a year: give a day from {today()} to {today() + LONGEST}. What is to be "
            "accepted for longer is another threshold (seed gate_thresholds) or another contract."
        )
    gates = _gates(connection)
    if request.control_id not in gates:
        near = difflib.get_close_matches(request.control_id, sorted(gates), n=3, cutoff=0.5)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ControlExceptionError(f"No run has checked a control {request.control_id}.{hint}")
    if what := WITHOUT_EXCEPTIONS.get(gates[request.control_id]):
        raise ControlExceptionError(
            f"{request.control_id} is {what}, and takes no exception: it guards what the pipeline itself makes, so "
            "what breaks it is to be repaired (the report says how). Where the rule itself is wrong, change it in the "
            "code; the report lists the change. Exceptions are for the controls of the gates."
        )


def _gates(connection: Connection) -> dict[str, str]:
    """Where each control is checked that ever was in force or was checked."""
    rows = connection.execute(
        """
        select control_id, gate_code from quality.controls
        union
        select control_id, gate_code from quality.control_results
        """
    )
    return {str(control_id): str(gate_code) for control_id, gate_code in rows}


def _insert(connection: Connection, request: ExceptionRequest) -> int:
    row = connection.execute(
        """
        insert into ops.control_exceptions (control_id, run_id, maximum_failed_count, reason, decided_by, ends_on)
        values (%s, %s, %s, %s, %s, %s)
        returning exception_id
        """,
        (
            request.control_id,
            request.run_id,
            request.maximum_failed_count,
            request.reason.strip(),
            request.decided_by.strip(),
            request.ends_on,
        ),
    ).fetchone()
    return int(row[0]) if row else 0
