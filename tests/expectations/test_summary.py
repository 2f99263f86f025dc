"""The sentences at the top of a report."""

import datetime as dt
from collections import defaultdict
from typing import Any

from expectations.figures import Figures
from expectations.summary import summary

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


def control(control_id: str, status_code: str = "failed", **accepted: Any) -> dict[str, Any]:
    nobody = dict.fromkeys(("exception_id", "exception_by", "exception_recorded_by", "exception_run_id"))
    about = {"control_id": control_id, "gate_code": "raw", "severity_code": "warning", "status_code": status_code}
    return {**about, "tested_count": 1, "checked_at": NOW, **nobody, **accepted}


def sentences(*controls: dict[str, Any]) -> str:
    run = {"run_id": "R", "status_code": "published", "as_of_date": NOW.date(), "rows_published": 1, "started_at": NOW}
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list, controls=list(controls))
    return " ".join(summary(Figures({**run, "failed_task": None, "parameters": {}}, tables)))


def test_what_was_accepted_at_once_is_one_sentence() -> None:
    jane: dict[str, Any] = {
        "exception_by": "Jane",
        "exception_run_id": "R",
        "exception_reason": "known since Monday",
        "exception_ends_on": dt.date(2026, 7, 1),
    }
    alone = sentences(control("A", exception_id=1, **jane))
    assert "A failed and was accepted by Jane for this run alone (exception 1): known since Monday" in alone
    both = sentences(control("A", exception_id=1, **jane), control("B", exception_id=2, **jane), control("C"))
    assert "2 controls failed and were accepted by Jane for this run alone: known since Monday" in both


def test_evidence_that_does_not_hold_is_said_at_the_top() -> None:
    assert "evidence" not in sentences(control("EVIDENCE-CHAIN", "passed"), control("A"))
    said = sentences(control("EVIDENCE-CHAIN"), control("HISTORY-TOTALS", "error"))
    assert "does not hold: EVIDENCE-CHAIN, HISTORY-TOTALS." in said
