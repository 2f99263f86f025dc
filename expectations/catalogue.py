"""The catalogue: everything that checks this pipeline, as one list of definitions.

Three engines check: Great Expectations at the doors, dbt inside, and PostgreSQL by the keys of the published tables.
Each says the same of a control, so an auditor reads one list; it is made from the code, the contracts that the
warehouse has registered and dbt's manifest, and kept with the first run that had it.
"""

import dataclasses
import datetime as dt
import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import psycopg
from psycopg import sql

from expectations import published
from expectations.controls import ENGINEER, Control
from expectations.gates import Connection, RunContext, doors
from expectations.outcomes import Outcome
from sevenfold.errors import SevenfoldError
from sevenfold.foreign_keys import ForeignKey
from sevenfold.publication import WITH_SNAPSHOT, PublishedTable
from sevenfold.warehouse import connect

# In place of any run: what stands in a query for these is replaced by the variables of psql.
ANY_RUN = RunContext("{any run}", dt.date(9999, 12, 31), None, is_catalogue=True)
PUBLICATION = "publication"


@dataclass(frozen=True)
class Definition:
    """One control as the catalogue has it; the columns of ``quality.controls``."""

    control_id: str
    engine_code: str
    gate_code: str
    table_name: str
    column_names: tuple[str, ...]
    dimension_code: str
    severity_code: str
    critical_data_element: str
    description: str
    rule_sql: str
    minimum_met_share: float
    owner: str
    rationale: str
    what_to_do: str

    @property
    def definition_hash(self) -> str:
        """SHA-256 of all that defines it."""
        return hashlib.sha256(json.dumps(dataclasses.astuple(self), ensure_ascii=False).encode()).hexdigest()


FIELDS = tuple(field.name for field in dataclasses.fields(Definition))


def catalogue(connection: Connection, manifest: Mapping[str, Any] | None) -> list[Definition]:
    """Every control, by ID; without a manifest those of dbt are missing.

    Raises:
        SevenfoldError: Two controls have one ID.
    """
    from expectations.dbt_tests import data_test_definitions

    made = (_gate_definitions(connection), _key_definitions(), _history_definitions())
    found = [*chain(*made), *data_test_definitions(manifest or {"nodes": {}})]
    twice = [control_id for control_id, number in Counter(one.control_id for one in found).items() if number > 1]
    if twice:
        raise SevenfoldError(f"Two controls have the ID {twice[0]}: give one of them another.")
    return sorted(found, key=lambda definition: definition.control_id)


def uncovered(definitions: Sequence[Definition]) -> list[str]:
    """The published columns that carry weight and have no control, as schema.table.column."""
    covered = {(definition.table_name, column) for definition in definitions for column in definition.column_names}
    return [
        f"{column.table.schema}.{column.table.name}.{column.name}"
        for column in published.columns()
        if column.weight and not covered & {(name, column.name) for name in _names(column.table)}
    ]


def keep(connection: psycopg.Connection[Any], run_id: str, definitions: Sequence[Definition]) -> None:
    """Store what is in force in a run, and the definitions that are new with it."""
    columns = sql.SQL(", ").join(map(sql.Identifier, FIELDS))
    insert = sql.SQL("""
        insert into quality.controls ({columns}, definition_hash, first_run_id, effective_date)
        select {values}, %(definition_hash)s, run_id, (started_at at time zone 'UTC')::date
        from ops.pipeline_runs where run_id = %(run_id)s
        on conflict (control_id, definition_hash) do nothing
    """).format(columns=columns, values=sql.SQL(", ").join(map(sql.Placeholder, FIELDS)))
    in_force = "insert into quality.run_controls (run_id, control_id, definition_hash) values (%s, %s, %s)"
    hashes = [(run_id, definition.control_id, definition.definition_hash) for definition in definitions]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from quality.run_controls where run_id = %s", (run_id,))
        cursor.executemany(insert, [_values(definition) | {"run_id": run_id} for definition in definitions])
        cursor.executemany(in_force, hashes)


def keep_catalogue(run_id: str, manifest: Mapping[str, Any]) -> None:
    """Store the catalogue that a run has: from here on it is known what the run will be asked.

    Raises:
        SevenfoldError: Two controls have one ID.
    """
    with connect() as connection:
        keep(connection, run_id, catalogue(connection, manifest))


