"""What a person at a terminal sees of a run: its stages, with their times; everything else goes to a log file."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from sevenfold import runs

TICK_SECONDS = 30
WORDS = {"finished": "", "failed": "[bold red]failed[/]"}


def print_entry(console: Console, name: str, *lines: str) -> None:
    """Print one entry of a list: its name whole, to be copied, and under it what there is to say."""
    console.print(name, markup=False, soft_wrap=True)
    for line in filter(None, lines):
        console.print(Padding(Text(line), (0, 0, 0, 2)))


@contextmanager
def output_to(log_file: Path) -> Iterator[Console]:
    """Send all that this process and its libraries print to a file; the console yielded still writes to the terminal.

    The descriptors themselves are turned, since dbt, Great Expectations and Airflow hold on to the streams they found.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(1), os.dup(2)]
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        with os.fdopen(os.dup(kept[0]), "w", encoding="utf-8") as terminal:
            os.dup2(log, 1)
            os.dup2(log, 2)
            yield Console(file=terminal, highlight=False)
    finally:
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(log)


@dataclass
class Progress:
    """Shows the stages of a run as they come and go."""

    console: Console
    stage_code: str = ""
    since: float = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show every stage that this process runs meanwhile; a long one says that it is still at work."""
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(done,), daemon=True)
        runs.listeners.append(self._hear)
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()
            runs.listeners.remove(self._hear)

    def _hear(self, _run_id: str, stage_code: str, state: str, seconds: float) -> None:
        if state == "started":
            self.stage_code, self.since = stage_code, time.monotonic()
            return
        self.console.print(f"  {stage_code:<44} {seconds:7.1f} s  {WORDS[state]}")
        self.stage_code = ""

    def _tick(self, done: threading.Event) -> None:
        with self.console.status("") as status:
            told = 0
            while not done.wait(0.5):
                seconds = int(time.monotonic() - self.since) if self.stage_code else 0
                status.update(f"{self.stage_code or 'between stages'} {seconds} s")
                # A log or a pipe shows no spinner, so there it is said from time to time.
                if not self.console.is_terminal and seconds // TICK_SECONDS > told:
                    self.console.print(f"  {self.stage_code} has worked for {seconds} s")
                told = seconds // TICK_SECONDS
