"""The questions on Airflow's page: asked without personal data, answered by the page's own code, kept as judgements."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

pytestmark = pytest.mark.slow

DAG_ID, QUESTION = "review_matches", "review.judge"
PERSONAL = ("Ana", "CRUZ", "ana@example.com")
QUEUE = """
    create table intermediate.int_match_inputs as
    select * from (values ('crm:1', 'h1'), ('pos:2', 'h2'), ('pos:3', 'h3')) as t (source_record_id, match_hash);
    grant select on intermediate.int_match_inputs to sevenfold_publisher;
"""
PUBLISHED_QUEUE = """
    create table restricted.match_review_queue as
    select
        left_record_id, right_record_id, 'guard' as waiting_reason_code, 'given_name_contradicts' as guard_code,
        null::bigint as judgement_id, 'h1' as left_hash, right_hash, 'C0000000001' as left_customer_id,
        'C0000000002' as right_customer_id, 'A' as left_state_code, null::text as right_state_code,
        'Ana' as left_first_name, 'CRUZ' as left_first_last_name, 'ana@example.com' as left_email,
        '{"given_name": -8.0, "email": 12.5}'::jsonb as evidence, 4.5 as match_weight, 0.97 as match_probability,
        1 as left_record_count, 3 as right_record_count, priority_score, false as is_one_customer
    from (values ('crm:1', 'pos:2', 'h2', 2.0), ('crm:1', 'pos:3', 'h3', 1.0))
        as t (left_record_id, right_record_id, right_hash, priority_score);
"""


@pytest.fixture
def queue(warehouse: str, dags: dict[str, Any]) -> Iterator[None]:
    """Two pairs that wait, the first one more important."""
    with connect("transformer") as connection:
        connection.execute(QUEUE)
    with connect("publisher") as connection:
        connection.execute(PUBLISHED_QUEUE)
    yield
    get_settings.cache_clear()


class Person(threading.Thread):
    """Answers every question of the DAG's run as the web page would: by the code behind the page."""

    def __init__(self, answers: dict[str, tuple[str, str]]) -> None:
        super().__init__(daemon=True)
        self.answers, self.seen = answers, dict[str, str]()

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
                    TaskInstance.dag_id == DAG_ID, TaskInstance.state == TaskInstanceState.AWAITING_INPUT
                )
            ).all()
            asked = [
                (task.run_id, task.map_index, session.get_one(HITLDetail, task.id))
                for task in waiting
                if task.task_id == QUESTION
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
            update_hitl_detail(DAG_ID, run_id, QUESTION, payload, user, session, map_index)


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
    assert "C0000000001 (1 records, state A) and C0000000002 (3 records) would become one customer." in body
    assert [value for value in PERSONAL for text in person.seen.values() if value in text] == []