def key_outcomes(tables: Sequence[PublishedTable]) -> list[Outcome]:
    """The keys of tables that were just published: the database would have refused what breaks one."""
    names = {f"{table.schema}.{table.name}" for table in tables}
    return [Outcome(key, "passed", 0) for key in _key_definitions() if key.table_name in names]


def history_outcomes() -> list[Outcome]:
    """Whether the evidence holds, and the snapshots are as published; before the first, none can differ."""
    with connect() as connection:
        return [_history_outcome(connection, watched) for watched in _history_definitions()]


def _history_outcome(connection: psycopg.Connection[Any], watched: Definition) -> Outcome:
    rule = sql.SQL(watched.rule_sql)
    try:
        with connection.transaction():
            row = connection.execute(sql.SQL("select count(*) from ({}) as breaking").format(rule)).fetchone()
    except psycopg.errors.UndefinedTable:
        there = connection.execute("select to_regclass(%s) is not null", (watched.table_name,)).fetchone()
        # Before the first snapshot there is nothing to compare; where there is, what compares it is gone.
        return Outcome(watched, "error" if there == (True,) else "passed", 0)
    except psycopg.Error:  # whatever the evidence holds: a run publishes all the same
        return Outcome(watched, "error", 0)
    failed_count = row[0] if row else 0
    return Outcome(watched, "failed" if failed_count else "passed", failed_count)


def _values(definition: Definition) -> dict[str, Any]:
    values = {name: getattr(definition, name) for name in FIELDS}
    return values | {"column_names": list(definition.column_names), "definition_hash": definition.definition_hash}


def _gate_definitions(connection: Connection) -> Iterator[Definition]:
    for make in doors().values():
        for control in make(ANY_RUN, connection):
            yield _definition(control)


def _definition(control: Control) -> Definition:
    from expectations.rule_sql import failing_rows, minimum_met_share, rule_columns

    return Definition(
        control_id=control.control_id,
        engine_code="great_expectations",
        gate_code=control.gate_code,
        table_name=control.table,
        column_names=control.columns or (() if control.query or control.joined else rule_columns(control)),
        dimension_code=control.dimension_code,
        severity_code=control.severity,
        critical_data_element=control.critical_data_element,
        description=control.description,
        rule_sql=_for_any_run(failing_rows(control)),
        minimum_met_share=minimum_met_share(control),
        owner=control.owner,
        rationale=control.rationale,
        what_to_do=control.what_to_do,
    )


def _for_any_run(query: str) -> str:
    return query.replace(f"'{ANY_RUN.run_id}'", ":'run_id'").replace(f"'{ANY_RUN.as_of_date}'", ":'as_of_date'")


def _key_definitions() -> Iterator[Definition]:
    """The keys that the database holds, and that a publication cannot break."""
    for table in published.tables():
        yield _primary_key(table)
        for key in table.foreign_keys:
            yield _foreign_key(table, key)


def _history_definitions() -> Iterator[Definition]:
    """What was published of past quarters stays, and so does the evidence: the chain has a hash of both."""
    for table in published.tables():
        if table.publish_with == WITH_SNAPSHOT:
            name = f"{table.schema}.{table.name}"
            yield Definition(
                **HISTORY,
                control_id=f"HISTORY-{table.name}".upper(),
                table_name=name,
                critical_data_element=table.name.removeprefix("fct_").replace("_", " "),
                description=f"{table.name}: its rows are those that the last snapshot published.",
                rule_sql=f"select *\nfrom audit.history_check\nwhere table_name = '{name}' and problem is not null",
            )
    yield Definition(
        **HISTORY,
        control_id="HISTORY-TOTALS",
        table_name="marts.fct_customer_state_shares",
        critical_data_element="customer state shares",
        description="Of each published quarter the parties by state are those placed, and their shares sum to one.",
        rule_sql=inspect.cleandoc(SHARES_BESIDE_TOTALS),
    )
    for name, description in EVIDENCE.items():
        yield Definition(
            **HISTORY
            | {
                "rationale": "What is signed rests on it: from the first entry that does not hold nothing is proved.",
                "what_to_do": "Run `sevenfold audit verify`, ask who changed it, and compare with a backup.",
            },
            control_id=f"EVIDENCE-{name}".upper(),
            table_name="audit.entries",
            critical_data_element="evidence",
            description=description,
            # A run that died goes on record when the next has begun.
            rule_sql=f"select *\nfrom audit.{name}_check\nwhere problem is not null"
            + ("\n    and entry_number is not null" if name == "result" else ""),
        )


