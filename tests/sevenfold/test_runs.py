"""The life of a run, against a real warehouse."""

import datetime as dt
import re
import subprocess
import sys
import types
from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from sevenfold import control_exceptions, runs, stages
from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.pipeline import INTERRUPTED, report_path
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

OpenRun = Callable[..., runs.Run]

OPEN_AND_DIE = """
import datetime as dt, os, signal
from sevenfold import runs
from sevenfold.cli import app
runs.open_run(runs.RunRequest("dying", "customer_states", dt.date(2026, 7, 1), {trigger!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def die_in_the_middle(trigger: str) -> None:
    """Open a run in another process, which is then killed."""
    done = subprocess.run([sys.executable, "-c", OPEN_AND_DIE.format(trigger=trigger)], check=False, timeout=60)
    assert done.returncode == -9


def test_a_run_is_opened_timed_and_closed(open_run: OpenRun) -> None:
    run = open_run(full_refresh=True)
    assert (run.status_code, run.as_of_at, run.is_full_refresh) == (
        "running",
        dt.datetime(2026, 7, 1, tzinfo=dt.UTC),
        True,
    )
    with runs.stage("first", "merge") as record:
        record.row_count = 7
    with connect() as connection:
        stages = connection.execute("select stage_code, seconds >= 0, row_count from ops.run_stages").fetchall()
        versions = connection.execute("select versions from ops.pipeline_runs").fetchone()
    assert stages == [("merge", True, 7)]
    assert versions is not None
    assert {"python", "dbt-core", "splink", "postgresql"} <= set(versions[0])
    closed = runs.close_run("first")
    assert (closed.status_code, closed.failed_task, closed.ended_at is not None) == ("failed", "unknown", True)


@pytest.mark.parametrize(("key", "what"), [("0", "for opening a run"), ("hashtext('first')", "of run first")])
def test_a_lock_that_another_session_keeps_is_waited_for_no_longer_than_a_minute(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, key: LiteralString, what: str
) -> None:
    monkeypatch.setattr(runs, "PATIENCE", dt.timedelta(seconds=1))
    with connect() as keeper:
        keeper.execute(sql.SQL("select pg_advisory_xact_lock({}, {})").format(runs.LOCK_CLASS, sql.SQL(key)))
        with pytest.raises(SevenfoldError, match=f"Another session has kept the lock {what} .* for 1 s"):
            open_run()
    assert open_run().status_code == "running"


def test_midnight_is_the_one_of_the_deployment(open_run: OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_TIME_ZONE", "America/Mexico_City")
    get_settings.cache_clear()
    assert open_run().as_of_at == dt.datetime(2026, 7, 1, 6, tzinfo=dt.UTC)


def test_a_date_that_has_not_begun_is_refused(open_run: OpenRun) -> None:
    with pytest.raises(SevenfoldError, match="as_of 2999-01-01 lies in the future"):
        open_run(as_of="2999-01-01")


def test_one_run_at_a_time(open_run: OpenRun) -> None:
    open_run("first")
    with pytest.raises(runs.RunInProgressError, match=r"Run first \(command_line, started .* only one run may"):
        open_run("second")
    for command in (["run", "--as-of", "2026-07-01"], ["up"]):  # before Airflow is started
        said = CliRunner().invoke(app, command)
        assert isinstance(said.exception, runs.RunInProgressError)
        assert "Starting" not in said.output
    runs.close_run("first")
    assert open_run("second").status_code == "running"


def test_a_run_says_of_every_delivery_why_it_was_refused(open_run: OpenRun) -> None:
    open_run("first")
    with connect() as connection:
        connection.execute(
            """
            insert into ops.extract_batches (run_id, source_code, entity_code, status_code, message)
            values
                ('first', 'app', 'consents', 'refused', 'app.csv: line 3'),
                ('first', 'crm', 'customer_records', 'refused', 'crm.csv: empty'),
                ('first', 'web', 'interactions', 'refused', 'web.csv: truncated'),
                ('first', 'web', 'interactions', 'landed', null)
            """
        )
    runs.update_run("first", failed_task="extract.crm.customer_records", message="crm.csv: empty")
    assert runs.close_run("first", ["extract"]).message == "crm.csv: empty\napp.csv: line 3"


def test_a_run_at_work_has_no_report_yet(open_run: OpenRun) -> None:
    open_run("first")
    for command in (["report"], ["report", "first"]):
        said = CliRunner().invoke(app, command)
        assert isinstance(said.exception, SevenfoldError)
        assert re.search("No run has ended yet|Run first is still at work", str(said.exception))


def test_a_run_from_the_command_line_whose_process_died_is_given_up_at_once(open_run: OpenRun) -> None:
    die_in_the_middle(runs.COMMAND_LINE)
    assert runs.dead_runs() == {"dying"} == runs.over(["dying", "never opened"])
    said = CliRunner().invoke(app, ["status"]).stdout
    assert "interrupted" in said
    assert "running" not in said.partition("Last runs")[2]
    open_run("second")
    assert runs.over(["dying", "second"]) == {"dying"}
    dead = runs.read_run("dying")
    assert (dead.status_code, dead.message) == ("failed", "Its process died; run second went on.")


def test_a_run_that_died_is_on_record_and_has_a_report_once_another_begins(open_run: OpenRun) -> None:
    die_in_the_middle(runs.COMMAND_LINE)
    stages.begin(runs.RunRequest("second", "customer_states", dt.date(2026, 7, 1), runs.COMMAND_LINE, {}))
    with connect() as connection:
        kept = connection.execute("select run_id, event_code from audit.entries order by entry_number").fetchall()
    assert kept == [("dying", "run"), ("dying", "controls"), ("dying", "report")]
    page = report_path("dying").read_text(encoding="utf-8")
    assert "Its process died; run second went on." in page


def test_a_run_whose_opener_was_killed_opens_again(open_run: OpenRun) -> None:
    began = []
    for _ in range(2):
        die_in_the_middle("scheduled")
        with connect() as connection:
            began += connection.execute("select first_started_at < started_at from ops.pipeline_runs").fetchall()
    assert began == [(False,), (True,)]
    assert open_run("dying", trigger="scheduled").status_code == "running"


def test_a_scheduled_run_may_be_silent_between_tasks(open_run: OpenRun) -> None:
    die_in_the_middle("scheduled")
    assert runs.dead_runs() == set()
    with pytest.raises(runs.RunInProgressError):
        open_run("second")
    with connect() as connection:
        connection.execute("update ops.pipeline_runs set started_at = started_at - interval '16 minutes'")
    assert open_run("second").status_code == "running"


def test_a_run_that_waits_for_a_steward_is_alive_until_his_time_is_over(open_run: OpenRun) -> None:
    die_in_the_middle("scheduled")
    with connect() as connection:
        connection.execute("update ops.pipeline_runs set started_at = started_at - interval '2 days'")
    now = dt.datetime.now(dt.UTC)
    runs.wait_for_person("dying", now + dt.timedelta(days=5))
    with pytest.raises(runs.RunInProgressError, match=r"waits until .* for a steward to accept its warnings"):
        open_run()
    runs.wait_for_person("dying", now - dt.timedelta(minutes=1))
    assert open_run().status_code == "running"
    assert runs.read_run("dying").status_code == "failed"


def test_opening_again_resumes_a_failed_run(open_run: OpenRun) -> None:
    open_run()
    with pytest.raises(SevenfoldError), runs.stage("first", "merge"):
        raise SevenfoldError("merge: no such rule")
    runs.close_run("first", ["merge"])
    run = open_run()
    assert (run.status_code, run.failed_task, run.message, run.ended_at) == ("running", None, None, None)


def test_a_failed_stage_says_why_until_it_passes(open_run: OpenRun) -> None:
    open_run()
    with pytest.raises(SevenfoldError), runs.stage("first", "gate_raw"):
        raise SevenfoldError("gate raw: 3 of 9 rows have no key")
    run = runs.read_run("first")
    assert (run.failed_task, run.message) == ("gate_raw", "gate raw: 3 of 9 rows have no key")
    with runs.stage("first", "gate_raw"):
        pass
    run = runs.read_run("first")
    assert (run.failed_task, run.message) == (None, None)


def test_what_the_database_refuses_is_said_without_values(open_run: OpenRun) -> None:
    open_run()
    twice = """
        create temporary table people (email text primary key);
        insert into people values ('ana@example.com'), ('ana@example.com')
    """
    with pytest.raises(SevenfoldError) as caught, runs.stage("first", "merge"), connect() as connection:
        connection.execute(twice)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    message = runs.read_run("first").message
    assert message == str(caught.value)
    assert "duplicate key value violates unique constraint" in message
    assert "ana@example.com" not in message


def test_a_closed_run_takes_no_more_stages(open_run: OpenRun) -> None:
    open_run()
    runs.close_run("first")
    with pytest.raises(SevenfoldError, match="Run first is closed"), runs.stage("first", "merge"):
        pytest.fail("a stage of a closed run began")


INPUTS, STEPS = {"extract.shop.customer_records"}, ["gate_raw", "staging", "gate_marts"]


def work(run_id: str, *stage_codes: str) -> None:
    for stage_code in stage_codes:
        with runs.stage(run_id, stage_code):
            pass


def test_what_comes_before_has_worked_in_its_order(open_run: OpenRun) -> None:
    open_run()
    work("first", *INPUTS, "gate_raw", "gate_marts")
    with pytest.raises(SevenfoldError, match="staging did not do its work in this run, whatever Airflow says"):
        runs.require_ended("first", INPUTS, STEPS)
    work("first", "staging")
    with pytest.raises(SevenfoldError, match=r"staging has worked again since gate_marts did.*Clear gate_marts"):
        runs.require_ended("first", INPUTS, STEPS)
    work("first", "gate_marts")
    runs.require_ended("first", INPUTS, STEPS)
    work("first", *INPUTS)
    with pytest.raises(SevenfoldError, match=r"extract\.shop\.customer_records has worked again since gate_raw did"):
        runs.require_ended("first", INPUTS, STEPS)


def test_what_another_run_has_made_is_not_published_as_this_ones(open_run: OpenRun) -> None:
    open_run()
    work("first", *INPUTS, *STEPS)
    runs.close_run("first")
    open_run("second")
    work("second", *INPUTS)
    runs.update_run("second", status_code="nothing_new")
    runs.close_run("second")
    open_run()
    runs.require_ended("first", INPUTS, STEPS)
    runs.close_run("first")
    open_run("second")  # a stage that is killed in the middle of its work leaves nothing but this
    runs.close_run("second")
    open_run()
    with pytest.raises(SevenfoldError, match="Run second was opened after this run's first door"):
        runs.require_ended("first", INPUTS, STEPS)
    work("first", *STEPS)
    runs.require_ended("first", INPUTS, STEPS)
    with connect() as connection:  # read, and refused by its first door
        connection.execute(
            "insert into ops.extract_batches "
            "(run_id, source_code, entity_code, status_code, rows_landed, extracted_at) "
            "values ('second', 'shop', 'customer_records', 'landed', 660, clock_timestamp())"
        )
    with pytest.raises(SevenfoldError, match="Run second was opened after this run's first door"):
        runs.require_ended("first", INPUTS, STEPS)


def test_what_a_door_judged_by_other_contracts_is_not_published(open_run: OpenRun) -> None:
    contracts = "insert into ops.source_contracts (source_code, entity_code, is_active) values "
    with connect() as connection:
        connection.execute(contracts + "('shop', 'customer_records', true)")
    open_run()
    work("first", *INPUTS, "extract.web.consents", *STEPS)
    runs.require_ended("first", INPUTS, STEPS)
    with connect() as connection:
        connection.execute(contracts + "('web', 'consents', true)")
    changed = "The contract of web consents was changed, or came or went, after this run's first door"
    with pytest.raises(SevenfoldError, match=changed):
        runs.require_ended("first", {*INPUTS, "extract.web.consents"}, STEPS)
    work("first", *STEPS)
    runs.require_ended("first", {*INPUTS, "extract.web.consents"}, STEPS)
    runs.forget_other_extracts("first", [*INPUTS])  # opened again without it
    with pytest.raises(SevenfoldError, match=r"extract\.web\.consents did not do its work in this run"):
        runs.require_ended("first", {*INPUTS, "extract.web.consents"}, STEPS)


def test_a_door_that_refused_when_it_was_asked_again_holds(open_run: OpenRun) -> None:
    open_run()
    work("first", *INPUTS, *STEPS)
    with pytest.raises(SevenfoldError, match="refused"), runs.stage("first", "gate_raw"):
        raise SevenfoldError("refused")
    with pytest.raises(SevenfoldError, match="gate_raw did not do its work in this run"):
        runs.require_ended("first", INPUTS, STEPS)
    work("first", *STEPS)
    with connect() as connection:
        connection.execute(
            "insert into quality.control_results (run_id, gate_code, control_id, severity_code, status_code) "
            "values ('first', 'dbt', 'DBT-X', 'critical', 'failed')"
        )
    with pytest.raises(SevenfoldError, match="DBT-X has stopped this run, whatever Airflow says"):
        runs.require_ended("first", INPUTS, STEPS)


def test_an_exception_that_was_ended_lets_nothing_be_published_any_more(open_run: OpenRun) -> None:
    open_run()
    work("first", *INPUTS, *STEPS)
    with connect() as connection:
        connection.execute(
            "insert into ops.control_exceptions (control_id, reason, decided_by, ends_on) "
            "values ('RAW-SHOP-KEY', 'Known.', 'A.', current_date), ('RAW-SHOP-DUE', 'Known.', 'A.', current_date)"
        )
        connection.execute(
            "insert into quality.control_results "
            "(run_id, gate_code, control_id, severity_code, status_code, exception_id) "
            "values ('first', 'raw', 'RAW-SHOP-KEY', 'critical', 'failed', 1),"
            " ('first', 'raw', 'RAW-SHOP-DUE', 'warning', 'failed', 2)"
        )
    runs.require_ended("first", INPUTS, STEPS)
    assert control_exceptions.failed_warnings("first") == []
    for exception_id in (1, 2):
        control_exceptions.end(exception_id, "A. Owner")
    with pytest.raises(SevenfoldError, match="RAW-SHOP-KEY has stopped this run"):
        runs.require_ended("first", INPUTS, STEPS)
    assert [each.control_id for each in control_exceptions.failed_warnings("first")] == ["RAW-SHOP-DUE"]


@pytest.mark.parametrize(
    ("status_code", "as_of", "is_late"),
    [("passed", "2026-07-02", False), ("passed", "2026-07-03", True), ("failed", "2026-07-03", False)],
)
@pytest.mark.parametrize("door", ["RAW", "QL"])
def test_a_source_that_was_fresh_and_is_late_by_now_is_news(
    open_run: OpenRun, door: str, status_code: str, as_of: str, is_late: bool
) -> None:
    published = open_run()
    runs.close_run("first")
    with connect() as connection:
        connection.execute(
            "insert into ops.source_contracts (source_code, entity_code, freshness, is_active) "
            "values ('shop', 'customer_records', interval '3 days', true)"
        )
        connection.execute(
            "insert into quality.control_results (run_id, gate_code, control_id, status_code, observed_value) "
            "values ('first', 'raw', %s, %s, '2')",
            (f"{door}-SHOP-CUSTOMER_RECORDS-FRESHNESS", status_code),
        )
    assert stages._is_a_source_late(published, open_run("second", as_of)) is is_late


def test_nothing_is_published_past_a_stage_or_a_steward(open_run: OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    open_run()
    before = list(stages.STAGES)[: list(stages.STAGES).index("publish")]
    work("first", "compare_inputs", *(code for code in before if code != "gate_raw"))
    for stage_code in ("publish", "snapshot"):
        with connect("transformer") as connection:
            connection.execute(
                "create table if not exists intermediate.int_snapshot_dates as select true as is_quarter"
            )
        with pytest.raises(SevenfoldError, match="gate_raw did not do its work in this run, whatever Airflow says"):
            stages.run_stage("first", stage_code)
    work("first", *before)
    monkeypatch.setenv("SEVENFOLD_WARNINGS_WAIT", "true")
    get_settings.cache_clear()
    with connect() as connection:
        connection.execute(
            "insert into quality.control_results (run_id, gate_code, control_id, severity_code, status_code) "
            "values ('first', 'raw', 'RAW-SHOP-VOLUME', 'warning', 'failed')"
        )
    with pytest.raises(SevenfoldError, match=r"Warnings failed \(RAW-SHOP-VOLUME\), and nobody has accepted them"):
        stages.run_stage("first", "publish")


def test_a_published_run_stays_published_when_its_snapshot_fails(open_run: OpenRun) -> None:
    open_run()
    runs.update_run("first", status_code="published")
    with pytest.raises(SevenfoldError), runs.stage("first", "snapshot"):
        raise psycopg.Error("gone")
    closed = runs.close_run("first", ["snapshot"])
    assert (closed.status_code, closed.failed_task) == ("published", "snapshot")


def test_a_published_run_opened_again_for_its_snapshot_alone_stays_published(open_run: OpenRun) -> None:
    """No quarter is due: the stage does nothing, and what the run has published is as it was."""
    open_run()
    with connect("transformer") as connection:
        connection.execute("create table intermediate.int_snapshot_dates as select false as is_quarter")
    before = list(stages.STAGES)[: list(stages.STAGES).index("snapshot")]
    work("first", "compare_inputs", *before[:-1])
    with pytest.raises(SevenfoldError, match="publish did not do its work in this run"):
        stages.run_stage("first", "snapshot")
    work("first", "publish")
    stages.run_stage("first", "snapshot")
    assert runs.close_run("first").status_code == "published"


def test_a_run_before_the_published_date_looks_back(open_run: OpenRun) -> None:
    assert runs.is_past(open_run("first")) is False
    runs.update_run("first", status_code="published")
    runs.close_run("first")
    assert runs.is_past(open_run("second", as_of="2026-04-01")) is True
    runs.update_run("second", status_code="published")
    runs.close_run("second")
    current = runs.current_run()
    assert current is not None
    assert current.run_id == "first", "what is new is asked of the tables that readers see"


def test_an_empty_database_is_told_from_an_empty_warehouse(open_run: OpenRun) -> None:
    with connect() as connection:
        connection.execute("drop schema ops cascade")
    with pytest.raises(SevenfoldError, match="sevenfold warehouse migrate"):
        open_run()


def asked(**values: object) -> types.SimpleNamespace:
    return types.SimpleNamespace(run_id="r", dag_id="d", conf=values.get("conf"), run_type="scheduled")


def test_the_date_is_the_parameter_or_the_day_the_run_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_TIME_ZONE", "America/Mexico_City")
    get_settings.cache_clear()
    due = dt.datetime(2026, 7, 1, 3, tzinfo=dt.UTC)  # still 30 June in Mexico City
    assert runs.request_from(asked(), {"as_of": None}, due).as_of_date == dt.date(2026, 6, 30)
    assert runs.request_from(asked(), {"as_of": "2026-04-01"}, due).as_of_date == dt.date(2026, 4, 1)
    get_settings.cache_clear()


@pytest.mark.parametrize(("said", "kept"), [("demo", "demo"), ("scheduled by me", "scheduled"), (None, "scheduled")])
def test_what_triggered_a_run_is_one_process_or_what_airflow_says(said: str | None, kept: str) -> None:
    request = runs.request_from(asked(conf={"trigger": said}), {"as_of": "2026-04-01"}, None)
    assert request.trigger_code == kept


def test_a_run_without_any_date_is_refused() -> None:
    with pytest.raises(SevenfoldError, match="parameter as_of"):
        runs.request_from(asked(), {}, None)


def test_an_interrupt_ends_a_run_at_once_and_says_what_stands() -> None:
    code = """
import os, signal, time
from rich.console import Console
from sevenfold.pipeline import _ended_by_an_interrupt
with _ended_by_an_interrupt(Console()):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == INTERRUPTED
    assert "Interrupted. Readers see what was published before" in done.stdout
