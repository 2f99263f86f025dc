"""Warnings that wait for a steward: a question on Airflow's page, whose answer is kept as an exception for that run.

Off unless `SEVENFOLD_WARNINGS_WAIT` says otherwise. The heavy rooms are imported when the task works, not with the DAG.
"""

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings

if TYPE_CHECKING:
    from sevenfold.control_exceptions import FailedWarning

ACCEPT, REFUSE = "Accept and publish", "Do not publish"
ANSWER_WITHIN = dt.timedelta(days=7)


class WarningsNotAcceptedError(SevenfoldError):
    """Warnings failed, and nobody has accepted them: the run is not published."""


class AcceptWarnings(HITLOperator):  # type: ignore[misc]  # untyped base
    """Pass when no warning failed; otherwise ask, and go on only when somebody accepts every one, with a reason."""

    def __init__(self, **arguments: Any) -> None:
        """Prepare the question; what it says is known when it is asked."""
        why = Param("", type="string", title="Why", description="Auditors read it: no personal data. Needed to accept.")
        question: dict[str, Any] = {
            "subject": "May this run be published in spite of its warnings?",
            "options": [ACCEPT, REFUSE],
            "defaults": REFUSE,
            "response_timeout": ANSWER_WITHIN,
            "params": {"reason": why},
        }
        super().__init__(**{**arguments, **question})

    def execute(self, context: Any) -> Any:
        """Ask, unless there is nothing to accept or the deployment lets warnings pass.

        Raises:
            WarningsNotAcceptedError: A run from a terminal has no page to be asked on.
        """
        if not get_settings().warnings_wait:
            return {"warnings": 0}
        from sevenfold.control_exceptions import failed_warnings
        from sevenfold.runs import ONE_PROCESS, stage, wait_for_person

        with stage(context["run_id"], self.task_id) as record:
            warnings = failed_warnings(record.run.run_id)
            if warnings and record.run.trigger_code in ONE_PROCESS:
                raise WarningsNotAcceptedError(_no_page(warnings))
        if not warnings:
            return {"warnings": 0}
        wait_for_person(context["run_id"], dt.datetime.now(dt.UTC) + ANSWER_WITHIN)
        self.body = _question(warnings)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, int]:
        """Keep the answer: who, when and why, for every warning.

        Raises:
            WarningsNotAcceptedError: Somebody refused, or nobody answered in time.
        """
        from sevenfold.control_exceptions import accept_for_run, failed_warnings
        from sevenfold.runs import stage, update_run

        update_run(context["run_id"], waits_until=None)
        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"]
        with stage(context["run_id"], self.task_id) as record:
            if user is None:
                raise WarningsNotAcceptedError(
                    f"Nobody answered within {ANSWER_WITHIN.days} days whether the run may be published."
                )
            reason = (answer["params_input"] or {}).get("reason", "").strip()
            if answer["chosen_options"] != [ACCEPT]:
                why = f": {reason}" if reason else "."
                raise WarningsNotAcceptedError(
                    f"{user['name']} does not let the run be published with its warnings{why}"
                )
            if not reason:
                raise WarningsNotAcceptedError(f"{user['name']} did not say why. Clear this task, and answer again.")
            warnings = [each.control_id for each in failed_warnings(record.run.run_id)]
            record.row_count = len(accept_for_run(record.run.run_id, warnings, reason, user["name"]))
        return {"warnings": record.row_count}


def _no_page(warnings: "list[FailedWarning]") -> str:
    names = ", ".join(each.control_id for each in warnings)
    return (
        f"{len(warnings)} warnings wait for somebody to accept them ({names}). Nothing was published. Accept them with "
        "`sevenfold exception add`, and run again."
    )


def _question(warnings: "list[FailedWarning]") -> str:
    lines = [
        f"| `{each.control_id}` | {each.description} | {each.failed_count:,} of {each.tested_count:,}; "
        f"{each.observed_value}, expected {each.expected_value} | {each.what_to_do} | {each.owner} |"
        for each in warnings
    ]
    head = ["| control | rule | found | what to do | owner |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *lines])
