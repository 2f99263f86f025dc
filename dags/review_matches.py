"""Questions to persons about pairs of records, by hand; `review_matches.md` is its page for people."""

import datetime as dt
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, task, task_group

MINUTES = dt.timedelta(minutes=1)
ANSWERS = {"Same person": "same", "Two persons": "not_same", "Cannot tell": "cannot_tell"}
LATER = "Leave it for later"


@task(pool="warehouse", execution_timeout=10 * MINUTES)
def ask(params: Any = None) -> list[dict[str, str]]:
    """Take the head of the queue; hands on record identifiers and weights, no personal data."""
    from sevenfold.review import questions

    return questions(params["pairs"])


@task(pool="warehouse", execution_timeout=10 * MINUTES, map_index_template="{{ judged }}")
def keep(left_record_id: str, right_record_id: str, answer: Any) -> str:
    """Keep the answer as a judgement of who gave it."""
    from airflow.sdk import get_current_context

    from sevenfold.judgements import Judgement, record_judgements

    get_current_context()["judged"] = f"{left_record_id} {right_record_id}"
    code, user = ANSWERS.get(answer["chosen_options"][0]), answer["responded_by_user"]
    if code is None or user is None:
        return "left for later"
    reason = (answer["params_input"] or {}).get("reason", "")
    record_judgements([Judgement((left_record_id, right_record_id), code, reason, user["name"])])
    return code


@task_group
def review(left_record_id: str, right_record_id: str, subject: str, body: str) -> None:
    """One pair: the question, and what becomes of the answer."""
    judge = HITLOperator(
        task_id="judge",
        retries=1,  # an answer that comes before the scheduler knows that the task waits is lost: Airflow asks again
        retry_delay=dt.timedelta(seconds=5),
        subject=subject,
        body=body,
        options=[*ANSWERS, LATER],
        defaults=LATER,
        response_timeout=dt.timedelta(days=7),
        params={"reason": Param("", type="string", title="Why", description="Auditors read it: no personal data.")},
    )
    keep(left_record_id, right_record_id, judge.output)


@dag(
    dag_display_name="Review matches",
    description="By hand: ask about the pairs of records that wait for a person, and keep the answers",
    schedule=None,
    start_date=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    is_paused_upon_creation=False,  # nothing starts by itself, and who triggers it should not have to un-pause it
    max_active_runs=1,
    doc_md=str(Path(__file__).with_suffix(".md")),
    tags=["customer-master", "matching"],
    default_args={"owner": "matching", "retries": 0},
    params={
        "pairs": Param(
            20,
            type="integer",
            minimum=1,
            maximum=200,
            title="Pairs",
            description="How many pairs to ask about, the most important first.",
        ),
    },
)
def review_matches() -> None:
    """One question per pair; an answer is kept as soon as it is given."""
    review.expand_kwargs(ask())


review_matches()
