"""The production deployment: what can be known of it without an engine that runs it.

`compose_specification.json` is schema/compose-spec.json of github.com/compose-spec/compose-spec (Apache-2.0).
"""

import configparser
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import psycopg
import pytest
import yaml
from cryptography.fernet import Fernet
from packaging.requirements import Requirement
from psycopg.conninfo import conninfo_to_dict

from infra import embedded
from infra.images import healthcheck
from infra.migrate import MIGRATIONS_FOLDER, migrate, read_migrations
from infra.server_settings import FIXED
from sevenfold.settings import REPOSITORY

IMAGES = REPOSITORY / "infra" / "images"
HEALTH_CHECK = "infra/images/healthcheck.py"
COMPOSE_TEXT = (REPOSITORY / "docker-compose.yml").read_text()
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<default>:-[^}]*)?\}")
# A setting of this name is a secret or carries one.
SECRET_NAME = re.compile(r"PASSWORD|SECRET|FERNET|TOKEN|CREDENTIAL|_CONN\b|_CONN_|BROKER|BACKEND|WAREHOUSE_URL", re.I)
MOUNTED = re.compile(r"/run/secrets/(\w+)")


def resolved(value: Any) -> Any:
    """Put the defaults in, as `docker compose` does in an empty environment."""
    if isinstance(value, dict):
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: (match["default"] or "")[2:], value).replace("$$", "$")
    return value


COMPOSE: dict[str, Any] = resolved(yaml.safe_load(COMPOSE_TEXT))
SERVICES: dict[str, Any] = COMPOSE["services"]
each_service = pytest.mark.parametrize("name", SERVICES)


def is_one_shot(service: dict[str, Any]) -> bool:
    return bool(service["restart"] == "no")


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose_specification.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load(COMPOSE_TEXT))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(COMPOSE | {"servces": {}})


def test_every_variable_has_a_default() -> None:
    found = list(VARIABLE.finditer(COMPOSE_TEXT))
    assert len(found) >= 10
    assert [match["name"] for match in found if match["default"] is None] == []
    assert {match["name"] for match in found if not match["name"].startswith("SEVENFOLD_")} == set()


@each_service
def test_a_secret_is_named_by_its_file_and_never_written_out(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET_NAME.search(variable):
            assert variable.endswith(("_FILE", "_CMD")), variable
            assert re.fullmatch(r"(cat )?/run/secrets/\w+", value), variable
    assert re.search(r"://[^/\s]*:[^/\s]+@", json.dumps(SERVICES[name])) is None
    assert "env_file" not in SERVICES[name]


@pytest.mark.parametrize("path", [REPOSITORY / "docker-compose.yml", *sorted(IMAGES.iterdir())], ids=lambda p: p.name)
def test_no_file_of_the_deployment_holds_a_generated_value(path: Path) -> None:
    if path.is_file():
        words = re.findall(r"[A-Za-z0-9_=-]{32,}", path.read_text())
        assert [word for word in words if re.search(r"\d", word) and re.search(r"[A-Z]", word)] == []


@each_service
def test_a_service_is_shown_the_secrets_it_uses_and_no_other(name: str) -> None:
    service = SERVICES[name]
    mentioned = set(MOUNTED.findall(json.dumps(service)))
    scripts = {
        "initialise": {"airflow_admin_password", "sevenfold_warehouse_url"},  # its program reads both
        "worker": {"celery_broker_url", "sevenfold_warehouse_url"},  # the settings read every file of the folder
    }
    assert set(service.get("secrets", [])) == mentioned | scripts.get(name, set())


def test_the_secrets_are_those_that_are_made(tmp_path: Path) -> None:
    subprocess.run([REPOSITORY / "infra" / "make_secrets", tmp_path / "secrets"], check=True, capture_output=True)
    made = {path.name for path in (tmp_path / "secrets").iterdir()} - {".gitignore"}
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert made == used == set(COMPOSE["secrets"])
    assert all(entry["file"] == f"./secrets/{secret}" for secret, entry in COMPOSE["secrets"].items())


@each_service
def test_only_this_machine_reaches_its_ports(name: str) -> None:
    assert "network_mode" not in SERVICES[name]
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_something_can_be_reached_and_the_rest_cannot() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"api-server", "warehouse"}
    assert COMPOSE["networks"]["airflow"]["internal"] is True
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(COMPOSE["networks"])
    assert SERVICES["redis"]["networks"] == SERVICES["airflow-database"]["networks"] == ["airflow"]


@each_service
def test_it_is_watched_unless_it_runs_once(name: str) -> None:
    service = SERVICES[name]
    if is_one_shot(service):
        assert service["healthcheck"] == {"disable": True}
        return
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@each_service
def test_it_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert not service.get("privileged")
    assert re.fullmatch(r"\d+[gm]", service["mem_limit"])
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert "docker.sock" not in json.dumps(service)


