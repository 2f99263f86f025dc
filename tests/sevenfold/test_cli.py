"""The command line, as its user meets it."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.settings import REPOSITORY

COMMANDS = [
    "demo", "run", "backfill", "up", "down", "status", "report", "train", "docs", "golden", "source", "warehouse",
    "review", "identity", "model", "link", "quarantine", "exception",
    "replay", "simulate",
]  # fmt: skip


def sevenfold(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the program in a process of its own, which reads the environment anew."""
    return subprocess.run(
        [sys.executable, "-m", "sevenfold", *arguments], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    answer = CliRunner().invoke(app, [command, "--help"])
    assert answer.exit_code == 0
    assert len(answer.output.splitlines()) > 5


def test_the_makefile_lists_its_targets() -> None:
    listed = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout
    for target in ("demo", "test", "lint", "up", "down", "run", "status", "report", "docs", "lock", "clean"):
        assert f"make {target} " in listed


def test_an_error_is_one_message_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_TIME_ZONE", "Mexico")
    done = sevenfold("status")
    assert done.returncode == 1
    assert "SEVENFOLD_TIME_ZONE" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_of_an_unknown_country_says_which_there_are() -> None:
    done = sevenfold("demo", "--country", "FR")
    assert done.returncode == 1
    assert "No retailer is simulated in 'FR', but in MX, ES." in done.stderr


def test_a_retailer_is_simulated_into_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "retailer"
    for _ in range(2):  # what an earlier call made is replaced
        done = sevenfold("simulate", str(folder), "--people", "50", "--closed", "--over-time")
        assert done.returncode == 0, done.stderr
        assert f"rows of 50 people in {folder}" in done.stdout
    assert (folder / "truth" / "party_states.parquet").exists()
    mine = tmp_path / "mine"
    (mine / "truth").mkdir(parents=True)
    done = sevenfold("simulate", str(mine))
    assert done.returncode == 1
    assert "holds no simulated retailer" in done.stderr
    (tmp_path / "file").touch()
    done = sevenfold("simulate", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "cannot be made" in done.stderr


def test_a_new_warehouse_is_made_asked_and_shared(warehouse: str) -> None:
    assert "No run yet." in sevenfold("status").stdout
    assert sevenfold("warehouse", "url").stdout.strip() == warehouse
    assert "up to date" in sevenfold("warehouse", "migrate").stdout
    asked = sevenfold("warehouse", "psql", "-Atc", "select current_database()")
    assert asked.stdout.strip() == warehouse.rsplit("/", 1)[1]
    assert sevenfold("report").returncode == 1


def test_the_status_names_runs_so_that_they_can_be_copied(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    run_id = "manual__2026-11-26T20:31:20.116538+00:00_with_a_name_of_its_own"
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            """
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
            values (%s, '2026-07-01', now(), now(), 'nothing_new')
            """,
            (run_id,),
        )
    answer = CliRunner().invoke(app, ["status"], catch_exceptions=False)
    assert run_id in answer.output.splitlines()


def test_where_nothing_has_run_a_command_says_so(warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute("drop schema audit cascade")
    done = sevenfold("audit", "list")
    assert done.returncode == 1
    assert "nothing has run in it yet" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_run_that_cannot_be_opened_says_why(warehouse: str, tmp_path: Path) -> None:
    done = sevenfold("run", "--contracts", str(tmp_path), "--as-of", "2026-07-01")
    assert done.returncode == 1
    assert f"{tmp_path} holds no contract" in " ".join(done.stderr.split())


def test_the_package_is_run_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sevenfold", "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
