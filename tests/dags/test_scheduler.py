"""The main DAG under the real scheduler, over the web page's interface: to the end, and to a failed gate."""

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from infra import embedded
from sevenfold.airflow import MAIN_DAG, Api, session_processes
from tests.conftest import fresh_warehouse
from tests.dags.retailer import AS_OF, make_small_retailer
from tests.end_to_end.pipeline import sevenfold

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

    def customers(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("select count(*) from marts.dim_customers").fetchone()
        assert row is not None
        return int(row[0])


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
    customers = scheduler.customers()
    assert customers > 50

    failing = scheduler.api.trigger(MAIN_DAG, {"contracts": scheduler.strict_contracts})
    assert scheduler.api.wait_for_run(MAIN_DAG, failing, RUN_SECONDS) == "failed"
    states = scheduler.states(failing)
    assert states["gate_raw"] == {"failed"}
    assert states["publish"] == {"upstream_failed"}
    assert scheduler.row(failing) == ("failed", "gate_raw", "manual")
    assert scheduler.customers() == customers

    # Once mended, clearing the task that failed opens the run again and takes it to the end.
    contract = Path(scheduler.strict_contracts) / "loyalty.yml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("1000000", "1"), encoding="utf-8")
    clear = {"dry_run": False, "dag_run_id": failing, "task_ids": ["gate_raw"], "include_downstream": True}
    scheduler.api.call("POST", f"/dags/{MAIN_DAG}/clearTaskInstances", {**clear, "only_failed": False})
    assert scheduler.api.wait_for_run(MAIN_DAG, failing, RUN_SECONDS) == "success"
    assert scheduler.row(failing) == ("published", None, "manual")


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