@each_service
def test_it_starts_after_what_it_needs(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if is_one_shot(SERVICES[needed]) else "service_healthy"
        assert how == {"condition": expected}


def test_tasks_start_when_there_is_someone_to_answer_them() -> None:
    for name in ("scheduler", "worker", "dag-processor", "triggerer"):
        assert "api-server" in SERVICES[name]["depends_on"]
    for name in ("scheduler", "worker"):
        assert "redis" in SERVICES[name]["depends_on"]
    assert list(SERVICES["api-server"]["depends_on"]) == ["initialise"]
    assert set(SERVICES["initialise"]["depends_on"]) == {"warehouse", "airflow-database"}


def test_what_must_last_lies_in_named_volumes() -> None:
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if isinstance(volume, str) and not volume.startswith((".", "/"))
    }
    assert named == set(COMPOSE["volumes"])


def test_the_worker_has_nothing_of_airflows_but_the_broker() -> None:
    assert [secret for secret in SERVICES["worker"]["secrets"] if secret.startswith("airflow")] == []
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD" not in SERVICES["worker"]["environment"]


def test_the_web_server_sees_the_pages_of_runs_and_nothing_else_that_the_worker_wrote() -> None:
    volumes = [volume for volume in SERVICES["api-server"]["volumes"] if volume.startswith("sevenfold")]
    assert volumes == [
        "sevenfold-reports:/var/lib/sevenfold/reports:ro",
        "sevenfold-pages:/var/lib/sevenfold/pages:ro",
    ]
    assert {volume.removesuffix(":ro") for volume in volumes} < set(map(str, SERVICES["worker"]["volumes"]))
    made = (IMAGES / "Dockerfile").read_text()  # a new volume takes its owner from the image's folder
    assert "/var/lib/sevenfold/reports /var/lib/sevenfold/pages" in made
    plugins = airflow_configuration()["core"]["plugins_folder"]
    assert list((REPOSITORY / plugins.removeprefix("/opt/sevenfold/")).glob("*.py"))


def test_the_warehouses_log_holds_no_values() -> None:
    given = dict(re.findall(r"-c (\w+)=(\S+)", SERVICES["warehouse"]["command"]))
    private = {name for name in FIXED if name.startswith("log_") and name not in {"log_line_prefix", "log_timezone"}}
    assert len(private) >= 4
    assert {name: given.get(name) for name in private} == {name: FIXED[name] for name in private}


def airflow_configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(IMAGES / "airflow.cfg")
    return parser


def test_airflow_runs_on_celery_with_real_users() -> None:
    core = airflow_configuration()["core"]
    assert core["executor"] == "CeleryExecutor"
    assert core["auth_manager"].endswith("FabAuthManager")
    assert core["execution_api_server_url"] == "http://api-server:8080/execution/"
    assert core["dags_folder"] == "/opt/sevenfold/dags"


def test_airflow_knows_every_option_and_none_is_a_secret(airflow_ready: None) -> None:
    from airflow.configuration import retrieve_configuration_description

    known = retrieve_configuration_description(include_providers=False)
    parser = airflow_configuration()
    of_providers = {"celery", "celery_broker_transport_options", "fab"}  # not installed outside the image
    assert set(parser.sections()) - of_providers <= set(known)
    for section in set(parser.sections()) - of_providers:
        options = known[section]["options"]
        assert set(parser[section]) <= set(options)
        assert not any(options[option].get("sensitive") for option in parser[section])
    for service in SERVICES.values():
        for variable in service.get("environment", {}):
            section, _, option = variable.removeprefix("AIRFLOW__").lower().partition("__")
            if variable.startswith("AIRFLOW__") and section not in of_providers:
                assert option.removesuffix("_cmd") in known[section]["options"], variable


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", lock.read_text(), re.M))


def test_production_runs_the_versions_that_are_tested() -> None:
    tested, production = pins(REPOSITORY / "requirements.lock"), pins(REPOSITORY / "infra" / "production.lock")
    shared = tested.keys() & production.keys()
    assert len(shared) > 100
    assert {name: production[name] for name in shared} == {name: tested[name] for name in shared}
    assert {"apache-airflow", "dbt-core", "duckdb", "psycopg", "splink"} <= shared
    assert {"pytest", "mypy", "ruff"}.isdisjoint(production)


@pytest.mark.parametrize("name", ["production", "spark"])
def test_a_lock_fits_what_was_asked_and_carries_hashes(name: str) -> None:
    lock = REPOSITORY / "infra" / f"{name}.lock"
    asked = (line.partition("#")[0].strip() for line in lock.with_suffix(".in").read_text().splitlines())
    requirements = [Requirement(line) for line in asked if line]
    assert requirements
    for requirement in requirements:
        assert requirement.specifier.contains(pins(lock)[requirement.name])
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert len(entries) == len(pins(lock))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock.read_text()


