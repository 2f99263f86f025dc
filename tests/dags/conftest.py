"""Airflow as the DAGs meet it, in a home of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sevenfold import airflow
from sevenfold.settings import REPOSITORY, get_settings

DAGS = REPOSITORY / "dags"


@pytest.fixture(scope="session")
def airflow_ready() -> Iterator[None]:
    """Airflow initialised once in this process: it reads its environment when it is first imported."""
    with tempfile.TemporaryDirectory(prefix="sevenfold-airflow-") as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVENFOLD_HOME", home)
        get_settings.cache_clear()
        airflow.initialise()
        yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def dags(airflow_ready: None) -> dict[str, Any]:
    """The DAGs as Airflow reads them."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS))
    assert bag.import_errors == {}
    return dict(bag.dags)


def dag_files() -> list[Path]:
    """The files that are DAGs."""
    return sorted(DAGS.glob("*.py"))
