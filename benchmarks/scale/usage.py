"""Processor time and memory of this process and of the warehouse's server, which do the work together."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

import psutil

from sevenfold import runs
from sevenfold.warehouse import connect

SAMPLE_SECONDS = 0.5
SAMPLE_SHARE = 0.05  # of a core at most: the pages of a large shared memory take a while to count


@dataclass
class Usage:
    """What a piece of work took.

    Attributes:
        seconds: wall time.
        client_seconds: processor time of this process and its children.
        server_seconds: processor time of the server and its children, whoever they worked for.
        log_bytes: what the server wrote into its log of changes.
        load_before: load average of the last minute at the start.
    """

    seconds: float = 0.0
    client_seconds: float = 0.0
    server_seconds: float = 0.0
    log_bytes: int = 0
    load_before: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))

    @property
    def processor_seconds(self) -> float:
        """Processor time, client and server."""
        return self.client_seconds + self.server_seconds


@contextmanager
def measured(server: psutil.Process) -> Iterator[Usage]:
    """Measure what happens inside the block."""
    usage, before = Usage(), _Reading.now(server)
    yield usage
    _Reading.now(server).less(before, usage)


class Meter:
    """Measures every stage of the runs of this process, and the peak of memory, until it is left."""

    def __init__(self, server: psutil.Process) -> None:
        """Measure this process and its children, and a server with its own."""
        self.stages: dict[str, Usage] = {}
        self.peak_mebibytes = 0
        self._server = server
        self._sampling_seconds = 0.0
        self._whole = Usage()
        self._begun = {"": self._now()}
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        runs.listeners.append(self._hear)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        runs.listeners.remove(self._hear)
        self._done.set()
        self._sampler.join()
        self._now().less(self._begun[""], self._whole)

    def whole(self) -> Usage:
        """What it all took, between the stages too."""
        return self._whole

    def _hear(self, _: str, stage_code: str, state: str, __: float) -> None:
        if state == "started":
            self.stages[stage_code] = Usage()
            self._begun[stage_code] = self._now()
        else:
            self._now().less(self._begun[stage_code], self.stages[stage_code])

    def _now(self) -> "_Reading":
        """The clocks, without what the sampling of memory took: the pipeline does not do it."""
        reading = _Reading.now(self._server)
        return replace(reading, client=reading.client - self._sampling_seconds)

    def _sample(self) -> None:
        """Shared memory counts once: each process by its proportional share."""
        pause = SAMPLE_SECONDS
        while not self._done.wait(pause):
            began = self._sampling_seconds
            family = [psutil.Process(), self._server]
            family += [child for process in family for child in process.children(recursive=True)]
            self.peak_mebibytes = max(self.peak_mebibytes, sum(map(_proportional_bytes, family)) // 2**20)
            self._sampling_seconds = time.thread_time()
            pause = max(SAMPLE_SECONDS, (self._sampling_seconds - began) / SAMPLE_SHARE)


@dataclass(frozen=True)
class _Reading:
    """The clocks at one moment."""

    at: float
    client: float
    server: float
    log_bytes: int

    @classmethod
    def now(cls, server: psutil.Process) -> Self:
        return cls(time.monotonic(), _spent(psutil.Process()), _spent_by_family(server), _log_position())

    def less(self, before: Self, usage: Usage) -> None:
        usage.seconds = round(self.at - before.at, 2)
        usage.client_seconds = round(self.client - before.client, 2)
        usage.server_seconds = round(self.server - before.server, 2)
        usage.log_bytes = self.log_bytes - before.log_bytes


def _log_position() -> int:
    with connect() as connection:
        row = connection.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
    return int(row[0]) if row else 0


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def server_process(backend: int) -> psutil.Process:
    """The server that a backend on this machine belongs to."""
    parent = psutil.Process(backend).parent()
    if parent is None:
        raise RuntimeError("The warehouse does not run on this machine, so its processor time cannot be measured.")
    return parent


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _spent_by_family(server: psutil.Process) -> float:
    """A backend that has ended counts among the children of the server; one that works has its own count.

    One that ends between the two readings is in neither, and the server's count has grown: then both are read again.
    """
    spent = -1.0
    while spent != (now := _spent(server)):
        spent, of_children = now, sum(map(_spent_if_alive, server.children()))
    return spent + of_children


def _spent_if_alive(process: psutil.Process) -> float:
    try:
        return _spent(process)
    except psutil.NoSuchProcess:
        return 0.0
