"""The main DAG in one process, as the command line runs it: failed gates and dates in the past."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra import embedded
from tests.conftest import fresh_warehouse
from tests.dags.retailer import AS_OF, SmallRetailer, make_small_retailer
from tests.end_to_end.pipeline import published_tables, sevenfold

pytestmark = pytest.mark.slow


class Deployment:
    """A published small retailer, and what one does with it."""

    def __init__(self, retailer: SmallRetailer, url: str) -> None:
        self.retailer, self.url = retailer, url

    def sevenfold(self, *arguments: str, **variables: str) -> Any:
        others = {name: value for name, value in self.retailer.variables.items() if name != "SEVENFOLD_HOME"}
        return sevenfold(*arguments, home=self.retailer.home, warehouse_url=self.url, **others, **variables)

    def read(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def tables(self) -> dict[str, str]:
        with psycopg.connect(self.url) as connection:
            return published_tables(connection)


@contextmanager
def web_hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that takes notices, and those it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", taken
        server.shutdown()


@pytest.fixture(scope="module")
def published(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    retailer = make_small_retailer(tmp_path_factory.mktemp("small") / "home")
    with fresh_warehouse(warehouse_server, retailer.home) as url:
        deployment = Deployment(retailer, url)
        answer = deployment.sevenfold("run", "--as-of", AS_OF)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        yield deployment


def test_a_failed_gate_is_a_failed_run_and_readers_keep_what_they_had(published: Deployment) -> None:
    before = published.tables()
    strict = ("--contracts", str(published.retailer.strict_contracts))
    with web_hook() as (url, notices):
        answer = published.sevenfold("run", "--as-of", AS_OF, *strict, SEVENFOLD_NOTICE_URL=url)
    assert answer.returncode == 1
    said = " ".join(answer.stderr.split())
    assert "The run failed in gate_raw" in said
    assert "1,000,000" in said
    assert "Traceback" not in answer.stderr
    assert published.tables() == before
    last = "select status_code, failed_task, rows_published from ops.pipeline_runs order by started_at desc limit 1"
    assert published.read(last) == [("failed", "gate_raw", None)]
    assert len(list(published.retailer.home.glob("reports/*/index.html"))) == 2
    assert "gate_raw" in published.sevenfold("status").stdout
    (notice,) = notices
    assert (notice["dag_id"], notice["failed_task"], notice["as_of_date"]) == ("customer_states", "gate_raw", AS_OF)
    assert (notice["failed_run_count"], notice["owner"]) == (1, "data-engineering")
    assert [(each["control_id"], each["owner"]) for each in notice["controls"]] == [
        ("RAW-LOYALTY-CUSTOMER_RECORDS-ROWS", "loyalty@retailer.example")
    ]
    assert notice["controls"][0]["failed_since"] == notice["failed_since"]
    assert notice["what_to_do"].startswith("open the run's report")
    assert Path(notice["report"]).is_file()
    assert "Failing there since 20" in notice["text"]


def test_a_quarter_in_the_past_is_computed_again_and_replaces_nothing(published: Deployment) -> None:
    before = published.tables()
    ledger = "select count(*), max(run_id) from mdm.identity_ledger_members"
    members = published.read(ledger)
    answer = published.sevenfold("backfill", "--from", "2026-01-01", "--to", "2026-02-01")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    past = "select status_code, rows_published from ops.pipeline_runs where as_of_date = '2026-01-01'"
    assert published.read(past) == [("published", 0)]
    assert published.tables() == before
    assert published.read(ledger) == members


def test_no_personal_data_travels_between_tasks_or_stays_in_logs(published: Deployment) -> None:
    emails = [row[0] for row in published.read("select email from restricted.golden_records where email is not null")]
    phones = [row[0] for row in published.read("select phone from restricted.golden_records where phone is not null")]
    values = {part.encode() for value in [*emails, *phones] for part in value.split(";")}
    assert len(values) > 20
    written = [
        path
        for pattern in ("logs/*.log", "airflow/airflow.db*", "airflow/logs/**/*.log", "reports/**/*.*")
        for path in published.retailer.home.glob(pattern)
        if path.is_file()
    ]
    assert len(written) >= 4
    leaks = [(path.name, value) for path in written for value in values if value in path.read_bytes()]
    assert leaks == []
