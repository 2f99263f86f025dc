"""The main DAG under the real scheduler, over the web page's interface: to the end, a failed gate, through a kill."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from infra import embedded
from sevenfold.airflow import MAIN_DAG, Api, session_processes
from tests.conftest import fresh_warehouse
from tests.dags.retailer import AS_OF, make_small_retailer
from tests.end_to_end.pipeline import published_tables, sevenfold

pytestmark = pytest.mark.slow

RUN_SECONDS = 1500


class Scheduler:
    """A scheduler that `sevenfold up` started, and its warehouse."""

    def __init__(self, api: Api, process_id: int, url: str, strict_contracts: str, printed: str) -> None:
        self.api, self.process_id, self.url = api, process_id, url
        self.strict_contracts, self.printed = strict_contracts, printed

    def states(self, run_id: str) -> dict[str, set[str]]:
        path = f"/dags/{MAIN_DAG}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances?limit=100"
        found: dict[str, set[str]] = {}
        for task in self.api.call("GET", path)["task_instances"]:
            found.setdefault(task["task_id"], set()).add(task["state"])
        return found

    def row(self, run_id: str) -> tuple[object, ...] | None:
        query = "select status_code, failed_task, trigger_code from ops.pipeline_runs where run_id = %s"
        with psycopg.connect(self.url) as connection:
            return connection.execute(query, (run_id,)).fetchone()

    def tables(self) -> dict[str, str]:
        with psycopg.connect(self.url) as connection:
            return published_tables(connection)

    def as_of(self, run_id: str) -> str:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "select as_of_date::text from ops.pipeline_runs where run_id = %s", (run_id,)
            ).fetchone()
        assert row is not None
        return str(row[0])

    def wait_for_task(self, run_id: str, task_id: str) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        while self.states(run_id)[task_id] != {"running"}:
            assert time.monotonic() < deadline, self.states(run_id)
            time.sleep(0.3)

    def page(self, path: str, token: str | None) -> tuple[int, str]:
        """What Airflow's web server answers to a browser."""
        headers = {"Cookie": f"_token={token}"} if token else {}
        request = urllib.request.Request(f"{self.api.url}/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    @contextmanager
    def killed_and_started_again(self) -> Iterator[None]:
        """`kill -9` of the scheduler and of the tasks it runs; another one takes over, as a service manager sees to.

        It looks every few seconds for tasks that are nobody's; by Airflow's defaults it would every five minutes.
        """
        parts = [psutil.Process(number) for number in session_processes(self.process_id)]
        old = min(
            (part for part in parts if "scheduler" in " ".join(part.cmdline())), key=lambda part: part.create_time()
        )
        environment = old.environ() | {
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        }
        for victim in [old, *old.children(recursive=True)]:
            victim.kill()
        command = [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        with subprocess.Popen(command, env=environment, cwd=environment["AIRFLOW_HOME"], **quiet) as started:
            try:
                yield
            finally:
                left = psutil.Process(started.pid).children(recursive=True)
                started.terminate()
                started.wait(60)
                for part in left:
                    if part.is_running():
                        part.kill()


@pytest.fixture(scope="module")
def scheduler(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    retailer = make_small_retailer(tmp_path_factory.mktemp("scheduled") / "home")
    others = {name: value for name, value in retailer.variables.items() if name != "SEVENFOLD_HOME"}
    with fresh_warehouse(warehouse_server, retailer.home) as url:
        started = sevenfold("up", home=retailer.home, warehouse_url=url, **others)
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            password = json.loads((retailer.home / "airflow" / "web_passwords.json").read_text())["admin"]
            service = json.loads((retailer.home / "airflow" / "service.json").read_text())
            api = Api(service["url"], service["user"], password)
            yield Scheduler(api, service["process_id"], url, str(retailer.strict_contracts), started.stdout)
        finally:
            stopped = sevenfold("down", home=retailer.home, warehouse_url=url, **others)
            assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def test_the_main_dag_runs_by_its_schedule_to_the_end_and_a_failed_gate_fails_the_next_run(
    scheduler: Scheduler,
) -> None:
    runs = scheduler.api.call("GET", f"/dags/{MAIN_DAG}/dagRuns")["dag_runs"]
    due = str(runs[0]["dag_run_id"]) if runs else scheduler.api.trigger(MAIN_DAG, {"as_of": AS_OF})
    assert scheduler.api.wait_for_run(MAIN_DAG, due, RUN_SECONDS) == "success"
    states = scheduler.states(due)
    assert len(states) == 24
    assert set().union(*states.values()) == {"success"}
    assert scheduler.row(due) == ("published", None, "scheduled")
    undisturbed = scheduler.tables()
    assert len(undisturbed) > 20
    check_what_the_run_left_behind(scheduler, due)

    again = {"as_of": scheduler.as_of(due), "contracts": scheduler.strict_contracts, "full_refresh": True}
    failing = scheduler.api.trigger(MAIN_DAG, again)
    assert scheduler.api.wait_for_run(MAIN_DAG, failing, RUN_SECONDS) == "failed"
    states = scheduler.states(failing)
    assert states["gate_raw"] == {"failed"}
    assert states["publish"] == {"upstream_failed"}
    assert scheduler.row(failing) == ("failed", "gate_raw", "manual")
    assert scheduler.tables() == undisturbed

    # Once mended, clearing the task that failed opens the run again and takes it to the end, over a killed scheduler.
    contract = Path(scheduler.strict_contracts) / "loyalty.yml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("1000000", "1"), encoding="utf-8")
    clear = {"dry_run": False, "dag_run_id": failing, "task_ids": ["gate_raw"], "include_downstream": True}
    scheduler.api.call("POST", f"/dags/{MAIN_DAG}/clearTaskInstances", {**clear, "only_failed": False})
    scheduler.wait_for_task(failing, "matching.decide")
    with scheduler.killed_and_started_again():
        assert scheduler.api.wait_for_run(MAIN_DAG, failing, RUN_SECONDS) == "success"
    assert scheduler.row(failing) == ("published", None, "manual")
    assert scheduler.tables() == undisturbed


def check_what_the_run_left_behind(scheduler: Scheduler, run_id: str) -> None:
    """Its pages for who is logged in, and the event of its asset."""
    run = f"evidence/runs/{urllib.parse.quote(run_id)}"
    token = scheduler.api._token
    for path, words in (
        (f"{run}/report/index.html", "Customer states as of"),
        (f"{run}/great_expectations/marts.html", "Passed"),
        ("evidence/dbt_docs/index.html", "dim_customer_states"),
    ):
        assert scheduler.page(path, None)[0] == 401
        status, text = scheduler.page(path, token)
        assert status == 200, path
        assert words in text
    (event,) = scheduler.api.call("GET", "/assets/events")["asset_events"]
    extra: dict[str, Any] = event["extra"]
    assert extra["run"] == run_id
    assert extra["rows"] > 0
    assert "controls passed" in extra["verdict"]


def test_nothing_listens_beyond_this_machine(scheduler: Scheduler) -> None:
    parts = [psutil.Process(number) for number in session_processes(scheduler.process_id)]
    listening = [
        connection.laddr
        for part in parts
        for connection in part.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_the_password_is_shown_once_and_needed(scheduler: Scheduler) -> None:
    assert "shown once" in scheduler.printed
    assert "http://127.0.0.1:" in scheduler.printed
    with pytest.raises(Exception, match="401"):
        Api(scheduler.api.url, "admin", "wrong")
