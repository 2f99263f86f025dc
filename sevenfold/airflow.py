"""Airflow on this machine: a DAG run in this process, or the real scheduler with its web page on loopback.

Both use the same DAG files and the same small metadata database under `<home>/airflow`. A production deployment sets
`AIRFLOW__*` itself and needs nothing from here.
"""

import datetime as dt
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sevenfold.errors import SevenfoldError
from sevenfold.settings import REPOSITORY, get_settings

MAIN_DAG = "customer_states"
POOL, POOL_SLOTS = "warehouse", 2
HOST = "127.0.0.1"
PREFERRED_PORT = 8080
READY_SECONDS = 300
STOP_SECONDS = 60
PARTS = ("metadatabase", "scheduler", "dag_processor")


class AirflowError(SevenfoldError):
    """Airflow could not be started, stopped or asked."""


@dataclass(frozen=True)
class Service:
    """A scheduler with its web page, as started by `up`; kept in a file, so that `down` finds it."""

    process_id: int
    process_started_at: float
    url: str
    user: str = "admin"


def environment() -> dict[str, str]:
    """Give the variables under which Airflow uses this repository's DAGs and nothing of another Airflow's."""
    home = airflow_home()
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "sevenfold" / "airflow_plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(POOL_SLOTS + 1),
        # A DAG is un-paused once the web page answers: a task that starts before fails.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        # Airflow starts its parts by name; tasks import the rooms.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
    }


def airflow_home() -> Path:
    """Give the folder of Airflow's own files; made for its owner alone, as passwords lie in it."""
    home = get_settings().home / "airflow"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home


def password_file() -> Path:
    """Give the file, readable by its owner alone, that holds the web page's password."""
    return airflow_home() / "web_passwords.json"


def log_file() -> Path:
    """Give the log of the scheduler and the web page; its folder is made."""
    folder = get_settings().home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "airflow.log"


@cache
def initialise() -> None:
    """Make Airflow usable in this process, once: its environment first, since it reads it when it is imported."""
    os.environ.update(environment())
    from airflow.utils import db

    db.initdb()


def run_dag(dag_id: str, conf: Mapping[str, Any]) -> str:
    """Run a DAG in this process, task after task, with no daemon and no port.

    A task that fails is not tried again: who started it from a terminal wants to know at once.

    Returns:
        The run's ID; how it ended stands in the run's row.

    Raises:
        AirflowError: The DAG file cannot be read.
    """
    initialise()
    end_interrupted_runs()
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    if bag.import_errors or dag_id not in bag.dags:
        raise AirflowError(f"DAG {dag_id} cannot be loaded: {'; '.join(bag.import_errors.values()) or 'no such DAG'}")
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        task.retries = 0
    return str(dag.test(run_conf=dict(conf)).run_id)


def require_no_scheduler() -> None:
    """Ask that no scheduler works here: it would take the tasks of a run in this process for its own.

    Raises:
        AirflowError: One does; says how to start the run there.
    """
    if (running := service()) is not None:
        raise AirflowError(
            f"A scheduler works here (sevenfold up, {running.url}), and would work on this run too. Start the run on "
            f"its page: DAG {MAIN_DAG}, Trigger. Or stop it first: sevenfold down."
        )


def up() -> tuple[Service, str | None]:
    """Start the scheduler and the web page, wait until they are well, and let the main DAG run.

    Returns:
        The service, and the password when it was made now: it is shown once.

    Raises:
        AirflowError: It did not become ready; the message names the log.
    """
    if (running := service()) is not None:
        return running, None
    initialise()
    end_interrupted_runs()
    _make_pool()
    password, is_new = _password()
    port = _free_port(PREFERRED_PORT)
    started = _start(port)
    _wait_until_ready(started, port)
    api = Api(started.url, started.user, password)
    api.wait_for_dag(MAIN_DAG)
    api.call("PATCH", f"/dags/{MAIN_DAG}", {"is_paused": False})
    return started, password if is_new else None


