"""`kill -9` of task and server in the middle of each stage, then run again: the tables of an undisturbed run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra import embedded
from infra.migrate import migrate
from sevenfold.settings import REPOSITORY, get_settings
from sources.retailer.generation import generate
from tests.conftest import fresh_warehouse, short_folder
from tests.end_to_end.pipeline import published_tables, unequal_totals
from tests.end_to_end.stage_by_stage import DEADLY, serve

pytestmark = pytest.mark.slow

CONTRACTS = ("point_of_sale", "loyalty", "receipt_registration")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Three sources of a small retailer, as the variables that configure them."""
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    for source in CONTRACTS:
        shutil.copy(REPOSITORY / "sources" / "contracts" / f"{source}.yml", contracts)
    generate(tmp_path / "input", 250, seed=41)
    return {
        "SEVENFOLD_CONTRACTS": str(contracts),
        "SEVENFOLD_INPUT": str(tmp_path / "input"),
        "SEVENFOLD_COHORT_DATE": "2025-04-01",
    }


def stage_by_stage(settings: dict[str, str], *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.end_to_end.stage_by_stage", *arguments],
        cwd=REPOSITORY, env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def own_warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A migrated warehouse whose server may be killed: nobody else's tables are on it."""
    with short_folder() as home:
        monkeypatch.setenv("SEVENFOLD_HOME", str(home))
        get_settings.cache_clear()
        with psycopg.connect(serve()) as connection:
            migrate(connection)
        yield
        embedded.remove(home)
    get_settings.cache_clear()


def test_a_run_killed_in_any_stage_leaves_no_trace_in_the_tables(
    settings: dict[str, str], warehouse_server: embedded.Server, own_warehouse: None, tmp_path: Path
) -> None:
    with fresh_warehouse(warehouse_server, tmp_path / "undisturbed") as url:
        took = stage_by_stage(settings, "undisturbed")
        with psycopg.connect(url) as connection:
            expected = published_tables(connection)
    assert len(took) > 20

    codes = stage_by_stage(settings, "killed", json.dumps(took))
    deaths = {name: codes.pop(name) for name in list(codes) if name.startswith("run that died")}
    assert len(deaths) == len(DEADLY)
    assert set(map(tuple, deaths.values())) == {(-signal.SIGKILL,)}
    assert codes == {stage_code: [-signal.SIGKILL, 1] for stage_code in took}
    with psycopg.connect(serve()) as connection:
        assert published_tables(connection) == expected
        assert unequal_totals(connection) == []
