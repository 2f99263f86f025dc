"""A run of the main DAG from the command line: run in this process, its output in a log, its row read back."""

import datetime as dt
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.migrate import migrate
from sevenfold import airflow, runs
from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from sevenfold.terminal import Progress, output_to
from sevenfold.warehouse import connect

INTERRUPTED = 130  # exit code, as shells have it


@dataclass(frozen=True)
class Outcome:
    """A run that is over."""

    run: runs.Run
    report: Path
    log_file: Path


def run_pipeline(conf: Mapping[str, Any], console: Console, trigger: str = runs.COMMAND_LINE) -> Outcome:
    """Run the main DAG once.

    Args:
        conf: Its parameters: `as_of`, `full_refresh`, `contracts`.
        console: Where the stages are shown.
        trigger: What stands in the run's row as its cause.

    Raises:
        SevenfoldError: Another run works, a scheduler works here, or the run could not be opened.
    """
    airflow.require_no_scheduler()
    prepare_warehouse()
    runs.require_no_other()
    started_at = dt.datetime.now(dt.UTC)
    log_file = get_settings().home / "logs" / f"run_{started_at:%Y-%m-%dT%H-%M-%S}.log"
    console.print("Starting Airflow in this process")
    with output_to(log_file) as terminal, Progress(terminal).shown(), _ended_by_an_interrupt(terminal):
        run_id = airflow.run_dag(airflow.MAIN_DAG, {**conf, "trigger": trigger})
    found = runs.find_runs("where run_id = %s", run_id)
    if not found:
        raise SevenfoldError(f"The run could not be opened. {_last_error(log_file)}")
    return Outcome(found[0], report_path(run_id), log_file)


@contextmanager
def _ended_by_an_interrupt(terminal: Console) -> Iterator[None]:
    """End at once when interrupted, as if killed, which the next run is made for; dbt would try to end its queries."""

    def end(*_: object) -> None:
        import psutil

        terminal.print("\nInterrupted. Readers see what was published before; the next `sevenfold run` takes over.")
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
        os._exit(INTERRUPTED)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def prepare_warehouse() -> list[str]:
    """Start the embedded warehouse when it is the one, and bring the tables to the code's version."""
    with connect() as connection:
        return migrate(connection)


def report_path(run_id: str) -> Path:
    """Give the report of a run, the latest where it was written more than once."""
    from expectations.report_folders import report_folder

    return report_folder(run_id) / "index.html"


def _last_error(log_file: Path) -> str:
    """Find the message of the error that ended a run before it had a row of its own."""
    text = log_file.read_text(encoding="utf-8", errors="replace")
    # The reasons of a message stand indented below its first line.
    said = re.findall(r"^\S*Error: (.+(?:\n[ \t]+\S.*)*)", text, re.MULTILINE)
    return f"{said[-1]}\nThe log is {log_file}." if said else f"The log says why: {log_file}."
