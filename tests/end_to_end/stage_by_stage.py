"""Run every stage in the order of the DAG in forked processes; in each, another stage meets `kill -9` half way.

It hits the process itself, and in every other stage the PostgreSQL server, which is then started again. A program of
its own, since a process may be forked safely only while it has no threads: `python -m tests.end_to_end.stage_by_stage
undisturbed`, or `killed`, the seconds of each stage and the home of the server. It prints JSON.
"""

import datetime as dt
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from infra import embedded
from sevenfold.settings import get_settings
from tests.conftest import FAST_SETTINGS

AS_OF = dt.date(2026, 7, 1)
ENGINES = ("dbt.cli.main", "great_expectations", "splink", "expectations.report", "sevenfold.stages", "sources.extract")


def run_once(
    run_id: str,
    kill_in: str | None = None,
    after_seconds: float = 0,
    as_of: dt.date = AS_OF,
    victim: int | None = None,
) -> dict[str, float]:
    """Run every stage here and now; kill a process in the middle of one of them, if asked: this one, or the victim.

    Returns:
        Seconds that each stage took.
    """
    from sevenfold import runs, stages

    seconds: dict[str, float] = {}

    def listener(_: str, stage_code: str, state: str, duration: float) -> None:
        seconds[stage_code] = duration
        if stage_code == kill_in and state == "started":
            threading.Thread(target=_kill, args=(victim or os.getpid(), after_seconds), daemon=True).start()

    runs.listeners.append(listener)
    request = runs.RunRequest(run_id, "customer_states", as_of, runs.COMMAND_LINE, {})
    for entry in stages.begin(request):
        stages.extract(run_id, entry["source"], entry["entity"])
    if stages.is_anything_new(run_id):
        for stage_code in stages.STAGES:
            stages.run_stage(run_id, stage_code)
    stages.finish(run_id, [])
    return seconds


def _kill(victim: int, after_seconds: float) -> None:
    time.sleep(after_seconds)
    os.kill(victim, signal.SIGKILL)


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


def undisturbed() -> dict[str, float]:
    """Run once; gives the seconds of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "seconds.json"
        code = in_child(lambda: times.write_text(json.dumps(run_once("undisturbed"))))
        if code != 0:
            raise SystemExit(code)
        took: dict[str, float] = json.loads(times.read_text())
    return took


def killed(took: dict[str, float], server_home: Path) -> dict[str, int]:
    """Run once per stage, disturbed half way through it, and once to the end; gives the exit codes."""
    codes = {}
    for number, (stage_code, seconds) in enumerate(took.items()):
        victim = postmaster(server_home) if number % 2 else None
        work = partial(run_once, f"killed-{number}", stage_code, seconds / 2, victim=victim)
        codes[stage_code] = in_child(work)
        embedded.start(server_home, get_settings().postgres_bin, FAST_SETTINGS)
    codes["to the end"] = in_child(lambda: run_once("last"))
    return codes


def postmaster(server_home: Path) -> int:
    """The number of the PostgreSQL server's first process."""
    return int((server_home / "warehouse" / "server" / "data" / "postmaster.pid").read_text().split()[0])


if __name__ == "__main__":
    for engine in ENGINES:
        importlib.import_module(engine)
    if sys.argv[1] == "undisturbed":
        sys.stdout.write(json.dumps(undisturbed()))
    else:
        sys.stdout.write(json.dumps(killed(json.loads(sys.argv[2]), Path(sys.argv[3]))))
