#!/opt/environment/bin/python
"""Tells by its exit whether a part of Airflow is well: `healthcheck.py scheduler`.

Airflow's own check imports all of Airflow, six seconds of a processor each time; this one asks who knows.
"""

import json
import socket
import sys
import urllib.request
from pathlib import Path

BROKER_URL = Path("/run/secrets/celery_broker_url")
SECONDS = 5
# Where to ask, and the entry of the answer that must be healthy (none: that it answers is enough).
QUESTIONS: dict[str, tuple[str, str | None]] = {
    "api-server": ("http://127.0.0.1:8080/api/v2/monitor/health", "metadatabase"),
    "scheduler": ("http://127.0.0.1:8974/health", None),
    "dag-processor": ("http://api-server:8080/api/v2/monitor/health", "dag_processor"),
    "triggerer": ("http://api-server:8080/api/v2/monitor/health", "triggerer"),
}


def is_healthy(part: str) -> bool:
    """Ask after one part; an unknown one is an error, and so is no answer."""
    if part == "worker":
        return answers_broker()
    url, entry = QUESTIONS[part]
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - our own addresses
        return entry is None or json.load(answer)[entry]["status"] == "healthy"


def answers_broker() -> bool:
    """Send this machine's worker a message through the broker, as its tasks come, and wait for the answer."""
    from celery import Celery  # type: ignore[import-not-found]  # installed in the image alone

    application = Celery(broker=BROKER_URL.read_text().strip())
    return bool(application.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=SECONDS))


if __name__ == "__main__":
    sys.exit(not is_healthy(sys.argv[1]))
