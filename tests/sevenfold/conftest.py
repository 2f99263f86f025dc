"""Runs to test with."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from sevenfold import runs


@pytest.fixture
def open_run(warehouse: str) -> Iterator[Callable[..., runs.Run]]:
    """Open a run in the test's warehouse; whatever this process still holds at the end is let go."""

    def opened(
        run_id: str = "first", as_of: str = "2026-07-01", trigger: str = runs.COMMAND_LINE, **parameters: object
    ) -> runs.Run:
        return runs.open_run(
            runs.RunRequest(run_id, "customer_states", dt.date.fromisoformat(as_of), trigger, dict(parameters))
        )

    yield opened
    for run_id in list(runs._held_locks):
        runs.release(run_id)
