"""Training of the matching model, by hand; `train_matching_model.md` is its page for people."""

import datetime as dt
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, task

TRAINING_HOURS = 4


@task(pool="warehouse", execution_timeout=dt.timedelta(hours=TRAINING_HOURS))
def train(params: Any = None, run_id: str | None = None) -> str:
    """Train, check and write the model; hands on its name."""
    from splink_models import train_model

    return train_model(params["name"], run_id=run_id, max_records=params["max_records"]).model.name


@dag(
    dag_display_name="Train the matching model",
    description="By hand: learn from the records of the last run; decides nothing until it is configured",
    schedule=None,
    start_date=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    doc_md=str(Path(__file__).with_suffix(".md")),
    tags=["customer-master", "matching"],
    default_args={"owner": "matching", "retries": 0},
    params={
        "name": Param(
            "deployment",
            type="string",
            pattern="^[a-z][a-z0-9_]*$",
            title="Name",
            description="The model's name; a version number follows it.",
        ),
        "max_records": Param(
            1_000_000,
            type="integer",
            minimum=1_000,
            title="Records",
            description="How many records are read at most.",
        ),
    },
)
def train_matching_model() -> None:
    """One task."""
    train()


train_matching_model()
