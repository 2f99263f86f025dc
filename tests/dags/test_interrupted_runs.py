"""Runs from the command line whose process died: Airflow must not go on with them."""

import datetime as dt

import pytest

from sevenfold import airflow
from tests.sevenfold.test_runs import die_in_the_middle

pytestmark = pytest.mark.slow


def test_airflow_gives_up_the_runs_whose_process_died_and_no_other(warehouse: str, airflow_ready: None) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType
    from sqlalchemy import select

    die_in_the_middle("command_line")
    triggers = {"dying": "command_line", "not_opened_yet": "command_line", "of_the_schedule": "scheduled"}
    with create_session() as session:
        for run_id, trigger in triggers.items():
            run = DagRun(
                dag_id="interrupted",
                run_id=run_id,
                run_type=DagRunType.MANUAL,
                state="running",
                conf={"trigger": trigger},
                run_after=dt.datetime.now(dt.UTC),
            )
            session.add(run)
    airflow.end_interrupted_runs()
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == "interrupted")).all()
        states = {run.run_id: str(run.state) for run in runs}
        for run in runs:
            session.delete(run)
    assert states == {"dying": "failed", "not_opened_yet": "running", "of_the_schedule": "running"}
