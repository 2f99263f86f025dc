"""Exceptions: a failed control that somebody accepts lets the run pass, as far and as long as it was said."""

import datetime as dt

import psycopg
import pytest
from typer.testing import CliRunner

from expectations import GateFailed, run_gate, write_report
from sevenfold import control_exceptions
from sevenfold.cli import app
from sevenfold.control_exceptions import ControlExceptionError, ExceptionRequest
from sevenfold.warehouse import connect
from tests.expectations.tables import PIPELINE, RUN, execute, rows

KEY = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-KEY"
TODAY = control_exceptions.today()


@pytest.fixture
def failing(warehouse: str) -> str:
    """A delivery of which fifty rows have no key; its gate was asked once. The run began today."""
    execute(
        warehouse,
        PIPELINE,
        """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""",
        "update ops.pipeline_runs set started_at = now()",
    )
    with pytest.raises(GateFailed, match=KEY):
        run_gate("raw", RUN)
    return warehouse


def accept(control_id: str = KEY, until: dt.date = TODAY, at_most: int | None = None, run_id: str | None = None) -> int:
    request = ExceptionRequest(control_id, "the shop mends its export by Friday", "Ana", until, at_most, run_id)
    return control_exceptions.add([request])[0]


def stopped_by() -> str:
    with pytest.raises(GateFailed) as caught:
        run_gate("raw", RUN)
    return str(caught.value)


def test_an_accepted_failure_passes_is_counted_and_stays_a_failure(failing: str) -> None:
    number = accept(at_most=50)
    result = run_gate("raw", RUN)
    assert (result.failed_critical, result.accepted) == (0, 1)
    kept = "select status_code, is_met, failed_count, exception_id from quality.control_results"
    assert rows(failing, f"{kept} where control_id = '{KEY}'") == [("failed", False, 50, number)]
    page = write_report(RUN).read_text(encoding="utf-8")
    said = f"{KEY} failed and was accepted by Ana until"
    assert said in page
    assert "the shop mends its export by Friday" in page


def test_an_exception_that_is_over_fails_again_and_says_so(failing: str) -> None:
    accept()
    run_gate("raw", RUN)
    execute(failing, f"update ops.control_exceptions set ends_on = '{TODAY - dt.timedelta(days=1)}'")
    assert f"Exception 1 ended on {TODAY - dt.timedelta(days=1)}." in stopped_by()
    # A run that began while it was in force may be taken to its end.
    execute(failing, "update ops.pipeline_runs set started_at = started_at - interval '1 day'")
    assert run_gate("raw", RUN).accepted == 1


def test_an_exception_reaches_as_far_as_was_said(failing: str) -> None:
    accept(at_most=49)
    assert "Exception 1 accepts at most 49 failures." in stopped_by()
    accept(run_id="another")
    assert "Exception 1 accepts at most 49 failures." in stopped_by()
    control_exceptions.end(1, "Eva")
    assert "Exception 2 was for run another." in stopped_by()
    accept("RAW-POINT_OF_SALE-CUSTOMER_RECORDS-ROWS")
    stopped_by()
    accept(run_id=RUN)
    assert run_gate("raw", RUN).accepted == 1


def test_an_exception_accepts_no_control_that_could_not_run(failing: str) -> None:
    accept()
    execute(failing, "drop table raw.point_of_sale__customer_records")
    assert f"{KEY}: " in stopped_by()


def test_the_commands_add_list_and_end(failing: str) -> None:
    def said(*arguments: str) -> str:
        answer = CliRunner().invoke(app, ["exception", *arguments], env={"COLUMNS": "220"}, catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return " ".join(answer.output.split())

    assert "No exception is in force." in said("list")
    options = ("--reason", "known", "--by", "Ana", "--until", str(TODAY), "--at-most", "60")
    assert said("add", KEY, *options) == f"Kept as exception 1, until {TODAY}."
    assert f"1 {KEY} every run 60 known Ana" in said("list")
    assert run_gate("raw", RUN).accepted == 1
    assert said("end", "1", "--by", "Eva") == "Exception 1 is over."
    assert "No exception is in force." in said("list")
    assert said("list", "--all").endswith("Eva")
    assert "Exception 1 was ended by Eva." in stopped_by()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control_id": KEY.lower()}, "No run has checked a control"),
        ({"control_id": KEY[:-1]}, f"Near it: {KEY}"),
        ({"reason": " "}, "Say why"),
        ({"decided_by": ""}, "Say why"),
        ({"ends_on": TODAY - dt.timedelta(days=1)}, "ends within a year"),
        ({"ends_on": TODAY + dt.timedelta(days=400)}, "ends within a year"),
    ],
)
def test_an_exception_needs_a_control_a_reason_a_name_and_a_day(
    failing: str, change: dict[str, object], message: str
) -> None:
    asked = {"control_id": KEY, "reason": "known", "decided_by": "Ana", "ends_on": TODAY} | change
    with pytest.raises(ControlExceptionError, match=message):
        control_exceptions.add([ExceptionRequest(**asked)])  # type: ignore[arg-type]
    assert rows(failing, "select count(*) from ops.control_exceptions") == [(0,)]


def test_the_pipeline_may_neither_change_nor_delete_an_exception(failing: str) -> None:
    accept()
    for statement in ("delete from ops.control_exceptions", "update ops.control_exceptions set ends_on = '2099-01-01'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connect("publisher") as connection:
            connection.execute(statement.encode())
    with pytest.raises(ControlExceptionError, match="Exception 7 is not there"):
        control_exceptions.end(7, "Ana")