def test_the_image_holds_what_is_named_and_ends_as_no_root() -> None:
    instructions = (IMAGES / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    assert [line for line in instructions if line.startswith("USER ")] == ["USER 50000:50000"]
    assert instructions[-2].startswith("USER ")
    assert all(line.split()[1] == "${PYTHON_IMAGE}" for line in instructions if line.startswith("FROM "))
    installs = [line for line in instructions if "pip install" in line or "pip sync" in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line for line in installs)
    rules = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in allowed)
    assert {"dags", "dbt_project", "expectations", "infra", "sevenfold", "sources", "splink_models"} < allowed
    assert allowed.isdisjoint({"secrets", ".env", ".git", ".sevenfold", "tests"})


def test_secrets_are_made_once_and_open_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "secrets"

    def make() -> dict[str, str]:
        done = subprocess.run(
            [REPOSITORY / "infra" / "make_secrets", folder], check=True, capture_output=True, text=True
        )
        values = {path.name: path.read_text() for path in folder.iterdir() if path.name != ".gitignore"}
        assert [name for name, value in values.items() if value in done.stdout + done.stderr] == []
        return values

    first = make()
    assert make() == first
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name != ".gitignore"} == {0o644}
    assert (folder / ".gitignore").read_text() == "*\n"
    assert len(set(first.values())) == len(first)
    assert [name for name, value in first.items() if len(value) < 32 or value != value.strip()] == []
    Fernet(first["airflow_fernet_key"]).encrypt(b"a connection's password")
    assert conninfo_to_dict(first["sevenfold_warehouse_url"]) == {
        **{"user": "sevenfold", "dbname": "sevenfold", "host": "warehouse", "port": "5432"},
        "password": first["warehouse_owner_password"],
    }
    assert f":{first['redis_password']}@redis:" in first["celery_broker_url"]
    assert f":{first['airflow_database_owner_password']}@airflow-database:" in first["airflow_database_url"]
    (folder / "airflow_admin_password").unlink()
    again = make()
    assert {name for name in first if again[name] != first[name]} == {"airflow_admin_password"}


def test_the_warehouses_user_is_no_superuser_and_can_migrate(home: Path, tmp_path: Path, programs_of_16: Path) -> None:
    """On a new server of the image's version, and with a password that shell and SQL could both misread."""
    server = embedded.start(home, programs_of_16)
    password = """p'w"$(id)`id` \\ñ"""
    (tmp_path / "password").write_text(password)
    service = SERVICES["warehouse"]["environment"]
    environment = {
        **{"PATH": f"{programs_of_16}{os.pathsep}{os.defpath}", "PGHOST": embedded.HOST, "PGPORT": str(server.port)},
        **{"PGPASSWORD": server.password, "POSTGRES_USER": embedded.SUPERUSER, "DATABASE_OWNER": "owner"},
        "DATABASE_OWNER_RIGHTS": service["DATABASE_OWNER_RIGHTS"],
        "DATABASE_OWNER_PASSWORD_FILE": str(tmp_path / "password"),
    }
    subprocess.run(["bash", IMAGES / "create_database_owner.sh"], env=environment, check=True)
    login = {"host": embedded.HOST, "port": server.port, "user": "owner", "dbname": "owner"}
    with psycopg.connect(**login, password=password) as connection:  # type: ignore[arg-type]
        rights = connection.execute(
            "select rolsuper, rolcreaterole, rolcreatedb, rolreplication from pg_roles where rolname = current_user"
        ).fetchone()
        assert rights == (False, True, False, False)
        assert connection.info.server_version // 10000 == 16
        assert migrate(connection) == [migration.name for migration in read_migrations(MIGRATIONS_FOLDER)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**login, password="guess")  # type: ignore[arg-type]


@contextmanager
def server_that_answers(status: int, body: object) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_health_checks_ask_after_the_parts_that_run() -> None:
    checks = {name: service["healthcheck"].get("test", []) for name, service in SERVICES.items()}
    asked = {name: test[2] for name, test in checks.items() if test[1:2] == [f"/opt/sevenfold/{HEALTH_CHECK}"]}
    assert asked == {name: name for name in [*healthcheck.QUESTIONS, "worker"]}
    assert os.access(REPOSITORY / HEALTH_CHECK, os.X_OK)


@pytest.mark.parametrize(("state", "expected"), [("healthy", True), ("unhealthy", False)])
def test_a_part_is_as_well_as_airflow_says(monkeypatch: pytest.MonkeyPatch, state: str, expected: bool) -> None:
    answer = {"metadatabase": {"status": "healthy"}, "triggerer": {"status": state}}
    with server_that_answers(200, answer) as url:
        monkeypatch.setitem(healthcheck.QUESTIONS, "triggerer", (url, "triggerer"))
        assert healthcheck.is_healthy("triggerer") is expected


def test_a_part_that_answers_with_an_error_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_that_answers(503, {}) as url:
        monkeypatch.setitem(healthcheck.QUESTIONS, "scheduler", (url, None))
        with pytest.raises(OSError, match="503"):
            healthcheck.is_healthy("scheduler")
