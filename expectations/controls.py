"""What a control is, and what it found. Pure data: no engine, no database."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

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
    note: str = ""


@dataclass(frozen=True)
class ControlResult:
    """What one control found: counts and measures, never a value of a row."""

    control: Control
    status_code: Status
    tested_count: int
    failed_count: int
    observed_value: str
    expected_value: str
    checked_at: dt.datetime

    @property
    def is_met(self) -> bool:
        """Whether the rule holds; a control that could not run has proved nothing."""
        return self.status_code == "passed"

    @property
    def stops(self) -> bool:
        """Whether publication stops: a critical rule failed, or a rule of any severity could not be checked."""
        return self.status_code == "error" or (self.status_code == "failed" and self.control.severity == "critical")


@dataclass(frozen=True)
class GateResult:
    """One pass through a gate, in counts that may travel between tasks."""

    gate_code: GateCode
    controls: int
    failed_critical: int
    failed_warning: int
    failed_info: int
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
    failed = [result.control.severity for result in results if result.status_code == "failed"]
    return GateResult(
        gate_code=gate_code,
        controls=len(results),
        failed_critical=failed.count("critical"),
        failed_warning=failed.count("warning"),
        failed_info=failed.count("info"),
        errors=sum(result.status_code == "error" for result in results),
        seconds=round(seconds, 3),
    )


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
        found = (
            f"{result.failed_count:,} of {result.tested_count:,} tested in {control.table} failed; "
            f"observed {result.observed_value}, expected {result.expected_value}."
        )
    advice = f"What to do: {control.what_to_do} Owner: {control.owner}."
    return f"- {control.control_id}: {control.description} {found} {advice}"
