"""Processor time of this process and of the warehouse's server, which do the work together."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil


@dataclass
class Usage:
    """What a piece of work took.

    Attributes:
        seconds: wall time.
        client_seconds: processor time of this process and its children.
        server_seconds: processor time of the server and its children, whoever they worked for.
        load_before: load average of the last minute at the start.
    """

    seconds: float = 0.0
    client_seconds: float = 0.0
    server_seconds: float = 0.0
    load_before: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))

    @property
    def processor_seconds(self) -> float:
        """Processor time, client and server."""
        return self.client_seconds + self.server_seconds


@contextmanager
def measured(server: psutil.Process) -> Iterator[Usage]:
    """Measure what happens inside the block."""
    usage = Usage()
    began, client, served = time.monotonic(), _spent(psutil.Process()), _spent_by_family(server)
    yield usage
    usage.seconds = round(time.monotonic() - began, 2)
    usage.client_seconds = round(_spent(psutil.Process()) - client, 2)
    usage.server_seconds = round(_spent_by_family(server) - served, 2)


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
    """A backend that has ended counts among the children of the server; one that works has its own count."""
    spent = _spent(server)
    for child in server.children():
        try:
            spent += _spent(child)
        except psutil.NoSuchProcess:
            continue
    return spent
