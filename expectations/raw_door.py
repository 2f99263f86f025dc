"""The first door: did every source arrive, whole, filled and fresh? The controls are made from the contracts.

What is judged is the rows that no published run has used yet, so that running again does not wave a bad delivery
through: a batch stays in judgement until a run with it is published, or until somebody supersedes it and says why
(`sevenfold quarantine supersede`).
"""

import datetime as dt
import math
import re
from dataclasses import dataclass
from functools import partial
from typing import LiteralString

from great_expectations import expectations as gxe
from psycopg import sql
from psycopg.rows import class_row

from expectations.controls import ENGINEER, Control
from expectations.drift import drift_controls
from expectations.gates import Connection, RunContext
from expectations.measures import ExpectCountedFailuresToBeFew, ExpectMeasureToBeBetweenWherePresent
from expectations.thresholds import threshold

ISO_DAY_PLACES = ((1, 4), (6, 2), (9, 2))  # where year, month and day stand, and how wide
REPLACED = "then `sevenfold quarantine supersede` the bad batch"
# The batches that no run had published when this one's raw door asked. What a run has published stays published when
# it, or another, is opened again. What came after the run's end is left out, so that the query gives the same when the
# run is published as before. One that brought nothing new is judged by how much was read.
JUDGED_BATCHES: LiteralString = """
        select batches.batch_id, batches.source_code, batches.entity_code, batches.rows_landed
        from ops.extract_batches as batches
        inner join ops.pipeline_runs as this_run on this_run.run_id = {run_id}
        left join ops.run_stages as door on door.run_id = this_run.run_id and door.stage_code = 'gate_raw'
        left join ops.published_batches as published on published.batch_id = batches.batch_id
        where
            batches.status_code in ('landed', 'unchanged')
            and coalesce(batches.extracted_at, '-infinity') <= coalesce(this_run.ended_at, 'infinity')
            and coalesce(published.published_at, 'infinity') >= coalesce(door.started_at, this_run.started_at)
"""


@dataclass(frozen=True)
class Contract:
    """One active contract, as the run registered it. Grain: source and entity."""

    source_code: str
    entity_code: str
    label: str
    owner: str
    raw_table: str
    key_columns: list[str]
    recorded_at_column: str | None
    recorded_at_format: str
    minimum_rows: int
    comes_in_increments: bool
    freshness: dt.timedelta | None

    @property
    def words(self) -> str:
        """How a person calls it."""
        return f"{self.label}, {self.entity_code.replace('_', ' ')}"

    @property
    def code(self) -> str:
        """The stable part of its control ids."""
        return f"RAW-{self.source_code}-{self.entity_code}".upper()


def controls(context: RunContext, connection: Connection) -> list[Control]:
    """The controls of every active contract, and of all together."""
    contracts = _contracts(connection)
    found = [control for contract in contracts for control in _contract_controls(contract, context, connection)]
    together = [_sources_control(context, connection), *drift_controls("raw", context, connection)]
    return [*found, *together] if contracts else []


def _contracts(connection: Connection) -> list[Contract]:
    with connection.cursor(row_factory=class_row(Contract)) as cursor:
        return cursor.execute(
            """
            select
                contracts.source_code,
                contracts.entity_code,
                coalesce(contracts.label, contracts.source_code) as label,
                coalesce(contracts.owner, 'source owner') as owner,
                'raw.' || regexp_replace(contracts.raw_table, '^raw[.]', '') as raw_table,
                coalesce(contracts.key_columns, '{}') as key_columns,
                contracts.recorded_at_column,
                coalesce(fields.value_format, '') as recorded_at_format,
                coalesce(contracts.minimum_rows, 0) as minimum_rows,
                contracts.cursor_column is not null
                or (contracts.format_code is distinct from 'sql' and contracts.location like '%*%')
                    as comes_in_increments,
                contracts.freshness
            from ops.source_contracts as contracts
            left join lateral (
                select value_format from ops.source_contract_fields
                where
                    source_code = contracts.source_code and entity_code = contracts.entity_code
                    and field_name in ('recorded_at', 'occurred_at')
                order by field_name desc  -- an interaction is recorded when it occurs, where nothing else is said
                limit 1
            ) as fields on true
            where contracts.is_active
            order by contracts.source_code collate "C", contracts.entity_code collate "C"
            """
        ).fetchall()


