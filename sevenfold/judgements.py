"""Judgements: what persons say of two records; kept for ever, in force for the evidence they were given on."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sevenfold.errors import SevenfoldError
from sevenfold.privacy import holds_address
from sevenfold.warehouse import connect

SAME, NOT_SAME, CANNOT_TELL, WITHDRAWN = "same", "not_same", "cannot_tell", "withdrawn"
CODES = (SAME, NOT_SAME, CANNOT_TELL, WITHDRAWN)
FILE_COLUMNS = ("left_record_id", "right_record_id", "judgement_code", "reason")
SHOWN_PROBLEMS = 20

Pair = tuple[str, str]
Hashes = tuple[str | None, str | None]


class JudgementError(SevenfoldError):
    """A judgement cannot be taken as it is; nothing of its kind was stored."""


@dataclass(frozen=True)
class Judgement:
    """What a person says of two records.

    Attributes:
        records: The two records, in any order.
        code: same, not_same, cannot_tell or withdrawn.
        reason: Why; auditors read it, so no personal data.
        decided_by: Who says so.
        undone_event_id: The event of the identity ledger that it undoes, if it does.
    """

    records: Pair
    code: str
    reason: str
    decided_by: str
    undone_event_id: int | None = None

    @property
    def pair(self) -> Pair:
        """The records in byte order, as everywhere."""
        left, right = sorted(self.records, key=str.encode)
        return left, right


def record_judgements(judgements: Sequence[Judgement]) -> int:
    """Store judgements with the evidence they were given on: all of them, or none.

    The evidence of a pair that waits in the queue is what the queue shows; of any other, what is known now.

    Returns:
        Judgements stored.

    Raises:
        JudgementError: At least one cannot be taken; the message has a line for each.
    """
    evidence = _read_hashes({judgement.pair for judgement in judgements})
    problems = [
        f"Judgement {number}: {problem}"
        for number, judgement in enumerate(judgements, start=1)
        if (problem := _problem(judgement, evidence))
    ]
    if problems:
        raise JudgementError(_listed("No judgement was stored.", problems))
    with connect("publisher") as connection:
        connection.cursor().executemany(
            """
            insert into mdm.match_judgements (
                left_record_id, right_record_id, judgement_code, left_hash, right_hash, reason, decided_by,
                undone_event_id
            )
            values (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [_row(judgement, evidence) for judgement in judgements],
        )
    return len(judgements)


def read_evidence(pairs: Iterable[Pair]) -> dict[Pair, Hashes]:
    """Read the evidence (the hashes of both records) that a judgement on each pair would rest on.

    A pair of which a record is not among the current records that are matched is missing from the answer.

    Raises:
        JudgementError: No run has been published yet.
    """
    return {pair: hashes for pair, hashes in _read_hashes(pairs).items() if None not in hashes}