def _primary_key(table: PublishedTable) -> Definition:
    columns = ", ".join(table.primary_key)
    query = """
        select {columns}
        from {table}
        group by {columns}
        having count(*) > 1 or num_nulls({columns}) > 0
    """
    return Definition(
        **KEY | _about(table, table.primary_key),
        control_id=f"KEY-{table.name}".upper(),
        dimension_code="uniqueness",
        description=f"{table.name}: {columns} is filled and stands once.",
        rule_sql=_filled_in(query, columns=columns, table=f"{table.candidate_schema}.{table.name}"),
    )


def _foreign_key(table: PublishedTable, key: ForeignKey) -> Definition:
    referenced = next(other for other in published.tables() if other.name == key.referenced_table)
    query = """
        select *
        from {table}
        where {column} is not null and {column} not in (select {primary_key} from {referenced})
    """
    return Definition(
        **KEY | _about(table, (key.column,)),
        control_id=f"KEY-{key.table}-{key.column}-{key.referenced_table}".upper(),
        dimension_code="consistency",
        description=f"{key.table}: {key.column} is one of {key.referenced_schema}.{key.referenced_table}, or empty.",
        rule_sql=_filled_in(
            query,
            table=f"{table.candidate_schema}.{key.table}",
            column=key.column,
            primary_key=", ".join(referenced.primary_key),
            referenced=f"{referenced.candidate_schema}.{referenced.name}",
        ),
    )


SHARES_BESIDE_TOTALS = """
    select totals.snapshot_date, totals.placed_count, shares.party_count, shares.share_sum
    from marts.fct_snapshot_totals as totals
    left join (
        select snapshot_date, sum(party_count) as party_count, sum(party_share) as share_sum
        from marts.fct_customer_state_shares
        where population_code = 'everyone'
        group by snapshot_date
    ) as shares on totals.snapshot_date = shares.snapshot_date
    where
        shares.party_count is distinct from totals.placed_count
        or (totals.placed_count > 0 and abs(shares.share_sum - 1) > 0.00001)
"""
EVIDENCE = {
    "chain": "Every entry of the evidence is as it was recorded, and follows the one before it.",
    "entry": "No entry of the evidence contradicts an earlier one on the same end of a run, or on the same report.",
    "result": "What the controls of past runs found is as the evidence has it.",
    "exception": "Exceptions and their ends are as the evidence has them.",
    "judgement": "Judgements on two records are as the evidence has them.",
    "batch": "Deliveries are as the evidence has them.",
    "control": "Definitions of controls, and which were in force in a run, are as the evidence has them.",
    "run": "Every run that ended before a later one began is on record.",
    "restatement": "No published quarter was restated but by a full run, or by one of the very day.",
}
HISTORY: dict[str, Any] = {
    "engine_code": "postgresql",
    "gate_code": PUBLICATION,
    "column_names": (),
    "dimension_code": "accuracy",
    "severity_code": "warning",
    "minimum_met_share": 1,
    "owner": ENGINEER,
    "rationale": "A published quarter stays: others have reported its figures.",
    "what_to_do": "Ask who changed it, and why. `sevenfold run --full` publishes the snapshots as they are computed.",
}
KEY: dict[str, Any] = {
    "engine_code": "postgresql",
    "gate_code": PUBLICATION,
    "severity_code": "critical",
    "minimum_met_share": 1,
    "owner": ENGINEER,
    "rationale": "Readers join on it: a key that does not hold doubles or loses rows in every figure.",
    "what_to_do": "Read the run's message: it names the key. Repair the model of the candidate table.",
}


def _about(table: PublishedTable, columns: tuple[str, ...]) -> dict[str, Any]:
    return {
        "table_name": f"{table.schema}.{table.name}",
        "column_names": columns,
        "critical_data_element": columns[-1].replace("_", " "),
    }


def _filled_in(query: str, **names: str) -> str:
    return inspect.cleandoc(query).format(**names)


def _names(table: PublishedTable) -> tuple[str, str]:
    return f"{table.schema}.{table.name}", f"{table.candidate_schema}.{table.name}"
