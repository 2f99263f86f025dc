"""The main DAG as production runs it: Celery, a Redis with a password, a worker; `make test-celery`.

The parts are those of docker-compose.yml, by its commands and variables, in the environment that an image has. What a
machine without containers has instead: addresses on loopback, and the test session's PostgreSQL.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra import embedded
from sevenfold.airflow import MAIN_DAG, AirflowError, Api
from sevenfold.settings import REPOSITORY
from tests.conftest import fresh_warehouse
from tests.dags.retailer import SmallRetailer, make_small_retailer
from tests.end_to_end.pipeline import published_tables
from tests.infra.test_compose import SERVICES

PROGRAMS = REPOSITORY / ".venv-production" / "bin"
REDIS = shutil.which("redis-server")
SECONDS = 1500
TASKS = 24

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        REDIS is None or not (PROGRAMS / "airflow").exists(),
        reason="Redis or the image's packages are not installed: apt-get install redis-server; make test-celery",
    ),
]


@dataclass(frozen=True)
class Deployment:
    """Production's parts on this machine: where their files lie, and on which ports they listen."""

    executor: str
    retailer: SmallRetailer
    warehouse_url: str
    airflow_url: str
    redis_port: int
    web_port: int

    @property
    def secrets(self) -> Path:
        """What `infra/make_secrets` made, with this machine's addresses."""
        return self.retailer.home / "secrets"

    def secret(self, name: str) -> str:
        """Read one."""
        return (self.secrets / name).read_text()

    def make_secrets(self) -> None:
        """Make them; what has an address in it says where things are here."""
        subprocess.run([REPOSITORY / "infra" / "make_secrets", self.secrets], check=True, capture_output=True)
        broker = f"redis://:{self.secret('redis_password')}@127.0.0.1:{self.redis_port}/0"
        addresses = {"celery_broker_url": broker, "airflow_database_url": self.airflow_url}
        for name, address in (addresses | {"sevenfold_warehouse_url": self.warehouse_url}).items():
            (self.secrets / name).write_text(address)

    def environment(self, service: str) -> dict[str, str]:
        """The variables of a service in docker-compose.yml, and what an image, a network or a volume would give it."""
        home = self.retailer.home / "airflow" / service  # the worker's is not the scheduler's: they share no database
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "infra" / "images" / "airflow.cfg", home)
        given = {
            name: str(value).replace("/run/secrets", str(self.secrets))
            for name, value in SERVICES[service].get("environment", {}).items()
        }
        worker = self.retailer.variables | {"SEVENFOLD_WAREHOUSE_URL": self.warehouse_url}
        runs_tasks = service == "worker" or (service == "scheduler" and self.executor == "LocalExecutor")
        return given | (worker if runs_tasks or service == "initialise" else {}) | {
            "PATH": f"{PROGRAMS}{os.pathsep}{os.defpath}",
            "PYTHONPATH": str(REPOSITORY),
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.web_port),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.web_port}/execution/",
            "AIRFLOW__CORE__EXECUTOR": self.executor,
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "sevenfold" / "airflow_plugins"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.retailer.home / "logs"),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",  # its port is another scheduler's
        }  # fmt: skip

    def python(self, program: str, service: str) -> str:
        """Run a program of Python in an image's environment, as a service."""
        answer = subprocess.run(
            [PROGRAMS / "python", "-c", program], cwd=REPOSITORY, env=self.environment(service),
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def initialise(self) -> None:
        """What the service of that name does, with its own program."""
        program = f"""
from pathlib import Path
from infra.images import initialise
initialise.ADMIN_PASSWORD = Path({str(self.secrets / "airflow_admin_password")!r})
initialise.main()
"""
        self.python(program, "initialise")

    @contextmanager
    def running(self, service: str) -> Iterator[None]:
        """Run a service by its command in docker-compose.yml."""
        log = self.retailer.home / f"{service}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                SERVICES[service]["command"], cwd=REPOSITORY, env=self.environment(service), stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, executable=PROGRAMS / "airflow",
            )  # fmt: skip
            with ended(process):
                yield
                assert process.poll() is None, log.read_text()[-3000:]

    @contextmanager
    def redis(self) -> Iterator[None]:
        """Run the broker, by the configuration that docker-compose.yml gives it, on loopback alone."""
        folder = self.retailer.home / "redis"
        folder.mkdir()
        command = SERVICES["redis"]["command"][-1]
        lines = command.split("<<CONFIGURATION\n")[1].split("CONFIGURATION")[0]
        password = "requirepass " + self.secret("redis_password")
        lines = lines.replace("requirepass $(cat /run/secrets/redis_password)", password).replace("/data", str(folder))
        process = subprocess.Popen(
            [str(REDIS), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert process.stdin is not None
        process.stdin.write(f"{lines}\nbind 127.0.0.1\nport {self.redis_port}\n".encode())
        process.stdin.close()
        with ended(process):
            yield

    def ask_redis(self, *words: str, password: str | None = None) -> str:
        """Ask the broker by its own client."""
        environment = {"PATH": os.defpath} | ({"REDISCLI_AUTH": password} if password else {})
        command = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.redis_port), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()

    def run_what_is_due(self) -> str:
        """Let the DAG run by its schedule; give the ID of the run that was due, which must succeed."""
        api = self._api()
        api.wait_for_dag(MAIN_DAG)
        api.call("PATCH", f"/dags/{MAIN_DAG}", {"is_paused": False})
        deadline = time.monotonic() + SECONDS
        while not (runs := api.call("GET", f"/dags/{MAIN_DAG}/dagRuns")["dag_runs"]):
            assert time.monotonic() < deadline
            time.sleep(1)
        due = str(runs[0]["dag_run_id"])
        assert api.wait_for_run(MAIN_DAG, due, SECONDS) == "success"
        return due

    def _api(self) -> Api:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return Api(f"http://127.0.0.1:{self.web_port}", "admin", self.secret("airflow_admin_password"))
            except AirflowError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process and those it started when the block is left."""
    import psutil

    try:
        yield
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        try:
            process.wait(60)
        finally:
            for part in family:
                if part.is_running():
                    part.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def deployment(server: embedded.Server, home: Path, executor: str) -> Iterator[Deployment]:
    """Everything but the parts themselves: input, databases, secrets."""
    name = f"airflow_{executor.lower()}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    with fresh_warehouse(server, home) as url:
        airflow_url = server.url_for(name).replace("postgresql://", "postgresql+psycopg://")
        made = Deployment(executor, make_small_retailer(home), url, airflow_url, free_port(), free_port())
        made.make_secrets()
        made.initialise()
        yield made


def tables_of(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        row = connection.execute("select status_code, trigger_code from ops.pipeline_runs").fetchall()
        assert row == [("published", "scheduled")]
        return published_tables(connection)


def test_a_run_through_redis_and_a_worker_ends_in_the_tables_of_a_run_without(
    warehouse_server: embedded.Server, tmp_path: Path
) -> None:
    with deployment(warehouse_server, tmp_path / "celery", "CeleryExecutor") as celery, ExitStack() as parts:
        parts.enter_context(celery.redis())
        for service in ("api-server", "dag-processor", "scheduler", "triggerer", "worker"):
            parts.enter_context(celery.running(service))
        celery.run_what_is_due()
        password = celery.secret("redis_password")
        assert celery.ask_redis("ping").startswith("NOAUTH")
        results = celery.ask_redis("--scan", "--pattern", "celery-task-meta-*", password=password).splitlines()
        assert len(results) >= TASKS
        check = f"""
from pathlib import Path
from infra.images import healthcheck
healthcheck.BROKER_URL = Path({str(celery.secrets / "celery_broker_url")!r})
print(healthcheck.is_healthy("worker"))
"""
        assert celery.python(check, "worker").splitlines()[-1] == "True"
        through_redis = tables_of(celery.warehouse_url)
    with deployment(warehouse_server, tmp_path / "local", "LocalExecutor") as local, ExitStack() as parts:
        for service in ("api-server", "dag-processor", "scheduler", "triggerer"):
            parts.enter_context(local.running(service))
        local.run_what_is_due()
        assert tables_of(local.warehouse_url) == through_redis
    assert len(through_redis) > 20