def _sources_control(context: RunContext, connection: Connection) -> Control:
    """Of the sources of the last published run: one whose contract is gone has no controls that could fail."""
    query = sql.SQL(
        """
        select
            split_part(earlier.stage_code, '.', 2) as source_code,
            split_part(earlier.stage_code, '.', 3) as entity_code,
            exists (
                select from ops.run_stages as asked
                where asked.run_id = this_run.run_id and asked.stage_code = earlier.stage_code
            ) as is_asked
        from ops.pipeline_runs as this_run
        inner join ops.run_stages as earlier on starts_with(earlier.stage_code, 'extract.')
        where
            this_run.run_id = {run_id}
            and earlier.run_id = (
                select last_run.run_id from ops.pipeline_runs as last_run
                where
                    last_run.run_id <> this_run.run_id
                    and last_run.status_code = 'published'
                    and last_run.ended_at <= this_run.started_at
                order by last_run.ended_at desc
                limit 1
            )
        """
    ).format(run_id=context.run_id)
    return Control(
        control_id="RAW-SOURCES-ASKED",
        gate_code="raw",
        table="ops.run_stages",
        expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="is_asked", value_set=[True]),
        dimension_code="completeness",
        severity="warning",
        critical_data_element="source delivery",
        description="Every source that the last published run read is read by this run too.",
        rationale="Without its contract a source is left out, with its rows of before, and no other control misses it.",
        what_to_do="Put the contract back, or accept that the source is retired: `sevenfold exception add`.",
        owner=ENGINEER,
        columns=("stage_code",),
        query=query.as_string(connection),
    )


def _contract_controls(contract: Contract, context: RunContext, connection: Connection) -> list[Control]:
    """Of one row per contract, made by one scan of its raw table."""
    about = partial(
        Control,
        gate_code="raw",
        table=contract.raw_table,
        owner=contract.owner,
        query=_delivery_query(contract, context).as_string(connection),
    )
    return [*_delivery_controls(contract, about), *_row_controls(contract, context, about, connection)]


def _delivery_controls(contract: Contract, about: "partial[Control]") -> list[Control]:
    """Of the delivery as a whole: what is there, what should be there and how new it is."""
    # An increment may be small; a read of the whole that is small is cut, whatever raw holds from before.
    judged, holder = (
        ("row_count", "raw holds, from all increments,")
        if contract.comes_in_increments
        else ("whole_count", "the last read of the whole source holds")
    )
    fewest, most = threshold("raw_volume_minimum"), threshold("raw_volume_maximum")
    return [
        about(
            control_id=f"{contract.code}-STATUS",
            expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="status_code", value_set=["delivered"]),
            dimension_code="completeness",
            severity="critical",
            critical_data_element="source delivery",
            description=f"{contract.words}: this run's extract ended and no batch of it was refused.",
            rationale="A source that is silently left out makes customers disappear.",
            what_to_do="Read the batch's message in ops.extract_batches, repair source or contract, and run again.",
        ),
        about(
            control_id=f"{contract.code}-ROWS",
            expectation=partial(gxe.ExpectColumnMinToBeBetween, column=judged, min_value=contract.minimum_rows),
            dimension_code="completeness",
            severity="critical",
            critical_data_element="source delivery",
            description=f"{contract.words}: {holder} at least the {contract.minimum_rows:,} rows of the contract.",
            rationale="An empty or cut source looks like customers who left.",
            what_to_do="Ask the source's owner for the missing rows, or correct minimum_rows in the contract.",
        ),
        about(
            control_id=f"{contract.code}-LANDED",
            expectation=partial(gxe.ExpectColumnPairValuesToBeEqual, column_A="row_count", column_B="landed_count"),
            dimension_code="accuracy",
            severity="critical",
            critical_data_element="source delivery",
            description=f"{contract.words}: raw holds exactly the rows that its batches say they landed.",
            rationale="Raw is append-only: a difference means that rows were lost, added or changed by hand.",
            what_to_do="Compare the rows per batch_id of the raw table with ops.extract_batches; restore the table.",
        ),
        about(
            control_id=f"{contract.code}-VOLUME",
            expectation=partial(
                ExpectMeasureToBeBetweenWherePresent,
                column="volume_ratio",
                min_value=fewest,
                max_value=most,
            ),
            dimension_code="completeness",
            # What changed may be little or much; all that a source holds neither halves nor grows fivefold.
            severity="warning" if contract.comes_in_increments else "critical",
            critical_data_element="source delivery",
            description=(
                f"{contract.words}: the newest read has between {fewest:g} and {most:g} times the rows "
                "of the last read of the same kind that a published run has used, and none before it more than that."
            ),
            rationale="Volumes drift; they do not drop by half or grow fivefold from one run to the next.",
            what_to_do="Ask the source's owner whether the volume is real, and accept it: `sevenfold exception add`.",
        ),
        *_freshness_controls(contract, about),
    ]


