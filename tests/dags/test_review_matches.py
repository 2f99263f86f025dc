"""The questions on Airflow's page: asked without personal data, answered by the page's own code, kept as judgements."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sevenfold.settings import get_settings
from tests.sevenfold.review_queue import PERSONAL, publish_queue

pytestmark = pytest.mark.slow

DAG_ID, QUESTION = "review_matches", "review.judge"


@pytest.fixture
def queue(warehouse: str, dags: dict[str, Any]) -> Iterator[None]:
    """Two pairs that wait, the first one more important."""
    publish_queue()
    yield
    get_settings.cache_clear()


class Person(threading.Thread):
    """Answers every question of the DAG's run as the web page would: by the code behind the page."""

    def __init__(self, answers: dict[str, tuple[str, str]], dag_id: str = DAG_ID, question: str = QUESTION) -> None:
        super().__init__(daemon=True)
        self.answers, self.seen = answers, dict[str, str]()
        self.dag_id, self.question = dag_id, question

    def run(self) -> None:
        deadline = time.monotonic() + 240
        while len(self.seen) < len(self.answers) and time.monotonic() < deadline:
            time.sleep(1)
            self._answer_what_waits()

    def _answer_what_waits(self) -> None:
        from airflow.models.hitl import HITLDetail
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState
        from sqlalchemy import select

        with create_session() as session:
            waiting = session.scalars(
                select(TaskInstance).where(
                    TaskInstance.dag_id == self.dag_id, TaskInstance.state == TaskInstanceState.AWAITING_INPUT
                )
            ).all()
            asked = [
                (task.run_id, task.map_index, session.get_one(HITLDetail, task.id))
                for task in waiting
                if task.task_id == self.question
            ]
            found = [(run_id, number, detail.subject, detail.body or "") for run_id, number, detail in asked]
        for run_id, number, subject, body in found:
            if subject not in self.seen:
                self._answer(run_id, number, *self.answers[subject])
                self.seen[subject] = body

    def _answer(self, run_id: str, map_index: int, option: str, reason: str) -> None:
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
        from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
        from airflow.utils.session import create_session

        payload = UpdateHITLDetailPayload(chosen_options=[option], params_input={"reason": reason})
        user = SimpleAuthManagerUser(username="eva", role="user")
        with create_session() as session:
            update_hitl_detail(self.dag_id, run_id, self.question, payload, user, session, map_index)


def test_a_persons_answers_become_judgements_and_no_personal_data_is_asked_with(
    queue: None, warehouse: str, dags: dict[str, Any]
) -> None:
    person = Person(
        {
            "Are crm:1 and pos:2 one person?": ("Two persons", "two sisters with one mailbox"),
            "Are crm:1 and pos:3 one person?": ("Leave it for later", ""),
        }
    )
    person.start()
    run = dags[DAG_ID].test(run_conf={"pairs": 5})
    person.join()
    assert str(run.state) == "success"
    with psycopg.connect(warehouse) as connection:
        kept = connection.execute(
            """
            select left_record_id, right_record_id, judgement_code, left_hash, right_hash, reason, decided_by
            from mdm.match_judgements
            """
        ).fetchall()
    assert kept == [("crm:1", "pos:2", "not_same", "h1", "h2", "two sisters with one mailbox", "eva")]
    body = person.seen["Are crm:1 and pos:2 one person?"]
    assert "| email | +12.5 |" in body
    assert "guard given_name_contradicts" in body
    assert "C0000000001 (1 record, state A) and C0000000002 (3 records) would become one customer." in body
    assert [value for value in PERSONAL for text in person.seen.values() if value in text] == []
