"""The main DAG under the real scheduler, over the web page's interface: to the end, a failed gate, through kills."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from infra import embedded
from sevenfold.airflow import MAIN_DAG, AirflowError, Api, session_processes
from tests.conftest import fresh_warehouse
from tests.dags.retailer import SmallRetailer, make_small_retailer
from tests.end_to_end.pipeline import published_tables, sevenfold

pytestmark = pytest.mark.slow

RUN_SECONDS = 1500
QUESTION = "review.judge/0"  # task and map index
# Two that differ in kind, and are long enough to be met: one that leaves its work for the next run, and a door.
KILLED_IN = ("matching.decide", "gate_marts")
EVERY_TASK = (
    *("open_run", "extract", "is_anything_new", "gate_raw"),
    *("completeness.load_rules", "completeness.staging", "completeness.normalise", "completeness.quality_levels"),
    *("gate_quality_levels", "matching.score", "matching.decide", "matching.connect", "matching.identity"),
    *("merge", "contactability", "traceability", "states", "strategies", "marts", "gate_marts", "accept_warnings"),
    *("publish", "snapshot", "close_run"),
)
# So few people leave nothing to ask.
A_PAIR_WAITS = """
    insert into restricted.match_review_queue (
        left_record_id, right_record_id, waiting_reason_code, guard_code, left_hash, right_hash, evidence, match_weight,
        match_probability, expected_share, left_record_count, right_record_count, priority_score, is_one_customer
    )
    select
        min(source_record_id), max(source_record_id), 'guard', 'given_name_contradicts', min(match_hash),
        max(match_hash), '{"given_name": -8.0, "email": 12.5}', 4.5, 0.97, 0.03, 1, 1, 1000, false
    from (select * from intermediate.int_match_inputs order by source_record_id collate "C" limit 2) as two