def _freshness_controls(contract: Contract, about: partial[Control]) -> list[Control]:
    # What is no ISO text means a day only once staging has read it: the second door asks.
    if contract.freshness is None or _day(contract) is None:
        return []
    days = math.ceil(contract.freshness / dt.timedelta(days=1))
    return [
        about(
            control_id=f"{contract.code}-FRESHNESS",
            expectation=partial(gxe.ExpectColumnMaxToBeBetween, column="days_behind", max_value=days),
            dimension_code="timeliness",
            severity="warning",
            critical_data_element="recorded at",
            description=f"{contract.words}: the newest row is at most {days} days older than the as-of date.",
            rationale="States and contact points age: a source that stopped makes them look stable.",
            what_to_do="Ask the source's owner whether the feed stopped, or correct freshness in the contract.",
        )
    ]


def _row_controls(
    contract: Contract, context: RunContext, about: "partial[Control]", connection: Connection
) -> list[Control]:
    """Of the rows that no published run has used yet."""
    about = partial(about, dimension_code="completeness", severity="critical")
    filled = partial(ExpectCountedFailuresToBeFew, tested_column="judged_count", mostly=threshold("raw_filled_minimum"))
    found = []
    if contract.key_columns:
        found.append(
            about(
                control_id=f"{contract.code}-KEY",
                expectation=partial(filled, column="without_key_count"),
                failing_rows=_failing_rows(contract, context, _has_key(contract)).as_string(connection),
                critical_data_element="source record id",
                description=f"{contract.words}: new rows carry their key ({', '.join(contract.key_columns)}).",
                rationale="A row without its key cannot be followed over time; dbt quarantines the single ones.",
                what_to_do=f"Ask the source's owner for one with keys, {REPLACED}, or correct key in the contract.",
            )
        )
    if contract.recorded_at_column:
        found.append(
            about(
                control_id=f"{contract.code}-RECORDED-AT",
                expectation=partial(filled, column="without_recorded_at_count"),
                failing_rows=_failing_rows(contract, context, _has_recorded_at(contract)).as_string(connection),
                critical_data_element="recorded at",
                description=f"{contract.words}: new rows say when they were recorded ({contract.recorded_at_column}).",
                rationale="Without the time no past date can be asked for; dbt quarantines the single ones.",
                what_to_do=f"Ask the source's owner for the times, {REPLACED}, or correct recorded_at in the contract.",
            )
        )
    return found


def _delivery_query(contract: Contract, context: RunContext) -> sql.Composed:
    """One row: what the raw table holds, what its batches say, and of the new rows how many lack key or time.

    whole_count is what the source was last seen to hold: a file whose content is known is not read again, so a short
    one stays short until another comes.
    """
    return sql.SQL(
        """
        with batches as (
            select * from ops.extract_batches where source_code = {source_code} and entity_code = {entity_code}
        ),
        judged as ({judged}),
        -- A run that is opened again reads again: of whole reads one is the n-th of each place; increments add up.
        numbered as (
            select
                batches.*,
                judged.judged_batch_id is not null as is_judged,
                case
                    when batches.cursor_from is null then row_number() over (
                        partition by batches.run_id, batches.location, batches.cursor_from is null
                        order by batches.batch_id
                    )
                end as read_number
            from batches
            left join judged on batches.batch_id = judged.judged_batch_id
            -- A source that holds less than before brings nothing new; a file whose content is known is not read.
            where
                batches.status_code = 'landed'
                or (batches.status_code = 'unchanged' and batches.cursor_from is null and batches.rows_read > 0)
        ),
        reads as (
            select
                min(batch_id) as first_batch_id,
                read_number is not null as is_whole,
                is_judged,
                sum(rows_read)::double precision as rows_read
            from numbered
            group by run_id, read_number, is_judged
        ),
        this_read as (
            select * from reads where is_judged
            order by first_batch_id desc
            limit 1
        ),
        previous_read as (
            select reads.rows_read
            from reads
            inner join this_read on reads.is_whole = this_read.is_whole
            where reads.first_batch_id < this_read.first_batch_id and not reads.is_judged
            order by reads.first_batch_id desc
            limit 1
        ),
        largest_read as (
            select max(reads.rows_read) as rows_read
            from reads
            inner join this_read on reads.is_whole = this_read.is_whole
            where reads.is_judged
        ),
        raw_rows as (
            select
                count(*) as row_count,
                count(judged_batch_id) as judged_count,
                count(judged_batch_id) filter (where not {has_key}) as without_key_count,
                count(judged_batch_id) filter (where not {has_recorded_at}) as without_recorded_at_count,
                max({day}) filter (where {day} between '1900-01-01' and {as_of_date}) as newest_day
            from {raw_table}
            left join judged on batch_id = judged_batch_id
        )
        select
            raw_rows.row_count,
            raw_rows.judged_count,
            raw_rows.without_key_count,
            raw_rows.without_recorded_at_count,
            coalesce(
                (
                    select rows_read from batches
                    where status_code <> 'refused' and rows_read > 0
                    order by batch_id desc
                    limit 1
                ),
                0
            ) as whole_count,
            (
                select case
                    when count(*) = 0 then 'missing'
                    -- What was refused before the extract was tried again and ended is no word of its last try.
                    when bool_or(
                        status_code = 'refused'
                        and coalesce(extracted_at, 'infinity') >= coalesce(extracts.started_at, '-infinity')
                    ) then 'refused'
                    else 'delivered'
                end
                from batches
                left join ops.run_stages as extracts
                    on batches.run_id = extracts.run_id and extracts.stage_code = {extract}
                where batches.run_id = {run_id}
            ) as status_code,
            (select coalesce(sum(rows_landed), 0)::bigint from batches) as landed_count,
            (
                -- The newest heals one that was cut; what an earlier one brought too much is in raw, whatever followed.
                select case
                    when largest_read.rows_read > {most} * previous_read.rows_read then largest_read.rows_read
                    else this_read.rows_read
                end / previous_read.rows_read
                from this_read cross join largest_read cross join previous_read
                where previous_read.rows_read >= {comparable_rows}
            ) as volume_ratio,
            case
                when newest_day ~ '^[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' then
                    {as_of_date}::date - (
                        make_date(left(newest_day, 4)::integer, substr(newest_day, 6, 2)::integer, 1)
                        + substr(newest_day, 9, 2)::integer - 1
                    )
            end as days_behind
        from raw_rows
        """
    ).format(
        source_code=contract.source_code,
        entity_code=contract.entity_code,
        extract=f"extract.{contract.source_code}.{contract.entity_code}",
        run_id=context.run_id,
        as_of_date=context.as_of_date.isoformat(),
        comparable_rows=threshold("raw_volume_comparable_minimum"),
        most=threshold("raw_volume_maximum"),
        day=_day(contract) or sql.SQL("null::text"),
        judged=_judged_batches(contract, context),
        has_key=_has_key(contract),
        has_recorded_at=_has_recorded_at(contract),
        raw_table=_raw_table(contract),
    )


