"""`kill -9` in the middle of each stage, then run again: the tables of an undisturbed run."""

import datetime as dt
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infra import embedded
from sevenfold.settings import REPOSITORY, get_settings
from sources.retailer.generation import generate
from tests.conftest import fresh_warehouse
from tests.end_to_end.pipeline import published_tables, unequal_totals

pytestmark = pytest.mark.slow

AS_OF = dt.date(2026, 7, 1)
CONTRACTS = ("point_of_sale", "loyalty", "receipt_registration")
KILLED = -signal.SIGKILL


def run_once(run_id: str, kill_in: str | None = None, after_seconds: float = 0) -> dict[str, float]:
    """Run every stage in the order of the DAG, here and now; die in the middle of one of them, if asked.

    Returns:
        Seconds that each stage took.
    """
    from sevenfold import runs, stages

    seconds: dict[str, float] = {}

    def listener(_: str, stage_code: str, state: str, duration: float) -> None:
        seconds[stage_code] = duration
        if stage_code == kill_in and state == "started":
            threading.Thread(target=_die, args=(after_seconds,), daemon=True).start()

    runs.listeners.append(listener)
    try:
        request = runs.RunRequest(run_id, "customer_states", AS_OF, runs.COMMAND_LINE, {})
        for entry in stages.begin(request):
            stages.extract(run_id, entry["source"], entry["entity"])
        if stages.is_anything_new(run_id):
            for stage_code in stages.STAGES:
                stages.run_stage(run_id, stage_code)
        stages.finish(run_id, [])
    finally:
        runs.listeners.remove(listener)
    return seconds


def _die(after_seconds: float) -> None:
    time.sleep(after_seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked process, which has the engines imported already; returns its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.fixture
def small_retailer(tmp_path: Path) -> Iterator[Path]:
    """The folder of contracts of three sources, whose input is configured."""
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    for source in CONTRACTS:
        shutil.copy(REPOSITORY / "sources" / "contracts" / f"{source}.yml", contracts)
    generate(tmp_path / "input", 250, seed=41)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVENFOLD_CONTRACTS", str(contracts))
        patch.setenv("SEVENFOLD_INPUT", str(tmp_path / "input"))
        patch.setenv("SEVENFOLD_COHORT_DATE", "2025-04-01")
        get_settings.cache_clear()
        yield contracts
    get_settings.cache_clear()


def test_a_run_killed_in_any_stage_leaves_no_trace_in_the_tables(
    small_retailer: Path, warehouse_server: embedded.Server, tmp_path: Path
) -> None:
    for engine in ("dbt.cli.main", "great_expectations", "splink"):
        importlib.import_module(engine)  # once, before the forks: each child would pay seconds for it

    with fresh_warehouse(warehouse_server, tmp_path / "undisturbed") as url:
        report_of_times = tmp_path / "seconds"
        assert in_child(lambda: report_of_times.write_text(json.dumps(run_once("undisturbed")))) == 0
        with psycopg.connect(url) as connection:
            expected = published_tables(connection)
    took: dict[str, float] = json.loads(report_of_times.read_text())
    assert len(took) > 20

    with fresh_warehouse(warehouse_server, tmp_path / "killed") as url:
        for number, (stage_code, seconds) in enumerate(took.items()):
            code = in_child(lambda: run_once(f"killed-{number}", stage_code, seconds / 2))  # noqa: B023
            # A stage may be done sooner than half its time of before; then the run went through, which is as well.
            assert code in {KILLED, 0}, stage_code
        assert in_child(lambda: run_once("last")) == 0
        with psycopg.connect(url) as connection:
            assert published_tables(connection) == expected
            assert unequal_totals(connection) == []
            killed = connection.execute(
                "select count(*) from ops.pipeline_runs where status_code = 'failed'"
            ).fetchone()
    assert killed is not None
    assert int(str(killed[0])) >= len(took) // 2
