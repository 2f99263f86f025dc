"""Evidence: what a run did, written into the chain `audit.entries` when it ends, and the proof that the chain is whole.

What people decide (exceptions, judgements, deliveries that they supersede) the database puts on record by itself
(migrations 0018 and 0025), and it chains all entries itself (migration 0015): whoever writes says what happened, and
nothing of number, time, writer and hash. An entry is never changed or removed; who disables that, as the owner of a
database can, breaks the chain or ends it short of the hash that a report's manifest names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from sevenfold.errors import SevenfoldError
from sevenfold.warehouse import connect

Verdict = Literal["accepted", "refused"]
Role = Literal["preparer", "reviewer"]

# What is on record of every run, by event: one JSON value each, or none where there is nothing to say.
EVENTS: dict[str, LiteralString] = {
    "run": "select to_jsonb(runs) from ops.pipeline_runs as runs where run_id = %(run_id)s",
    "inputs": """
        select jsonb_agg(
            jsonb_build_object(
                'batch_id', batch_id, 'source_code', source_code, 'entity_code', entity_code,
                'status_code', status_code, 'content_sha256', content_sha256, 'size_bytes', size_bytes,
                'rows_read', rows_read, 'rows_landed', rows_landed, 'location', location,
                'extracted_at', audit.content(batches) -> 'extracted_at', 'cursor_from', cursor_from,
                'cursor_to', cursor_to, 'message', message
            ) order by batch_id
        )
        from ops.extract_batches as batches
        where run_id = %(run_id)s
    """,
    "controls": """
        select jsonb_agg(
            jsonb_build_object(
                'control_id', control_id, 'definition_hash', definition_hash,
                'definition_sha256', audit.definition_hash(controls), 'status_code', status_code,
                'tested_count', tested_count, 'failed_count', failed_count, 'exception_id', exception_id
            ) order by control_id collate "C"
        )
        from quality.control_outcomes
        inner join quality.controls using (control_id, definition_hash)
        where run_id = %(run_id)s
    """,
    "results": """
        select jsonb_build_object(
            'row_count', count(*),
            'sha256', audit.results_hash(%(run_id)s),
            'measures_sha256', audit.measures_hash(%(run_id)s)
        )
        from quality.control_results
        where run_id = %(run_id)s
        having count(*) > 0
    """,
    "totals": """
        select jsonb_agg(to_jsonb(totals) order by check_code collate "C")
        from quality.reconciliation as totals
        where exists (select from quality.control_results where run_id = %(run_id)s and gate_code = 'marts')
    """,
    "publication": """
        select jsonb_build_object(
            'rows_written', runs.rows_published,
            'tables', (
                select jsonb_object_agg(table_name, tested_count)
                from quality.control_results
                where run_id = %(run_id)s and gate_code = 'publication' and dimension_code = 'uniqueness'
            )
        )
        from ops.pipeline_runs as runs
        where run_id = %(run_id)s and status_code = 'published'
    """,
}
# What keeps the chain and what people decide as they are, by table; a disabled trigger leaves no other trace.
TRIGGERS = {
    "audit.entries": {"chain": "chain", "refuse": "refuse"},
    "ops.control_exceptions": {"record": "record", "refuse": "refuse"},
    "ops.control_exception_ends": {"record": "record", "refuse": "refuse"},
    "ops.extract_batches": {"record": "record"},
    "mdm.match_judgements": {"record": "record"},
}
INSERT = "insert into audit.entries (run_id, event_code, content) values (%s, %s, %s)"


@dataclass(frozen=True)
class Chain:
    """The state of the chain.

    Attributes:
        entry_count: Entries there are.
        last_hash: Hash of the last one; 64 zeros where there is none.
        broken_entry: Number of the first entry with a problem; None when the chain is whole.
        problem: What is wrong with it.
    """

    entry_count: int
    last_hash: str
    broken_entry: int | None
    problem: str | None


@dataclass(frozen=True)
class SignOff:
    """What a person says of a report.

    Attributes:
        verdict: Whether it is accepted.
        decided_by: The person's name.
        comment: What was looked at, and found.
        signed_as: Whether the person prepared it or reviews it.
    """

    verdict: Verdict
    decided_by: str
    comment: str
    signed_as: Role = "reviewer"


def record(run_id: str) -> None:
    """Put on record what a run did: identity, inputs, controls, control totals and publication, as far as it got."""
    with connect("publisher") as connection:
        for event_code, query in EVENTS.items():
            if event_code == "totals" and not _is_there(connection, "quality.reconciliation"):
                continue
            row = connection.execute(query, {"run_id": run_id}).fetchone()
            if row is not None and row[0] is not None:
                connection.execute(INSERT, (run_id, event_code, Jsonb(row[0])))


def record_history(run_id: str, tables: Iterable[str]) -> None:
    """Put on record a hash of each table of the snapshots, and of each quarter in it, as its publication left it."""
    with connect("publisher") as connection:
        connection.execute(
            """
            insert into audit.entries (run_id, event_code, content)
            select
                %s, 'history',
                jsonb_object_agg(
                    table_name,
                    jsonb_build_object(
                        'sha256', audit.table_hash(table_name::regclass),
                        'quarters', audit.quarter_hashes(table_name::regclass)
                    )
                )
            from unnest(%s::text[]) as table_name
            """,
            (run_id, list(tables)),
        )


def record_report(run_id: str, content: Mapping[str, str]) -> None:
    """Put on record which report was written for a run: its folder and the hash of its manifest."""
    with connect("publisher") as connection:
        connection.execute(INSERT, (run_id, "report", Jsonb(dict(content))))


def verify() -> Chain:
    """Recompute the hash of every entry, and find the first that is not as it was recorded."""
    with connect() as connection:
        row = connection.execute(
            """
            select
                (select count(*) from audit.entries),
                coalesce(
                    (select entry_hash from audit.entries order by entry_number desc limit 1), repeat('0', 64)
                ),
                broken.entry_number,
                broken.problem
            from (values (1)) as one_row (is_one)
            left join lateral (
                select entry_number, problem from audit.chain_check
                where problem is not null
                order by entry_number
                limit 1
            ) as broken on true
            """
        ).fetchone()
    assert row is not None
    return Chain(*row)


def changed_exceptions() -> list[str]:
    """Say which exceptions are not in their table as the chain has them: changed, removed, or never put on record."""
    with connect() as connection:
        rows = connection.execute(
            """
            select exception_id, event_code, problem
            from audit.exception_check
            where problem is not null
            order by exception_id, event_code
            """
        ).fetchall()
    words = {"exception": "Exception", "exception_end": "The end of exception"}
    return [f"{words[event_code]} {exception_id}: {problem}." for exception_id, event_code, problem in rows]


def changed_results() -> list[str]:
    """Say of which runs the control results are not those that the chain has the hash of."""
    return [f"The control results of run {run_id}: {problem}." for run_id, problem in _result_problems(True)]


def contradictions() -> list[str]:
    """Say which entries contradict an earlier one: of one end of a run, and of one report, one thing is on record."""
    with connect() as connection:
        rows = connection.execute(
            "select entry_number, event_code, problem from audit.entry_check where problem is not null "
            "order by entry_number"
        ).fetchall()
    return [f"Entry {entry_number} ({event_code}): {problem}." for entry_number, event_code, problem in rows]


def changed_history() -> dict[str, str]:
    """Say of which tables of the snapshots the rows are not those that were published, by table: what is wrong."""
    with connect() as connection:
        rows = connection.execute(
            "select table_name, problem from audit.history_check where problem is not null order by table_name"
        ).fetchall()
    return {str(table_name): str(problem) for table_name, problem in rows}


def restatements(is_expected: bool) -> list[str]:
    """Say which published quarters a later run restated, one line per run and quarter.

    Args:
        is_expected: Those of full runs and of runs of the very day; else those that no run should have restated.
    """
    with connect() as connection:
        rows = connection.execute(
            """
            select quarter, run_id, entry_number, min(problem), string_agg(table_name, ', ' order by table_name)
            from audit.restatement_check
            where (problem is null) = %s
            group by quarter, run_id, entry_number
            order by entry_number, quarter
            """,
            (is_expected,),
        ).fetchall()
    return [
        f"The quarter to {quarter} was restated by run {run_id}, entry {entry_number} ({tables})"
        f"{f': {problem}' if problem else ''}."
        for quarter, run_id, entry_number, problem, tables in rows
    ]


def changed_batches() -> list[str]:
    """Say which deliveries are not in their table as the chain has them: changed, removed, or never put on record."""
    with connect() as connection:
        rows = connection.execute(
            "select batch_id, problem from audit.batch_check where problem is not null "
            "order by length(batch_id), batch_id"
        ).fetchall()
    return [f"Batch {batch_id}: {problem}." for batch_id, problem in rows]


def changed_controls() -> list[str]:
    """Say which definitions of controls are not as the chain has them, and of which runs the controls in force."""
    with connect() as connection:
        rows = connection.execute(
            """
            select control_id, run_id, problem
            from audit.control_check
            where problem is not null
            order by control_id collate "C", run_id collate "C"
            """
        ).fetchall()
    return [
        f"The control {control_id}: {problem}." if control_id else f"Run {run_id}: {problem}."
        for control_id, run_id, problem in rows
    ]


def changed_judgements() -> list[str]:
    """Say which judgements on two records are not in their table as the chain has them."""
    with connect() as connection:
        rows = connection.execute(
            """
            select judgement_id, problem from audit.judgement_check
            where problem is not null
            order by length(judgement_id), judgement_id
            """
        ).fetchall()
    return [f"Judgement {judgement_id}: {problem}." for judgement_id, problem in rows]


def unknown_runs() -> list[str]:
    """Say which runs ended before a later one began and are not on record."""
    with connect() as connection:
        rows = connection.execute(
            """
            select run_id, problem from audit.run_check where problem is not null order by run_id collate "C"
            """
        ).fetchall()
    return [f"Run {run_id}: {problem}." for run_id, problem in rows]


def sign_off(run_id: str, manifest_sha256: str, said: SignOff) -> None:
    """Put on record what a person says of the report of a run, named by the SHA-256 of its manifest.

    Raises:
        SevenfoldError: No such report of the run is on record; the name or the comment is missing, or holds an e-mail
            address; or the person has signed it in the other role.
    """
    with connect("publisher") as connection:
        try:
            connection.execute(
                "select audit.sign_off(%s, %s, %s, %s, %s, %s)",
                (run_id, manifest_sha256, said.verdict, said.comment, said.decided_by, said.signed_as),
            )
        except (psycopg.errors.NoDataFound, psycopg.errors.InvalidParameterValue) as error:
            raise SevenfoldError(str(error.diag.message_primary)) from None


def unrecorded_runs() -> list[str]:
    """Give the runs that ended and of whose control results the chain says nothing."""
    return [run_id for run_id, _ in _result_problems(False)]


def reopened_runs() -> dict[str, int]:
    """Give the runs that ended more than once, and how often."""
    with connect() as connection:
        rows = connection.execute(
            """
            select run_id, count(distinct content ->> 'ended_at') as ending_count
            from audit.entries
            where event_code = 'run'
            group by run_id
            having count(distinct content ->> 'ended_at') > 1
            order by run_id collate "C"
            """
        ).fetchall()
    return {str(run_id): int(ending_count) for run_id, ending_count in rows}


def _result_problems(is_recorded: bool) -> list[tuple[str, str]]:
    with connect() as connection:
        rows = connection.execute(
            """
            select run_id, problem
            from audit.result_check
            where problem is not null and (entry_number is not null) = %s
            order by run_id collate "C"
            """,
            (is_recorded,),
        ).fetchall()
    return [(str(run_id), str(problem)) for run_id, problem in rows]


def idle_triggers() -> list[str]:
    """Say which triggers of the evidence are missing, disabled, or call something else."""
    with connect() as connection:
        rows = connection.execute(
            """
            select tgrelid::regclass::text, tgname::text, proname::text, tgenabled in ('O', 'A')
            from pg_trigger
            inner join pg_proc on tgfoid = pg_proc.oid and pronamespace = 'audit'::regnamespace
            where not tgisinternal
            """
        ).fetchall()
    found = {(str(table), str(name), str(function)): bool(is_enabled) for table, name, function, is_enabled in rows}
    return [
        f"The trigger {name} of {table} is {'disabled' if (table, name, function) in found else 'missing'}."
        for table, wanted in TRIGGERS.items()
        for name, function in wanted.items()
        if not found.get((table, name, function))
    ]


def open_run() -> tuple[str, int | None] | None:
    """Give the run that goes on, if any, and the entry by which it had ended before; it is not compared yet."""
    with connect() as connection:
        row = connection.execute(
            """
            select open_runs.run_id, max(entries.entry_number)
            from audit.open_runs
            left join audit.entries on open_runs.run_id = entries.run_id and entries.event_code = 'run'
            group by open_runs.run_id
            """
        ).fetchone()
    return None if row is None else (str(row[0]), row[1])


def last_hash_of(run_id: str) -> str | None:
    """Give the hash of the last entry on what a run did: what its report refers to."""
    with connect() as connection:
        row = connection.execute(
            """
            select entry_hash from audit.entries
            where run_id = %s and event_code <> 'report'
            order by entry_number desc
            limit 1
            """,
            (run_id,),
        ).fetchone()
    return None if row is None else str(row[0])


def recorded_manifests() -> dict[str, str]:
    """Give the hash of the manifest of every report on record, by folder."""
    with connect() as connection:
        rows = connection.execute(
            "select content ->> 'folder', content ->> 'manifest_sha256' from audit.entries where event_code = 'report' "
            "order by entry_number"
        ).fetchall()
    return {str(folder): str(manifest_sha256) for folder, manifest_sha256 in rows}


def report_versions() -> dict[str, list[str]]:
    """Give the folders of the runs of which more than one report is on record, oldest first."""
    with connect() as connection:
        rows = connection.execute(
            """
            select run_id, array_agg(folder order by entry_number)
            from (
                select run_id, content ->> 'folder' as folder, min(entry_number) as entry_number
                from audit.entries
                where event_code = 'report'
                group by run_id, folder
            ) as reports
            group by run_id
            having count(*) > 1
            order by run_id collate "C"
            """
        ).fetchall()
    return {str(run_id): list(folders) for run_id, folders in rows}


def last_report_entry() -> int:
    """Give the number of the newest entry on a report; 0 where there is none."""
    with connect() as connection:
        row = connection.execute("select max(entry_number) from audit.entries where event_code = 'report'").fetchone()
    return int(row[0]) if row and row[0] else 0


def missing_hashes(hashes: Mapping[str, str]) -> list[str]:
    """Give the names whose hash the chain does not have: the chain was cut or written anew since."""
    with connect() as connection:
        rows = connection.execute(
            "select entry_hash from audit.entries where entry_hash = any(%s)", (list(hashes.values()),)
        )
        known = {str(entry_hash) for (entry_hash,) in rows}
    return [name for name, entry_hash in hashes.items() if entry_hash not in known]


def _is_there(connection: Any, table: str) -> bool:
    return bool(connection.execute("select to_regclass(%s) is not null", (table,)).fetchone() == (True,))