def down() -> bool:
    """Stop the scheduler and the web page; True when they ran."""
    running = service()
    if running is None:
        return False
    # An interrupt stops the parts first; a plain termination would leave them running.
    os.kill(running.process_id, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while (left := session_processes(running.process_id)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process_id in left:
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
    _service_file().unlink(missing_ok=True)
    return True


def service() -> Service | None:
    """Give the service that runs, if one does."""
    import psutil

    try:
        kept = Service(**json.loads(_service_file().read_text(encoding="utf-8")))
        # The number alone could be another process's by now.
        started_at = psutil.Process(kept.process_id).create_time()
    except (OSError, ValueError, psutil.Error):
        return None
    return kept if abs(started_at - kept.process_started_at) < 1 else None


class Api:
    """Airflow's REST interface, as one user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        credentials = {"username": user, "password": password}
        self._token = str(_request("POST", f"{url}/auth/token", credentials, {})["access_token"])

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call one endpoint below `/api/v2`.

        Raises:
            AirflowError: It refused.
        """
        return _request(method, f"{self.url}/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until the DAG's file has been read."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.call("GET", f"/dags/{dag_id}")
            except AirflowError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a run, and give its ID."""
        body = {"logical_date": dt.datetime.now(dt.UTC).isoformat(), "conf": dict(conf)}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float) -> str:
        """Wait for a run's end, and give its state: success or failed.

        Raises:
            AirflowError: It did not end in time.
        """
        deadline = time.monotonic() + seconds
        path = f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}"
        while (state := str(self.call("GET", path)["state"])) in {"queued", "running"}:
            if time.monotonic() > deadline:
                raise AirflowError(f"Run {run_id} of {dag_id} did not end within {seconds:.0f} seconds.")
            time.sleep(1)
        return state


def _request(method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> dict[str, Any]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(  # noqa: S310 - our own address on loopback
        url, data=data, method=method, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content: dict[str, Any] = json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise AirflowError(f"Airflow refused {method} {url}: {error.code} {error.reason}.") from None
    except (urllib.error.URLError, OSError):
        raise AirflowError(f"Airflow does not answer at {url}.") from None
    return content


def _start(port: int) -> Service:
    url = f"http://{HOST}:{port}"
    own = {
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{Service.user}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file()),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }
    # A program started in the background of a shell ignores interrupts, and would hand that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log_file().open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sevenfold.standalone"],
            env=os.environ | environment() | own,
            cwd=airflow_home(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it outlives this program, and `down` finds its parts
        )
    import psutil

    started = Service(process.pid, psutil.Process(process.pid).create_time(), url)
    _service_file().write_text(json.dumps(asdict(started)), encoding="utf-8")
    return started


def _wait_until_ready(started: Service, port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and session_processes(started.process_id):
        try:
            health = _request("GET", f"http://{HOST}:{port}/api/v2/monitor/health", None, {})
        except AirflowError:
            health = {}
        if all(health.get(part, {}).get("status") == "healthy" for part in PARTS):
            return
        time.sleep(0.5)
    down()
    raise AirflowError(f"Airflow did not become ready; {log_file()} says why.")


def end_interrupted_runs() -> None:
    """Fail the DAG runs whose one process died: a scheduler would take them for its own and go on with them."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, State, TaskInstanceState
    from sqlalchemy import select, update

    from sevenfold.runs import ONE_PROCESS, over

    with create_session() as session:
        running = session.scalars(select(DagRun).where(DagRun.state == DagRunState.RUNNING)).all()
        interrupted = over(run.run_id for run in running if (run.conf or {}).get("trigger") in ONE_PROCESS)
        for run in running:
            if run.run_id in interrupted:
                run.state = DagRunState.FAILED
        unfinished = TaskInstance.run_id.in_(interrupted), TaskInstance.state.in_(State.unfinished)
        session.execute(update(TaskInstance).where(*unfinished).values(state=TaskInstanceState.FAILED))


def _make_pool() -> None:
    """Tasks that load the warehouse take turns; a scheduler never starts a task whose pool is missing."""
    from airflow.models.pool import Pool

    Pool.create_or_update_pool(
        POOL, slots=POOL_SLOTS, description="Tasks that load the warehouse", include_deferred=False
    )


def _password() -> tuple[str, bool]:
    file = password_file()
    if file.exists():
        return str(json.loads(file.read_text(encoding="utf-8"))[Service.user]), False
    password = secrets.token_urlsafe(18)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        json.dump({Service.user: password}, handle)
    return password, True


def _service_file() -> Path:
    return airflow_home() / "service.json"


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AirflowError("No free port on this machine.")


def session_processes(leader: int) -> list[int]:
    """List the living processes of the session that `up` made: every part, and every task under way."""
    import psutil

    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
