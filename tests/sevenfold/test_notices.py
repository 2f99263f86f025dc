"""Notices of failed runs: what they say when the warehouse answers, when it does not, and when nobody takes them."""

import datetime as dt
import logging
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from sevenfold import notices, runs
from sevenfold.errors import SettingsError, SevenfoldError
from sevenfold.settings import REPOSITORY, get_settings

PAGE = (REPOSITORY / "dags" / "customer_states.md").read_text(encoding="utf-8")


@pytest.fixture
def context(warehouse: str, airflow_ready: None) -> dict[str, Any]:
    """As Airflow gives it to a callback; the third run in a row that fails, by two controls of a gate."""
    for number in (1, 2, 3):
        request = runs.RunRequest(f"run_{number}", "customer_states", dt.date(2026, 7, number), runs.DEMO)
        runs.open_run(request)
        runs.update_run(
            request.run_id, status_code="failed", failed_task="gate_raw", message="Two failed.\n- OLD: as below"
        )
        runs.close_run(request.run_id)
    with psycopg.connect(warehouse) as connection:
        connection.execute("""
            update ops.pipeline_runs
            set started_at = as_of_at + interval '3 hours', first_started_at = as_of_at + interval '3 hours'
            """)
        connection.execute(
            "update ops.pipeline_runs set status_code = 'published', failed_task = null where run_id = 'run_1'"
        )
        connection.execute(
            """
            insert into quality.control_results
                (run_id, gate_code, control_id, severity_code, status_code, description, observed_value, expected_value,
                owner, what_to_do)
            select run_id, 'raw', control_id, severity_code, status_code, 'A rule.', '1', 'at least 2', 'shop', 'Ask.'
            from (values
                ('run_1', 'OLD', 'critical', 'passed'), ('run_2', 'OLD', 'critical', 'failed'),
                ('run_3', 'OLD', 'critical', 'failed'), ('run_2', 'NEW', 'critical', 'passed'),
                ('run_3', 'NEW', 'critical', 'error'), ('run_3', 'WARNS', 'warning', 'failed')
            ) as results (run_id, control_id, severity_code, status_code)
            """
        )
    return {
        "run_id": "run_3",
        "dag": SimpleNamespace(dag_id="customer_states", doc_md=PAGE),
        "ti": SimpleNamespace(task_id="close_run"),
        "task": SimpleNamespace(owner="data-engineering"),
        "exception": SevenfoldError("gate_raw: two controls failed."),
    }


def said(context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.WARNING):
        notices.notify_of_failure(context)
    return caplog.text


def test_a_notice_says_what_failed_since_when_who_owns_it_and_what_to_do(
    context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    text = said(context, caplog)
    for words in (
        "customer_states failed in gate_raw, run run_3, as of 2026-07-03.",
        "Failing there since 2026-07-02T03:00:00Z (2 runs in a row). Owner of the DAG: data-engineering.",
        "What to do: open the run's report",
        "- OLD: A rule. Found 1, expected at least 2; failing since 2026-07-02T03:00:00Z. Owner: shop.",
        "- NEW: A rule. Found 1, expected at least 2; failing since 2026-07-03T03:00:00Z.",
        "reports/run_3/index.html",
    ):
        assert words in text
    assert "WARNS" not in text
    assert text.count("OLD") == 1


EXTRACTS = """
    update ops.pipeline_runs
    set failed_task = 'extract.loyalty.customer_records', message = 'line 130 ends early.' where run_id = 'run_3';
    delete from quality.control_results where run_id = 'run_3';
    insert into ops.source_contracts (source_code, entity_code, owner, is_active) values
        ('loyalty', 'customer_records', 'loyalty@retailer.example', true),
        ('shop', 'customer_records', 'shop@retailer.example', true),
        ('shop', 'interactions', 'shop@retailer.example', true),
        ('app', 'customer_records', 'app@retailer.example', true);
    insert into ops.extract_batches (source_code, entity_code, run_id, status_code, message)
    values ('shop', 'interactions', 'run_3', 'refused', 'column ''mail'' is missing.');
    insert into ops.run_stages (run_id, stage_code) values ('run_3', 'extract.app.customer_records');
"""


def test_of_failed_extracts_every_source_is_named_with_its_owner_and_other_failures_are_not_counted(
    context: dict[str, Any], caplog: pytest.LogCaptureFixture, warehouse: str
) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute(EXTRACTS)
    text = said(context, caplog)
    for words in (
        "failed in extract.loyalty.customer_records",
        "Failing there since 2026-07-03T03:00:00Z (1 run in a row).",
        "What to do: tell the owner named in the list below; run again once it is mended",
        "- loyalty, customer records: line 130 ends early. Owner: loyalty@retailer.example.",
        "- shop, interactions: column 'mail' is missing. Owner: shop@retailer.example.",
        "- shop, customer records: the log of extract.shop.customer_records says why. Owner: shop@retailer.example.",
    ):
        assert words in text
    assert "app@retailer.example" not in text
    assert text.count("line 130") == 1


def test_without_a_warehouse_a_notice_says_what_airflow_knows_and_quotes_no_strange_error(
    context: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVENFOLD_WAREHOUSE_URL", "postgresql://nobody:secret@127.0.0.1:9/none")
    get_settings.cache_clear()
    text = said({**context, "exception": ValueError("Ana García")}, caplog)
    assert "failed in close_run, run run_3" in text
    assert "Failing there since unknown" in text
    assert "ValueError; the task's log says where." in text
    assert "Ana" not in text
    assert "secret" not in text


def test_a_web_hook_that_does_not_take_it_is_named_by_its_host_alone(
    context: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVENFOLD_NOTICE_URL", "http://127.0.0.1:9/hooks/secret")
    get_settings.cache_clear()
    text = said(context, caplog)
    assert "The notice was not taken by 127.0.0.1" in text
    assert "hooks/secret" not in text


def test_an_address_must_be_of_the_web(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_NOTICE_URL", "file:///etc/passwd")
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match="SEVENFOLD_NOTICE_URL"):
        get_settings()
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("failed_task", "remedy"),
    [
        ("open_run", "read the message"),
        ("extract.loyalty.customer_records", "tell the owner"),
        ("gate_marts", "open the run's report"),
        ("accept_warnings", "mend what warns"),
        ("completeness.staging", "read the first error"),
        ("snapshot", "clear `snapshot`"),
        ("close_run", "clear `close_run`"),
    ],
)
def test_what_to_do_is_what_the_page_of_the_dag_says(failed_task: str, remedy: str) -> None:
    assert notices.what_to_do(PAGE, failed_task).startswith(remedy)
