"""Exceptions: a failed control that somebody accepts lets the run pass, as far and as long as it was said."""

import datetime as dt

import psycopg
import pytest
from typer.testing import CliRunner

from expectations import GateFailed, run_gate, write_report
from infra import embedded
from sevenfold import audit, control_exceptions
from sevenfold.cli import app
from sevenfold.control_exceptions import ControlExceptionError, ExceptionRequest
from sevenfold.errors import SevenfoldError
from sevenfold.stages import input_fingerprint
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
    assert f"{KEY} failed and was accepted by Ana (login sevenfold) until" in page
    assert "the shop mends its export by Friday" in page
    assert f"<code>{KEY}</code></th><td>the shop mends its export by Friday</td><td>Ana<small>" in page
    assert 'at most 50 failures</td><td class="n">50</td>' in page


def test_an_exception_that_is_over_fails_again_and_says_so(failing: str) -> None:
    yesterday = TODAY - dt.timedelta(days=1)
    execute(
        failing,
        f"""
        insert into ops.control_exceptions (control_id, reason, decided_by, ends_on)
        values ('{KEY}', 'known', 'Ana', '{yesterday}')
        """,
    )
    assert f"Exception 1 ended on {yesterday}." in stopped_by()
    # A run that began while it was in force may be taken to its end.
    execute(failing, "update ops.pipeline_runs set started_at = started_at - interval '1 day'")
    assert run_gate("raw", RUN).accepted == 1


def test_an_exception_that_begins_or_ends_is_news_for_the_next_run(failing: str) -> None:
    before = input_fingerprint()
    accept(run_id="another")
    assert input_fingerprint() == before
    number = accept()
    assert input_fingerprint() != before
    control_exceptions.end(number, "Eva")
    assert input_fingerprint() == before


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
    page = write_report(RUN).read_text(encoding="utf-8")
    assert f"{KEY} failed and was accepted by Ana (login sevenfold) for this run alone (exception 4)" in page
    listed = CliRunner().invoke(app, ["exception", "list"], env={"COLUMNS": "80"}).output
    assert f"run {RUN} alone, any number of failures" in " ".join(listed.split())


def test_an_exception_accepts_no_control_that_could_not_run(failing: str) -> None:
    accept()
    execute(failing, "drop table raw.point_of_sale__customer_records")
    assert f"{KEY}: " in stopped_by()


