"""Warnings that wait: asked on Airflow's page, answered by the page's own code, kept with who, when and why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sevenfold.settings import get_settings
from sevenfold.stages import publication_event
from tests.dags.test_review_matches import Person

pytestmark = pytest.mark.slow

DAG_ID = "a_run_with_warnings"
SUBJECT = "May this run be published in spite of its warnings?"
# A run, what its gates found, and the task of the main DAG that stands before its publication.
DAG_FILE = '''
import datetime as dt
from airflow.sdk import dag, task
from sevenfold.steward_approval import AcceptWarnings

@task
def run_and_gates(run_id=None, params=None):
    from sevenfold import runs
    from sevenfold.warehouse import connect
    runs.open_run(runs.RunRequest(run_id, "customer_states", dt.date(2026, 7, 1), params["trigger"], {}))
    with connect() as connection:
        connection.execute(
            """
            insert into quality.control_results (
                run_id, gate_code, control_id, severity_code, status_code, failed_count, tested_count, description,
                observed_value, expected_value, what_to_do, owner
            ) values
                (%(run)s, 'raw', 'RAW-SHOP-VOLUME', 'warning', 'failed', 1, 1, 'As many rows as before.', '0.1',
                    'at least 0.4', 'Ask the shop.', 'shop@retailer.example'),
                (%(run)s, 'raw', 'RAW-SHOP-KEY', 'critical', 'passed', 0, 9, 'Keys.', '', '', '', '')
            """,
            {"run": run_id},
        )

@task
def publish():
    return "published"

@dag(schedule=None, params={"trigger": "manual"})
def a_run_with_warnings():
    run_and_gates() >> AcceptWarnings(task_id="accept_warnings") >> publish()

a_run_with_warnings()
'''


@pytest.fixture
def waiting(warehouse: str, airflow_ready: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A DAG whose run meets a warning, in a deployment where warnings wait."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    monkeypatch.setenv("SEVENFOLD_WARNINGS_WAIT", "true")
    get_settings.cache_clear()
    (tmp_path / f"{DAG_ID}.py").write_text(DAG_FILE, encoding="utf-8")
    bag = DagBag(str(tmp_path))
    assert bag.import_errors == {}
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    yield bag.dags[DAG_ID]
    get_settings.cache_clear()


def kept(url: str) -> tuple[list[tuple[object, ...]], tuple[object, ...] | None]:
    with psycopg.connect(url) as connection:
        exceptions = connection.execute(
            """
            select exceptions.control_id, exceptions.reason, exceptions.decided_by, exceptions.run_id = results.run_id
            from ops.control_exceptions as exceptions
            inner join quality.control_results as results on exceptions.exception_id = results.exception_id
            """
        ).fetchall()
        failed = connection.execute("select failed_task, message from ops.pipeline_runs").fetchone()
        assert connection.execute("select waits_until from ops.pipeline_runs").fetchall() == [(None,)]
    return exceptions, failed


def states(run: Any) -> dict[str, str]:
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def test_an_accepted_warning_lets_the_run_go_on_and_keeps_who_and_why(waiting: Any, warehouse: str) -> None:
    person = Person({SUBJECT: ("Accept and publish", "the shop was closed for three weeks")}, DAG_ID, "accept_warnings")
    person.start()
    run = waiting.test()
    person.join()
    assert states(run)["publish"] == "success"
    assert kept(warehouse)[0] == [("RAW-SHOP-VOLUME", "the shop was closed for three weeks", "eva", True)]
    assert publication_event(run.run_id)["verdict"] == "1 of 2 controls passed, 1 failed and were accepted"
    assert (
        "| `RAW-SHOP-VOLUME` | As many rows as before. | 1 of 1; 0.1, expected at least 0.4 |" in person.seen[SUBJECT]
    )


def test_a_refused_warning_stops_the_run_and_says_who_and_why(waiting: Any, warehouse: str) -> None:
    person = Person({SUBJECT: ("Do not publish", "not at the end of a quarter")}, DAG_ID, "accept_warnings")
    person.start()
    run = waiting.test()
    person.join()
    assert states(run)["publish"] == "upstream_failed"
    said = "eva does not let the run be published with its warnings: not at the end of a quarter"
    assert kept(warehouse) == ([], ("accept_warnings", said))


def test_a_run_from_a_terminal_is_not_asked_and_says_what_waits(waiting: Any, warehouse: str) -> None:
    run = waiting.test(run_conf={"trigger": "command_line"})
    assert states(run)["publish"] == "upstream_failed"
    exceptions, failed = kept(warehouse)
    assert exceptions == []
    assert failed is not None
    assert "1 warnings wait for somebody to accept them (RAW-SHOP-VOLUME)" in str(failed[1])