def _read_hashes(pairs: Iterable[Pair]) -> dict[Pair, Hashes]:
    """As `read_evidence`, with every pair: None in place of the hash of a record that is not matched."""
    listed = list(pairs)
    left, right = [pair[0] for pair in listed], [pair[1] for pair in listed]
    with connect("transformer") as connection:
        if connection.execute("select to_regclass('restricted.match_review_queue') is null").fetchone() == (True,):
            raise JudgementError("Nothing is published yet, so there is nothing to judge: `sevenfold run` first.")
        rows = connection.execute(
            """
            select
                pairs.left_record_id,
                pairs.right_record_id,
                case when left_inputs.match_hash is not null then coalesce(queue.left_hash, left_inputs.match_hash) end,
                case
                    when right_inputs.match_hash is not null then coalesce(queue.right_hash, right_inputs.match_hash)
                end
            from unnest(%s::text[], %s::text[]) as pairs (left_record_id, right_record_id)
            left join intermediate.int_match_inputs as left_inputs
                on pairs.left_record_id = left_inputs.source_record_id
            left join intermediate.int_match_inputs as right_inputs
                on pairs.right_record_id = right_inputs.source_record_id
            left join restricted.match_review_queue as queue
                on
                    pairs.left_record_id = queue.left_record_id
                    and pairs.right_record_id = queue.right_record_id
            """,
            (left, right),
        ).fetchall()
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def read_judgement_file(path: Path, decided_by: str | None) -> list[Judgement]:
    """Read judgements from a CSV file; a row without a judgement_code says nothing yet.

    Args:
        path: Comma or semicolon between the columns `left_record_id, right_record_id, judgement_code, reason` and,
            where it differs from row to row, `decided_by`; further columns are not read.
        decided_by: Who decided, for rows that do not say it.

    Raises:
        JudgementError: At least one row cannot be taken; the message has a line for each.
    """
    given = [(number, _judgement(row, decided_by)) for number, row in _rows(path) if row["judgement_code"]]
    evidence = _read_hashes({judgement.pair for _, judgement in given})
    problems = [f"Line {number}: {problem}" for number, each in given if (problem := _problem(each, evidence))]
    if problems:
        raise JudgementError(_listed(f"{path}: no judgement was stored.", problems))
    return [judgement for _, judgement in given]


def _judgement(row: Mapping[str, str], decided_by: str | None) -> Judgement:
    records = (row["left_record_id"], row["right_record_id"])
    return Judgement(records, row["judgement_code"], row["reason"], row.get("decided_by") or decided_by or "")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the rows with the line each begins on, whatever spreadsheet program wrote them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = ";" if ";" in file.readline() else ","
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter, restval="", restkey="further", strict=True)
            if missing := [name for name in FILE_COLUMNS if name not in (reader.fieldnames or [])]:
                raise JudgementError(f"{path}: line 1 lacks the column {', '.join(missing)}.")
            for row in reader:
                yield reader.line_num, {name: str(value).strip() for name, value in row.items()}
    except UnicodeDecodeError:
        raise JudgementError(f"{path} is not UTF-8. Save it as CSV UTF-8.") from None
    except csv.Error as error:
        raise JudgementError(
            f"{path}: no judgement was stored. A quotation mark is not closed, or stands in a value without being "
            f"doubled, before or on line {reader.line_num} ({error})."
        ) from None


def _problem(judgement: Judgement, evidence: Mapping[Pair, Hashes]) -> str | None:
    """Say what is wrong with a judgement, if anything is."""
    if judgement.code not in CODES:
        return f"judgement_code must be one of {', '.join(CODES)}."
    if judgement.pair[0] == judgement.pair[1] or not judgement.pair[0]:
        return "left_record_id and right_record_id must name two records."
    if not judgement.reason.strip() or holds_address(judgement.reason):
        return "reason is empty, or holds an e-mail address: say why, without personal data, for it stays on record."
    if not judgement.decided_by.strip():
        return "nobody is named who decided: fill decided_by, or give --by."
    unknown = [record for record, known in zip(judgement.pair, evidence[judgement.pair], strict=True) if not known]
    if unknown:
        what = "is no current record that says" if len(unknown) == 1 else "are no current records that say"
        return f"{' and '.join(unknown)} {what} of whom it is: write <source>:<key>, as in the review queue."
    return None


def _row(judgement: Judgement, evidence: Mapping[Pair, Hashes]) -> tuple[Any, ...]:
    said = (judgement.reason.strip(), judgement.decided_by.strip(), judgement.undone_event_id)
    return (*judgement.pair, judgement.code, *evidence[judgement.pair], *said)


def _listed(what: str, problems: Sequence[str]) -> str:
    """One line per problem; the first ones when there are many."""
    more = [f"  and {len(problems) - SHOWN_PROBLEMS:,} more"] if len(problems) > SHOWN_PROBLEMS else []
    return "\n".join([what, *(f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]), *more])