def test_the_commands_add_list_and_end(failing: str) -> None:
    def said(*arguments: str) -> str:
        answer = CliRunner().invoke(app, ["exception", *arguments], env={"COLUMNS": "80"}, catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return " ".join(answer.output.split())

    assert "No exception is in force." in said("list")
    options = ("--reason", "known", "--by", "Ana", "--until", str(TODAY), "--at-most", "60")
    assert said("add", KEY, *options) == f"Kept as exception 1, until {TODAY}."
    assert f"1 {KEY} until {TODAY}, every run, at most 60 failures Ana (login sevenfold), " in said("list")
    assert "UTC: known" in said("list")
    assert run_gate("raw", RUN).accepted == 1
    assert said("end", "1", "--by", "Eva") == "Exception 1 is over."
    assert "No exception is in force." in said("list")
    assert "ended by Eva" in said("list", "--all")
    assert "Exception 1 was ended by Eva." in stopped_by()
    rows_too = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-ROWS"
    assert said("add", KEY, rows_too, *options) == f"Kept as exceptions 2, 3, until {TODAY}."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control_id": KEY.lower()}, "No run has checked a control"),
        ({"control_id": KEY[:-1]}, f"Near it: {KEY}"),
        ({"reason": " "}, "Say why"),
        ({"reason": "ask ana@shop.example"}, "leave it out"),
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


@pytest.mark.parametrize(
    ("gate_code", "word"), [("dbt", "a test of dbt"), ("publication", "a key that the database holds, or the evidence")]
)
def test_what_guards_the_pipelines_own_work_takes_no_exception(failing: str, gate_code: str, word: str) -> None:
    execute(
        failing,
        f"""
        insert into quality.control_results (run_id, gate_code, control_id, status_code)
        values ('{RUN}', '{gate_code}', 'INSIDE', 'failed')
        """,
    )
    with pytest.raises(ControlExceptionError, match=f"INSIDE is {word}, and takes no exception: .* to be repaired"):
        accept("INSIDE")
    assert rows(failing, "select count(*) from ops.control_exceptions") == [(0,)]


STATEMENTS = (
    "delete from ops.control_exceptions",
    "update ops.control_exceptions set ends_on = '2099-01-01'",
    "truncate ops.control_exceptions cascade",
    "delete from ops.control_exception_ends",
    "update ops.control_exception_ends set ended_by = 'Ana'",
    "truncate ops.control_exception_ends",
)


def test_nobody_of_the_pipeline_changes_or_deletes_an_exception_and_not_the_owner(failing: str) -> None:
    control_exceptions.end(accept(), "Eva")
    for role in ("publisher", "transformer", "loader", None):
        for statement in STATEMENTS:
            with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    for number in (1, 7):
        with pytest.raises(ControlExceptionError, match=f"Exception {number} is not there, or was ended before"):
            control_exceptions.end(number, "Ana")


def test_an_exception_its_end_and_a_superseded_batch_are_on_record(failing: str) -> None:
    accept(run_id=RUN)
    control_exceptions.end(1, "Eva")
    superseded = "update ops.extract_batches set status_code = 'superseded', message = 'cut; Jane' where batch_id = 1"
    execute(failing, superseded, superseded, "update ops.extract_batches set status_code = 'landed' where batch_id = 1")
    kept = """
        select
            event_code, run_id, recorded_by = session_user,
            coalesce(content ->> 'decided_by', content ->> 'ended_by', content ->> 'message'),
            coalesce(content ->> 'ends_on', content ->> 'status_code')
        from audit.entries order by entry_number
    """
    assert rows(failing, kept) == [
        ("exception", RUN, True, "Ana", str(TODAY)),
        ("exception_end", None, True, "Eva", None),
        ("batch", RUN, True, "cut; Jane", "superseded"),
        ("batch", RUN, True, "cut; Jane", "landed"),
    ]
    assert audit.verify().broken_entry is None
    assert audit.problems() == []
    problems = "select count(*) from audit.exception_check where problem is not null"
    with psycopg.connect(failing, options="-c timezone=Asia/Kathmandu") as connection:
        assert connection.execute(problems).fetchone() == (0,)


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        (
            "delete from ops.control_exceptions where exception_id = 1",
            "Exception 1: it is on record, and not in its table",
        ),
        ("update ops.control_exceptions set ends_on = ends_on + 1", "Exception 1: it is not what was recorded"),
        ("update ops.control_exceptions set maximum_failed_count = null", "Exception 1: it is not what was recorded"),
        ("delete from ops.control_exception_ends", "The end of exception 2: it is on record, and not in its table"),
        (
            "insert into ops.control_exceptions (control_id, reason, decided_by, ends_on) select 'X', '-', '-', now()",
            "Exception 3: it is in its table, and not on record",
        ),
    ],
)
def test_what_a_superuser_does_to_an_exception_is_found(
    failing: str, warehouse_server: embedded.Server, tampering: str, problem: str
) -> None:
    accept(at_most=50)
    control_exceptions.end(accept(at_most=60), "Eva")
    assert CliRunner().invoke(app, ["audit", "verify"]).exit_code == 0
    name = failing.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(warehouse_server.url_for(name, "postgres")) as connection:
        connection.execute("set session_replication_role = 'replica'")
        connection.execute(tampering.encode())
    answer = CliRunner().invoke(app, ["audit", "verify"])
    assert isinstance(answer.exception, SevenfoldError)
    assert problem in str(answer.exception)