"""
ON_DEMAND = pytest.mark.skipif("SEVENFOLD_TEST_KILLS" not in os.environ, reason="takes long: make test-kills")


class Scheduler:
    """A scheduler that `sevenfold up` started, and its warehouse."""

    def __init__(self, api: Api, process_id: int, url: str, retailer: SmallRetailer, printed: str) -> None:
        self.api, self.process_id, self.url = api, process_id, url
        self.retailer, self.printed = retailer, printed
        parts = [psutil.Process(number) for number in session_processes(process_id)]
        self.first = min(
            (part for part in parts if "scheduler" in " ".join(part.cmdline())), key=lambda part: part.create_time()
        )
        self.environment = self.first.environ() | {
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        }
        self.started: list[subprocess.Popen[bytes]] = []

    def first_run(self) -> str:
        """The run that its schedule made due when the scheduler started, once the scheduler has come to it."""
        runs = f"/dags/{MAIN_DAG}/dagRuns?order_by=id"
        self.wait_until(lambda: self.api.call("GET", runs)["dag_runs"])
        return str(self.api.call("GET", runs)["dag_runs"][0]["dag_run_id"])

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
        found: set[str] = set()
        while "running" not in found:
            assert time.monotonic() < deadline, found
            assert found != {"success"}, f"{task_id} was over before anybody looked"
            time.sleep(0.3)
            with suppress(AirflowError):  # on a busy machine it answers late
                found = self.states(run_id).get(task_id, set())

    def wait_for_question(self, run: str) -> dict[str, Any]:
        """Give the one question of a run, once its task waits for the answer and its scheduler knows.

        An answer in the moment between makes Airflow take the task for one that was killed: it is queued again when
        its executor says that it is over.
        """
        self.wait_until(lambda: self.api.call("GET", f"{run}/hitlDetails")["hitl_details"])
        task = f"{run}/taskInstances/{QUESTION}"
        self.wait_until(lambda: self.api.call("GET", task)["state"] == "awaiting_input")
        for _ in range(2):  # the first may have begun before
            self.wait_until(self.heard_after(self.heartbeat()))
        (question,) = self.api.call("GET", f"{run}/hitlDetails")["hitl_details"]
        return dict(question)

    def heard_after(self, earlier: str) -> Callable[[], bool]:
        return lambda: self.heartbeat() > earlier

    def heartbeat(self) -> str:
        return str(self.api.call("GET", "/monitor/health")["scheduler"]["latest_scheduler_heartbeat"])

    def wait_until(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            with suppress(AirflowError):  # on a busy machine it answers late
                if is_so():
                    return
            time.sleep(1)
        pytest.fail(f"It did not come to be within {RUN_SECONDS} seconds.")

    def page(self, path: str, token: str | None) -> tuple[int, str]:
        """What Airflow's web server answers to a browser."""
        headers = {"Cookie": f"_token={token}"} if token else {}
        request = urllib.request.Request(f"{self.api.url}/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def kill(self) -> None:
        """Send `kill -9` to the scheduler and the tasks it runs."""
        victim = psutil.Process(self.started[-1].pid) if self.started else self.first
        for part in [victim, *victim.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # a task that ended in between
                part.kill()
        if self.started:
            self.started[-1].wait(60)

    def kill_and_start_another(self) -> None:
        """Another one takes over, as a service manager sees to.

        It looks every few seconds for tasks that are nobody's; by Airflow's defaults it would every five minutes. A
        scheduler is taken for dead after a silence that a live one does not keep on a busy machine.
        """
        self.kill()
        command = [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        folder = self.environment["AIRFLOW_HOME"]
        self.started.append(
            subprocess.Popen(command, env=self.environment, cwd=folder, start_new_session=True, **quiet)
        )


@pytest.fixture(scope="module")
def scheduler(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    retailer = make_small_retailer(tmp_path_factory.mktemp("scheduled") / "home")
    others = retailer.other_variables
    with fresh_warehouse(warehouse_server, retailer.home) as url:
        started = sevenfold("up", home=retailer.home, warehouse_url=url, **others)
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            password = json.loads((retailer.home / "airflow" / "web_passwords.json").read_text())["admin"]
            service = json.loads((retailer.home / "airflow" / "service.json").read_text())
            api = Api(service["url"], service["user"], password)
            scheduler = Scheduler(api, service["process_id"], url, retailer, started.stdout)
            yield scheduler
            scheduler.kill()
        finally:
            stopped = sevenfold("down", home=retailer.home, warehouse_url=url, **others)
            assert stopped.returncode == 0, stopped.stdout + stopped.stderr


@ON_DEMAND
def test_a_run_whose_scheduler_is_killed_in_every_task_ends_in_the_tables_of_an_undisturbed_one(
    scheduler: Scheduler, warehouse_server: embedded.Server, tmp_path: Path
) -> None:
    due = scheduler.first_run()
    for task_id in EVERY_TASK:
        scheduler.wait_for_task(due, task_id)
        scheduler.kill_and_start_another()
    assert scheduler.api.wait_for_run(MAIN_DAG, due, RUN_SECONDS) == "success"
    with fresh_warehouse(warehouse_server, tmp_path) as url:
        as_of = scheduler.as_of(due)
        run = sevenfold("run", "--as-of", as_of, home=tmp_path, warehouse_url=url, **scheduler.retailer.other_variables)
        assert run.returncode == 0, run.stdout + run.stderr
        with psycopg.connect(url) as connection:
            assert scheduler.tables() == published_tables(connection)


def test_the_main_dag_runs_by_its_schedule_to_the_end_and_a_failed_gate_fails_the_next_run(
    scheduler: Scheduler,
) -> None:
    due = scheduler.first_run()
    assert scheduler.api.wait_for_run(MAIN_DAG, due, RUN_SECONDS) == "success"
    states = scheduler.states(due)
    assert set(states) == set(EVERY_TASK)
    assert set().union(*states.values()) == {"success"}
    assert scheduler.row(due) == ("published", None, "scheduled")
    undisturbed = scheduler.tables()
    assert len(undisturbed) > 20
    check_what_the_run_left_behind(scheduler, due)

    again = {"as_of": scheduler.as_of(due), "contracts": str(scheduler.retailer.strict_contracts), "full_refresh": True}
    failing = scheduler.api.trigger(MAIN_DAG, again)
    assert scheduler.api.wait_for_run(MAIN_DAG, failing, RUN_SECONDS) == "failed"
    states = scheduler.states(failing)
    assert states["gate_raw"] == {"failed"}
    assert states["publish"] == {"upstream_failed"}
    assert scheduler.row(failing) == ("failed", "gate_raw", "manual")
    assert scheduler.tables() == undisturbed

    # Once mended, clearing the task that failed opens the run again and takes it to the end, over killed schedulers.
    contract = scheduler.retailer.strict_contracts / "loyalty.yml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("1000000", "1"), encoding="utf-8")
    clear = {"dry_run": False, "dag_run_id": failing, "task_ids": ["gate_raw"], "include_downstream": True}
    scheduler.api.call("POST", f"/dags/{MAIN_DAG}/clearTaskInstances", {**clear, "only_failed": False})
    for task_id in KILLED_IN:
        scheduler.wait_for_task(failing, task_id)
        scheduler.kill_and_start_another()
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
    figures = json.loads(scheduler.page(f"{run}/report/figures.json", token)[1])
    assert extra["rows"] == figures["run"]["rows_published"] > 0
    passed = sum(control["status_code"] == "passed" for control in figures["controls"])
    assert extra["verdict"].startswith(f"{passed} of {len(figures['controls'])} controls passed")


def test_a_question_on_the_page_is_answered_and_kept_as_a_judgement(scheduler: Scheduler) -> None:
    dag, reason = "review_matches", "a mother and her daughter"
    assert scheduler.api.wait_for_run(MAIN_DAG, scheduler.first_run(), RUN_SECONDS) == "success"
    with psycopg.connect(scheduler.url) as connection:
        assert connection.execute(A_PAIR_WAITS).rowcount == 1
    asked = scheduler.api.trigger(dag, {"pairs": 1})
    run = f"/dags/{dag}/dagRuns/{urllib.parse.quote(asked)}"
    question = scheduler.wait_for_question(run)
    assert question["subject"].startswith("Are loyalty:")
    answer = {"chosen_options": ["Two persons"], "params_input": {"reason": reason}}
    scheduler.api.call("PATCH", f"{run}/taskInstances/{QUESTION}/hitlDetails", answer)
    assert scheduler.api.wait_for_run(dag, asked, RUN_SECONDS) == "success"
    with psycopg.connect(scheduler.url) as connection:
        kept = connection.execute("select judgement_code, reason, decided_by from mdm.match_judgements").fetchall()
    assert kept == [("not_same", reason, "admin")]


def test_a_run_from_the_command_line_is_refused_beside_a_scheduler(scheduler: Scheduler) -> None:
    others = scheduler.retailer.other_variables
    said = sevenfold("run", home=scheduler.retailer.home, warehouse_url=scheduler.url, **others)
    assert said.returncode == 1
    assert "A scheduler works here" in said.stderr
    assert "sevenfold down" in said.stderr


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
