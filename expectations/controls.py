"""What a control is, and what it found. Pure data: no engine, no database."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sevenfold.control_exceptions import ControlException
from sevenfold.errors import SevenfoldError

GateCode = Literal["raw", "quality_levels", "marts", "snapshot"]
Severity = Literal["critical", "warning", "info"]
Dimension = Literal["completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy"]
Status = Literal["passed", "failed", "error"]

STEWARD = "data steward"
ENGINEER = "data engineer"


@dataclass(frozen=True, kw_only=True)
class Control:
    """One rule at one door, with all that an auditor asks about it.

    Attributes:
        control_id: Stable for ever: history and exceptions hang on it.
        gate_code: The door it stands at.
        table: Schema-qualified table that is judged.
        expectation: Factory of the Great Expectations class; a misspelt argument raises when it is called.
        dimension_code: The one quality dimension the rule belongs to.
        severity: ``critical`` stops publication; ``warning`` and ``info`` are reported.
        critical_data_element: The business term at stake.
        description: The rule in words.
        rationale: Why it is worth a control.
        what_to_do: What the reader does when it fails.
        owner: Who answers for it.
        columns: Columns of the table that the rule is about, where it is not about the table as a whole.
        query: The rows that are judged, where they are not the whole table. Holds no per cent sign:
            the engine doubles it.
        joined: The table, row by row, with what is joined to it. All controls of a table that have no query are judged
            on it in one scan.
        failing_rows: The query of the rows that fail, for people, where the population holds only their number.
        note: Said in the result where the rule had nothing to compare with.
    """

    control_id: str
    gate_code: GateCode
    table: str
    expectation: Callable[..., Any]
    dimension_code: Dimension
    severity: Severity
    critical_data_element: str
    description: str
    rationale: str
    what_to_do: str
    owner: str
    columns: tuple[str, ...] = ()
    query: str | None = None
    joined: str | None = None
    failing_rows: str | None = None
    note: str = ""


@dataclass(frozen=True)
class ControlResult:
    """What one control found: counts and measures, never a value of a row.

    Attributes:
        exception: By which a failure is accepted.
        note: Said of exceptions that do not accept it.
    """

    control: Control
    status_code: Status
    tested_count: int
    failed_count: int
    observed_value: str
    expected_value: str
    checked_at: dt.datetime
    exception: ControlException | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the rule holds; a control that could not run has proved nothing."""
        return self.status_code == "passed"

    @property
    def judges_rows(self) -> bool:
        """Whether the rule judges rows, and not one measure of them."""
        return self.tested_count > 1 or " met" in self.observed_value

    @property
    def stops(self) -> bool:
        """Whether publication stops: a critical rule failed and is not accepted, or any rule could not be checked."""
        return self.status_code == "error" or (self.is_open and self.control.severity == "critical")

    @property
    def is_open(self) -> bool:
        """Whether the rule failed and nobody accepted it."""
        return self.status_code == "failed" and self.exception is None


@dataclass(frozen=True)
class GateResult:
    """One pass through a gate, in counts that may travel between tasks."""

    gate_code: GateCode
    controls: int
    failed_critical: int
    failed_warning: int
    failed_info: int
    accepted: int
    errors: int
    seconds: float


class GateFailed(SevenfoldError):  # noqa: N818  a gate fails; "GateFailedError" says it twice
    """A gate does not let the run pass: a critical control failed, a control could not run, or there was none."""

    def __init__(self, message: str, result: GateResult) -> None:
        super().__init__(message)
        self.result = result


def could_not_run(control: Control, reason: str) -> ControlResult:
    """The result of a control that has no verdict."""
    return ControlResult(control, "error", 0, 0, reason, "", dt.datetime.now(dt.UTC))


def gate_result(gate_code: GateCode, results: list[ControlResult], seconds: float) -> GateResult:
    """Count the verdicts of one gate."""
    failed = [result.control.severity for result in results if result.is_open]
    return GateResult(
        gate_code=gate_code,
        controls=len(results),
        failed_critical=failed.count("critical"),
        failed_warning=failed.count("warning"),
        failed_info=failed.count("info"),
        accepted=sum(result.exception is not None for result in results),
        errors=sum(result.status_code == "error" for result in results),
        seconds=round(seconds, 3),
    )


def with_exceptions(
    results: list[ControlResult], exceptions: list[ControlException], day: dt.date, run_id: str
) -> list[ControlResult]:
    """Note at every failure the exception that accepts it, or why the latest one does not.

    Args:
        results: What a gate found.
        exceptions: All that were ever decided, oldest first.
        day: On which the run began.
        run_id: The run.
    """
    by_control: dict[str, list[ControlException]] = {}
    for exception in exceptions:
        by_control.setdefault(exception.control_id, []).append(exception)
    return [_judged(result, by_control.get(result.control.control_id, []), day, run_id) for result in results]


def _judged(result: ControlResult, known: list[ControlException], day: dt.date, run_id: str) -> ControlResult:
    if result.status_code != "failed" or not known:
        return result
    in_force = [each for each in known if each.is_in_force(day, run_id)]
    for exception in in_force:
        if exception.covers(result.failed_count):
            return replace(result, exception=exception)
    return replace(result, note=_why_not_accepted((in_force or known)[-1], is_in_force=bool(in_force)))


def _why_not_accepted(exception: ControlException, is_in_force: bool) -> str:
    name = f"Exception {exception.exception_id}"
    if is_in_force:
        return f" {name} accepts at most {exception.maximum_failed_count:,} failures."
    if exception.ended_at is not None:
        return f" {name} was ended by {exception.ended_by}."
    return f" {name} was for run {exception.run_id}." if exception.run_id else f" {name} ended on {exception.ends_on}."


def failure_message(run_id: str, gate_code: GateCode, results: list[ControlResult]) -> str | None:
    """What a person reads at three in the morning, or None when the gate passes. It names no value of any row."""
    if not results:
        return (
            f"Gate {gate_code} of run {run_id} failed: it has no control, and a gate that checks nothing lets nothing "
            "pass. Register at least one active source contract, then run again. The last published run stays."
        )
    stopping = [result for result in results if result.stops]
    if not stopping:
        return None
    head = (
        f"Gate {gate_code} of run {run_id} failed: {len(stopping)} of {len(results)} controls stop publication. "
        "The last published run stays."
    )
    return "\n".join([head, *map(_complaint, stopping)])


def _complaint(result: ControlResult) -> str:
    control = result.control
    if result.status_code == "error":
        found = f"The control could not run ({result.observed_value}) on {control.table}."
    else:
        counts = f"{result.failed_count:,} of {result.tested_count:,} tested in {control.table} failed; "
        found = (
            f"{counts if result.judges_rows else f'In {control.table} '}observed {result.observed_value}, "
            f"expected {result.expected_value}.{result.note}"
        )
    advice = f"What to do: {control.what_to_do} Owner: {control.owner}."
    return f"- {control.control_id}: {control.description} {found} {advice}"
