"""Airflow as the DAGs meet it, in a home of its own."""

from pathlib import Path
from typing import Any

import pytest

from sevenfold.settings import REPOSITORY

DAGS = REPOSITORY / "dags"


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
