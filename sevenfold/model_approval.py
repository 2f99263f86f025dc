"""A matching model may move the ledger once somebody has seen what it would change, and said so.

A run under a model that is not approved makes everything but the publication: its candidate tables say which customers
the model would merge and split. The first model that moves a ledger is approved by being the first.
"""

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import dict_row

from sevenfold.errors import SevenfoldError
from sevenfold.warehouse import connect

SAMPLE_SIZE = 10

PROPOSED: LiteralString = """
    select
        regexp_replace(proposed.model_version, '-[0-9]+$', '') as model,
        ops.is_model_approved(proposed.model_version) as is_approved,
        (
            select regexp_replace(model_version, '-[0-9]+$', '')
            from mdm.identity_ledger_runs order by recorded_at desc limit 1
        ) as ledger_model,
        proposed.known_record_count,
        proposed.kept_record_count,
        proposed.moved_record_count,
        proposed.new_record_count,
        proposed.released_record_count,
        (
            select count(*)
            from mdm.identity_ledger_customers as customers
            where
                customers.status_code = 'active'
                and not exists (
                    select from candidate.ledger_events_proposed as events
                    where customers.customer_id in (events.customer_id, events.other_customer_id)
                )
        ) as unchanged_customer_count,
        proposed.merged_customer_count,
        proposed.split_customer_count,
        proposed.created_customer_count,
        proposed.restored_customer_count,
        proposed.retired_customer_count
    from candidate.ledger_run_proposed as proposed
    """
SAMPLES: LiteralString = """
    select
        event_code, customer_id, other_customer_id, record_count, left_record_id, right_record_id, reason_code,
        match_probability
    from (
        select
            *,
            row_number() over (
                partition by event_code
                order by record_count desc, customer_id collate "C", other_customer_id collate "C"
            ) as sample_number
        from candidate.ledger_events_proposed
        where event_code in ('merged', 'split')
    ) as events
    where sample_number <= %s
    order by event_code, sample_number
    """


class ModelApprovalError(SevenfoldError):
    """There is no proposal to compare or approve, or it is another model's."""


@dataclass(frozen=True)
class Comparison:
    """What the last run's model would change in the ledger; identifiers and counts alone.

    Attributes:
        model: The model that made the proposal: its name and fingerprint.
        ledger_model: The model under which the ledger moved last.
        is_approved: Whether a run may publish under it.
        figures: Counts of records and customers, by name.
        samples: The largest mergers and splits, each with the pair of records that says most about it.
    """

    model: str
    ledger_model: str | None
    is_approved: bool
    figures: dict[str, int]
    samples: list[dict[str, Any]]


def compare() -> Comparison:
    """Compare what the last run proposed with the ledger.

    Raises:
        ModelApprovalError: No run has proposed anything yet.
    """
    with connect("publisher") as connection, connection.cursor(row_factory=dict_row) as cursor:
        if connection.execute("select to_regclass('candidate.ledger_run_proposed')").fetchone() == (None,):
            raise ModelApprovalError("No run has proposed anything yet: `sevenfold run` first.")
        proposed = cursor.execute(PROPOSED).fetchone()
        samples = cursor.execute(SAMPLES, (SAMPLE_SIZE,)).fetchall()
    if proposed is None or proposed["model"] is None:
        raise ModelApprovalError("The last run had no records to match, so it says nothing of a model.")
    model, ledger_model, is_approved = (proposed.pop(name) for name in ("model", "ledger_model", "is_approved"))
    return Comparison(model, ledger_model, is_approved, proposed, samples)


def approve(name: str, reason: str, approved_by: str) -> str:
    """Let the model of the last run's proposal move the ledger, from the next run on.

    Returns:
        The model approved: its name and fingerprint.

    Raises:
        ModelApprovalError: The last run's model is another one, or may move the ledger already; or no reason is given.
    """
    comparison = compare()
    if name not in {comparison.model, comparison.model.rpartition("-")[0]}:
        raise ModelApprovalError(
            f"The last run proposed with {comparison.model}, not {name}: what was not compared cannot be approved. "
            f"Run once with SEVENFOLD_MODEL={name}; that run publishes nothing."
        )
    if comparison.is_approved:
        raise ModelApprovalError(f"{comparison.model} may move the ledger already.")
    if not reason.strip() or not approved_by.strip():
        raise ModelApprovalError("Say why (--reason) and who (--by).")
    with connect("publisher") as connection:
        connection.execute(
            "insert into ops.model_approvals (model, reason, approved_by) values (%s, %s, %s)",
            (comparison.model, reason.strip(), approved_by.strip()),
        )
    return comparison.model
