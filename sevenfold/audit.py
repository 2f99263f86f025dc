"""Evidence: what a run did, written into the chain `audit.entries` when it ends, and the proof that the chain is whole.

What people decide (exceptions, judgements, deliveries that they supersede) the database puts on record by itself
(migrations 0018 and 0025), and it chains all entries itself (migration 0015): whoever writes says what happened, and
nothing of number, time, writer and hash. An entry is never changed or removed; who disables that, as the owner of a
database can, breaks the chain or ends it short of the hash that a report's manifest names.
"""

import re
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
    "ops.control_exceptions": {"record": "record", "refuse": "refuse", "stamp_decision": "stamp_decision"},
    "ops.control_exception_ends": {"record": "record", "refuse": "refuse", "stamp_decision": "stamp_decision"},
    "ops.extract_batches": {"record": "record", "stamp": "stamp"},
    "mdm.match_judgements": {"record": "record", "stamp_decision": "stamp_decision"},
}
# One sentence per row, of each view that compares what is there with what is on record.
PROBLEMS: tuple[LiteralString, ...] = (
    """
    select format('Entry %s (%s): %s.', entry_number, event_code, problem)
    from audit.entry_check
    where problem is not null
    order by entry_number
    """,
    """
    select
        format(
            'The quarter to %s was restated by run %s, entry %s (%s): %s.', quarter, run_id, entry_number,
            string_agg(table_name, ', ' order by table_name collate "C"), min(problem)
        )
    from audit.restatement_check
    where problem is not null
    group by quarter, run_id, entry_number
    order by entry_number, quarter
    """,
    """
    select
        format(
            case event_code when 'exception' then 'Exception %s: %s.' else 'The end of exception %s: %s.' end,
            exception_id, problem
        )
    from audit.exception_check
    where problem is not null
    order by exception_id, event_code
    """,
    """
    select format('Judgement %s: %s.', judgement_id, problem)
    from audit.judgement_check
    where problem is not null
    order by length(judgement_id), judgement_id
    """,
    """
    select format('Batch %s: %s.', batch_id, problem)
    from audit.batch_check
    where problem is not null
    order by length(batch_id), batch_id
    """,
    """
    select format('Run %s: %s.', run_id, problem)
    from audit.run_check
    where problem is not null
    order by run_id collate "C"
    """,
    """
    select coalesce('The control ' || control_id, 'Run ' || run_id) || format(': %s.', problem)
    from audit.control_check
    where problem is not null
    order by control_id collate "C", run_id collate "C"
    """,
    # Of a run that died there is no entry until the next begins.
    """
    select format('The control results of run %s: %s.', run_id, problem)
    from audit.result_check
    where problem is not null and entry_number is not null
    order by run_id collate "C"
    """,
    """
    select format('The table %s: %s.', table_name, problem)
    from audit.history_check
    where problem is not null
    order by table_name
    """,
)
RESTATEMENTS: LiteralString = """
    select
        format(
            'The quarter to %s was restated by run %s, entry %s (%s).', quarter, run_id, entry_number,
            string_agg(table_name, ', ' order by table_name collate "C")
        )
    from audit.restatement_check
    where problem is null
    group by quarter, run_id, entry_number
    order by entry_number, quarter
"""
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


def record_history(connection: psycopg.Connection[Any], run_id: str, tables: Iterable[str]) -> None:
    """Put on record a hash of each table of the snapshots, and of each quarter in it, in the publication itself."""
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


def problems() -> list[str]:
    """Say, a sentence each, what is not as the chain has it; a question that cannot be asked is a problem too."""
    with connect(autocommit=True) as connection:
        return [sentence for query in PROBLEMS for sentence in _sentences(connection, query)]


def _sentences(connection: psycopg.Connection[Any], query: LiteralString) -> list[str]:
    try:
        return [str(sentence) for (sentence,) in connection.execute(query).fetchall()]
    except psycopg.DataError as error:
        view = re.search(r"audit\.\w+_check", query)
        name = view[0] if view else "A view"
        return [f"{name} cannot be asked ({error.sqlstate}): what it compares has no shape that can be read."]


def is_history_as_published() -> bool:
    """Say whether the published quarters are as their last publication left them."""
    with connect() as connection:
        query = "select not exists (select from audit.history_check where problem is not null)"
        return connection.execute(query).fetchone() == (True,)


def is_run_as_said(run_id: str) -> bool:
    """Say whether nothing that is known of a run contradicts what its row in `ops.pipeline_runs` says."""
    with connect() as connection:
        query = "select not exists (select from audit.run_check where run_id = %s and problem is not null)"
        return connection.execute(query, (run_id,)).fetchone() == (True,)


def restatements() -> list[str]:
    """Say which published quarters a full run, or one of the very day, restated: one line per run and quarter."""
    with connect() as connection:
        return [str(sentence) for (sentence,) in connection.execute(RESTATEMENTS).fetchall()]


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


def pipeline_members() -> dict[str, str]:
    """Give each login that could be the pipeline, or gets past all rights, with the roles by which it can."""
    with connect() as connection:
        query = """
            select login_name, string_agg(role_name, ', ' order by role_name collate "C")
            from audit.pipeline_members
            group by login_name
            order by login_name collate "C"
        """
        return {str(login): str(roles) for login, roles in connection.execute(query).fetchall()}


def unrecorded_runs() -> list[str]:
    """Give the runs that ended and of whose control results the chain says nothing."""
    with connect() as connection:
        rows = connection.execute(
            """
            select run_id from audit.result_check
            where problem is not null and entry_number is null
            order by run_id collate "C"
            """
        ).fetchall()
    return [str(run_id) for (run_id,) in rows]


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
            "and num_nulls(content ->> 'folder', content ->> 'manifest_sha256') = 0 order by entry_number"
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
