"""The pages of runs in Airflow's own web server: for who is logged in, and nobody else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expectations import report_folders
from sevenfold.dbt import docs_folder
from sevenfold.settings import get_settings

RUN = "scheduled__2026-07-01T03:00:00+00:00"
REPORT = f"/evidence/runs/{RUN}/report/"
PAGES = {
    f"{REPORT}index.html": "<p>the report</p>",
    f"{REPORT}csv/controls.csv": "control_id\n",
    f"/evidence/runs/{RUN}/great_expectations/index.html": "<p>the gates</p>",
    "/evidence/dbt_docs/index.html": "<p>the dictionary</p>",
    "/evidence/latest/report/index.html": "<p>the report</p>",
}


class Server:
    """Airflow's web server in this process, and a user's token."""

    def __init__(self, client: Any, token: str) -> None:
        self.client, self.token = client, token

    def get(self, path: str, **headers: str) -> Any:
        self.client.cookies.clear()
        return self.client.get(path, headers=headers)

    def get_with_cookie(self, path: str) -> Any:
        self.client.cookies.set("_token", self.token)
        return self.client.get(path)


@pytest.fixture(scope="module")
def server(airflow_ready: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("evidence")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({"admin": "a long password"}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVENFOLD_HOME", str(home))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        get_settings.cache_clear()
        write_pages(home)
        from airflow.api_fastapi.app import create_app, purge_cached_app
        from fastapi.testclient import TestClient

        purge_cached_app()
        with TestClient(create_app(apps="core")) as client:
            answer = client.post("/auth/token", json={"username": "admin", "password": "a long password"})
            yield Server(client, answer.json()["access_token"])
        purge_cached_app()
    get_settings.cache_clear()


def write_pages(home: Path) -> None:
    files = {"index.html": b"<p>the report</p>", "csv/controls.csv": b"control_id\n"}
    report_folders.write(RUN, files, None)
    for folder, text in (
        (report_folders.great_expectations_folder(RUN), "<p>the gates</p>"),
        (docs_folder(), "<p>the dictionary</p>"),
    ):
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(text, encoding="utf-8")
    (home / "secret.html").write_text("a secret", encoding="utf-8")


@pytest.mark.parametrize("path", PAGES)
def test_without_a_login_nothing_is_served(server: Server, path: str) -> None:
    assert server.get(path).status_code == 401
    assert server.get(path, Authorization="Bearer nonsense").status_code in {401, 403}
    assert server.get("/api/v2/dags").status_code == 401


@pytest.mark.parametrize("path", PAGES)
def test_with_a_login_the_page_is_served_and_may_ask_for_nothing_outside(server: Server, path: str) -> None:
    for answer in (server.get(path, Authorization=f"Bearer {server.token}"), server.get_with_cookie(path)):
        assert (answer.status_code, answer.text) == (200, PAGES[path])
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("step", ["../", "%2e%2e/", "%2e%2e%2f", "..%5c", "%2fetc%2f"])
def test_no_path_leads_out_of_a_folder(server: Server, step: str) -> None:
    for start in (REPORT, "/evidence/dbt_docs/", f"/evidence/runs/{RUN}/great_expectations/"):
        for target in ("secret.html", "passwd"):
            for depth in range(1, 6):
                answer = server.get(f"{start}{step * depth}{target}", Authorization=f"Bearer {server.token}")
                assert answer.text != "a secret"
                assert "root:" not in answer.text
    for run in ("..", "%2e%2e", "%2e%2e%2f%2e%2e"):
        answer = server.get(f"/evidence/runs/{run}/report/secret.html", Authorization=f"Bearer {server.token}")
        assert answer.text != "a secret"


def test_a_link_within_a_folder_leads_nowhere_else(server: Server) -> None:
    link = docs_folder() / "link.html"
    link.symlink_to(get_settings().home / "secret.html")
    answer = server.get("/evidence/dbt_docs/link.html", Authorization=f"Bearer {server.token}")
    assert answer.status_code == 404


def test_a_run_without_a_report_is_said_so(server: Server) -> None:
    answer = server.get("/evidence/runs/another/report/index.html", Authorization=f"Bearer {server.token}")
    assert answer.status_code == 404
    assert "Run another has no report" in answer.json()["detail"]


def test_the_page_of_a_run_links_to_them(server: Server) -> None:
    answer = server.get("/api/v2/plugins", Authorization=f"Bearer {server.token}")
    views = next(plugin for plugin in answer.json()["plugins"] if plugin["name"] == "evidence")["external_views"]
    linked = {view["href"].replace("{RUN_ID}", RUN) for view in views if view["destination"] == "dag_run"}
    pages = {path.removeprefix("/") for path in PAGES if path.endswith("index.html")}
    assert linked == pages - {"evidence/latest/report/index.html"}
