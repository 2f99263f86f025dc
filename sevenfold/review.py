"""The review queue: the pairs of records that wait for a person, as the last run published them.

Rows hold personal data: they are shown and written only where somebody asks for them, and never logged.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from sevenfold.judgements import JudgementError, Pair
from sevenfold.warehouse import connect

QueueRow = dict[str, Any]

PERSONAL_FIELDS = (
    "first_name",
    "middle_name",
    "first_last_name",
    "second_last_name",
    "birth_date",
    "national_identifier",
    "gender",
    "email",
    "phone",
    "street_address",
    "postal_code",
    "city",
    "payment_token",
)
# What a spreadsheet program would take for a formula; a telephone number in E.164 is none.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

# A pair that was judged since the queue was published waits no more, unless that judgement is the reason why it waits.
WAITING = sql.SQL("""
    from restricted.match_review_queue as queue
    where not exists (
        select
        from (
            select * from mdm.match_judgements as given
            where
                given.left_record_id = queue.left_record_id
                and given.right_record_id = queue.right_record_id
            order by given.judgement_id desc
            limit 1
        ) as latest
        where
            latest.judgement_code <> 'withdrawn'
            and latest.judgement_id is distinct from queue.judgement_id
            and (latest.left_hash, latest.right_hash) = (queue.left_hash, queue.right_hash)
    )
    """)
ORDER = sql.SQL("""
    order by
        queue.priority_score desc,
        queue.left_record_id collate "C",
        queue.right_record_id collate "C"
    """)
WITHOUT_PERSONAL_DATA = sql.SQL("""
    select
        queue.left_record_id,
        queue.right_record_id,
        queue.waiting_reason_code,
        queue.guard_code,
        queue.guard_description,
        queue.judgement_id,
        queue.match_probability,
        queue.expected_share,
        queue.evidence,
        queue.left_customer_id,
        queue.right_customer_id,
        queue.left_record_count,
        queue.right_record_count,
        queue.left_state_code,
        queue.right_state_code,
        queue.priority_score,
        queue.is_one_customer
    """)
EVERYTHING = sql.SQL("select queue.*")


def waiting_pairs(limit: int | None = None) -> list[QueueRow]:
    """List the pairs that wait, the most important first, without personal data.

    Raises:
        JudgementError: No run has published a queue yet.
    """
    at_most = sql.SQL("limit {}").format(sql.Literal(limit))
    return _read(WITHOUT_PERSONAL_DATA + WAITING + ORDER + at_most)


def waiting_count() -> int:
    """Count the pairs that wait.

    Raises:
        JudgementError: No run has published a queue yet.
    """
    return int(_read(sql.SQL("select count(*) as pairs") + WAITING)[0]["pairs"])


def read_pair(pair: Pair) -> QueueRow:
    """Read one pair of the queue, personal data included.

    Raises:
        JudgementError: It does not wait.
    """
    condition = sql.SQL("and (queue.left_record_id, queue.right_record_id) = ({}, {})").format(*map(sql.Literal, pair))
    found = _read(EVERYTHING + WAITING + condition)
    if not found:
        raise JudgementError(f"{' and '.join(pair)} do not wait for a person: `sevenfold review list` shows who does.")
    return found[0]


def export_queue(path: Path) -> int:
    """Write the pairs that wait to a new CSV file for its owner alone, with empty columns for the judgement.

    Returns:
        Pairs written.

    Raises:
        JudgementError: The file exists, or no run has published a queue yet.
    """
    rows = _read(EVERYTHING + WAITING + ORDER)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise JudgementError(f"{path} exists already. Name another file.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as file:
        columns = list(rows[0]) if rows else ["left_record_id", "right_record_id"]
        writer = csv.writer(file)
        writer.writerow(["judgement_code", "reason", *columns])
        writer.writerows(["", "", *map(_cell, row.values())] for row in rows)
    return len(rows)


def questions(limit: int) -> list[dict[str, Any]]:
    """Give the head of the queue as questions without personal data: they travel between tasks and stay in their log.

    Returns:
        Per pair `left_record_id`, `right_record_id`, `subject` and `body` (Markdown).
    """
    return [
        {
            "left_record_id": row["left_record_id"],
            "right_record_id": row["right_record_id"],
            "subject": f"Are {row['left_record_id']} and {row['right_record_id']} one person?",
            "body": _question(row),
        }
        for row in waiting_pairs(limit)
    ]


def counted(records: int | None) -> str:
    """Say a number of records in words."""
    return "1 record" if records == 1 else f"{records or 0:,} records"


def rows_side_by_side(row: QueueRow) -> Sequence[tuple[str, str, str]]:
    """Give what is known of both records: field, left, right; fields that neither has are left out."""
    shown = [(name, row[f"left_{name}"], row[f"right_{name}"]) for name in PERSONAL_FIELDS]
    return [(name.replace("_", " "), str(left or ""), str(right or "")) for name, left, right in shown if left or right]


def _read(statement: sql.Composed) -> list[QueueRow]:
    with connect("transformer") as connection:
        if connection.execute("select to_regclass('restricted.match_review_queue') is null").fetchone() == (True,):
            raise JudgementError("Nothing is published yet, so nothing waits: `sevenfold run` first.")
        with connection.cursor(row_factory=dict_row) as cursor:
            rows: list[QueueRow] = cursor.execute(statement).fetchall()
    return rows


def _question(row: QueueRow) -> str:
    weights = sorted((row["evidence"] or {}).items(), key=lambda item: (-item[1], item[0]))
    lines = [f"| {name.replace('_', ' ')} | {weight:+.1f} |" for name, weight in weights]
    return "\n".join(
        [
            f"Why it waits: **{describe_reason(row)}**. {describe_chance(row)}",
            "",
            "| evidence | weight in bits |",
            "| --- | ---: |",
            *lines,
            "",
            f"What hangs on it: {describe_stakes(row)}",
            "",
            "Personal data is not shown here, since Airflow keeps what it shows. See both records with",
            f"`sevenfold review show {row['left_record_id']} {row['right_record_id']}`,",
            "or as a reader of personal data in `restricted.match_review_queue`.",
        ]
    )


def describe_reason(row: QueueRow) -> str:
    """Say why a pair waits."""
    return {
        "band": "the evidence decides neither way",
        "guard": f"guard {row['guard_code']}: {row['guard_description'] or 'it is no longer among the guards'}",
        "reopened": f"judgement {row['judgement_id']} was given on other evidence, and the rules disagree with it",
        "conflict": f"judgement {row['judgement_id']} and others contradict each other",
        "parted": "it joins, and the groups of its records are apart: two of them may not be one, or joins are few",
        "weak_link": "the customer hangs on this pair, and it is not nearly certain",
        "sparse_group": "the customer hangs on this pair, and few of its other pairs are joined",
        "large_group": "the customer hangs on this pair, and has more records than one person leaves",
    }[row["waiting_reason_code"]]


def describe_chance(row: QueueRow) -> str:
    """Say how often such a pair is one person; by its evidence alone, where a guard knows better."""
    alone = "never scored" if row["match_probability"] is None else f"{row['match_probability']:.3f}"
    return (
        f"Of 100 such pairs {100 * row['expected_share']:.0f} are expected to be one person (the score alone: {alone})."
    )


def describe_stakes(row: QueueRow) -> str:
    """Say what hangs on a pair: which customers would become one, or part."""
    sides = [
        f"{row[f'{side}_customer_id'] or 'a namesake'} ({counted(row[f'{side}_record_count'])}"
        f"{', state ' + row[f'{side}_state_code'] if row[f'{side}_state_code'] else ''})"
        for side in ("left", "right")
    ]
    if row["is_one_customer"]:
        return f"both are {sides[0]} today, through other pairs; two persons would part it."
    return f"{sides[0]} and {sides[1]} would become one customer."


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS) and not value[1:].replace(";+", "").isdigit():
        return f"'{value}"
    return value