def _failing_rows(contract: Contract, context: RunContext, condition: sql.Composed) -> sql.Composed:
    """The new rows that do not meet a condition, by where they lie."""
    return sql.SQL(
        """
        select raw_id, batch_id, source_position
        from {raw_table}
        where batch_id in ({judged}) and not {condition}
        """
    ).format(raw_table=_raw_table(contract), judged=_judged_batches(contract, context), condition=condition)


def _judged_batches(contract: Contract, context: RunContext) -> sql.Composed:
    return sql.SQL(
        """
            select batch_id as judged_batch_id
            from ({judged}) as judged_batches
            where source_code = {source_code} and entity_code = {entity_code}
        """
    ).format(
        judged=sql.SQL(JUDGED_BATCHES).format(run_id=context.run_id),
        source_code=contract.source_code,
        entity_code=contract.entity_code,
    )


def _raw_table(contract: Contract) -> sql.Identifier:
    return sql.Identifier(*contract.raw_table.split(".", 1))


def _has_key(contract: Contract) -> sql.Composed:
    return sql.SQL("({})").format(
        sql.SQL(" and ").join(map(_filled, contract.key_columns)) if contract.key_columns else sql.SQL("true")
    )


def _has_recorded_at(contract: Contract) -> sql.Composed:
    return sql.SQL("({})").format(
        _filled(contract.recorded_at_column) if contract.recorded_at_column else sql.SQL("true")
    )


def _filled(column: str) -> sql.Composed:
    return sql.SQL("nullif(btrim({}), '') is not null").format(_column(column))


def _column(name: str) -> sql.Composable:
    """The name of a source's column, its % and : escaped: the engine takes them for places of parameters."""
    quoted = sql.Identifier(name.replace("\\", r"\005C").replace("%", r"\0025").replace(":", r"\003A")).as_string()
    return sql.SQL(f"U&{quoted}") if re.search("[%:]", name) else sql.Identifier(name)


def _day(contract: Contract) -> sql.Composed | None:
    """The day recorded as text YYYY-MM-DD, without a cast that a bad row could break; None where not ISO."""
    if contract.recorded_at_column is None or contract.recorded_at_format:
        return None
    column = _column(contract.recorded_at_column)
    parts = [sql.SQL("substr(btrim({}), {}, {})").format(column, *place) for place in ISO_DAY_PLACES]
    return sql.SQL('({} collate "C")').format(sql.SQL(" || '-' || ").join(parts))
