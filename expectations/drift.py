"""Measures that are kept of every run, and the controls that compare them with the recent published runs.

A fixed limit finds what is wrong on any day; drift finds what is unlike the days before. A measure is compared with the
median of the recent runs, and may be as far from it as a multiple of their own spread (the median of their distances
from the median, times 1.4826: the standard deviation where nothing is odd), or as the least distance that says
anything. Where too few runs were published there is nothing to compare with, and the result says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import LiteralString

import psycopg
from great_expectations import expectations as gxe
from psycopg import sql

from expectations.controls import STEWARD, Control, GateCode
from expectations.gates import Connection, RunContext
from expectations.thresholds import threshold

NORMAL_DEVIATIONS = 1.4826  # of a median absolute deviation


@dataclass(frozen=True)
class Measure:
    """What is measured of every run, for one or more subjects.

    Attributes:
        query: Rows of subject_code and measured_value; one scan of ``table``.
        is_number: A number, whose distances are parts of the median; of a share they are plain differences.
    """

    measure_code: str
    gate_code: GateCode
    table: str
    columns: tuple[str, ...]
    query: LiteralString
    words: str
    what_to_do: str
    is_number: bool = False


MEASURES = (
    Measure(
        measure_code="rows_read",
        gate_code="raw",
        table="ops.extract_batches",
        columns=("rows_read",),
        query="""
            with numbered as (
                select
                    source_code, entity_code, cursor_from, rows_read,
                    row_number() over (
                        partition by source_code, entity_code, location, cursor_from is null
                        order by batch_id desc
                    ) as number_from_last
                from ops.extract_batches
                where run_id = %(run_id)s and status_code = 'landed'
            )
            select
                source_code || '.' || entity_code
                || case when bool_and(cursor_from is null) then '' else ' (increment)' end as subject_code,
                sum(rows_read) as measured_value
            from numbered
            where cursor_from is not null or number_from_last = 1  -- a run that is opened again reads again
            group by source_code, entity_code
        """,
        words="The rows read of each source are as many as in the recent runs.",
        what_to_do="Ask the owner of the source whether the volume is real before the figures are used.",
        is_number=True,
    ),
    Measure(
        measure_code="filled_share",
        gate_code="quality_levels",
        table="intermediate.int_customer_records_standardised",
        columns=("email", "phone", "birth_date", "quality_level"),
        query="""
            with sources as (
                select
                    source_code,
                    count(*)::double precision as record_count,
                    count(email) as email,
                    count(phone) as phone,
                    count(birth_date) as birth_date,
                    count(*) filter (where quality_level < 4) as mandatory_names
                from intermediate.int_customer_records_standardised
                group by source_code
            )
            select
                source_code || '.' || fields.field_name as subject_code,
                filled_count / record_count as measured_value
            from sources
            cross join lateral (
                values ('email', email), ('phone', phone), ('birth_date', birth_date), ('names', mandatory_names)
            ) as fields (field_name, filled_count)
        """,
        words="E-mail, phone, birth date and names are filled as often in each source as in the recent runs.",
        what_to_do="Look at the source's field failures and at its columns: most often one was renamed or came empty.",
    ),
    Measure(
        measure_code="state_share",
        gate_code="marts",
        table="candidate.dim_parties",
        columns=("state_code",),
        query="""
            select state_code as subject_code, count(*)::double precision / sum(count(*)) over () as measured_value
            from candidate.dim_parties
            where state_code is not null
            group by state_code
        """,
        words="The share of each state among all parties is as in the recent runs.",
        what_to_do="Look at the flows in the report, and at the sources that landed since the last published run.",
    ),
    Measure(
        measure_code="customer_count",
        gate_code="marts",
        table="candidate.dim_customers",
        columns=("customer_id",),
        query="select 'all' as subject_code, count(*) as measured_value from candidate.dim_customers",
        words="There are as many customers as in the recent runs.",
        what_to_do="Compare the rows per source and the join decisions with the last report before anything else.",
        is_number=True,
    ),
    Measure(
        measure_code="linked_interaction_share",
        gate_code="marts",
        table="candidate.fct_source_coverage",
        columns=("linked_interaction_share",),
        query="""
            select source_code as subject_code, linked_interaction_share as measured_value
            from candidate.fct_source_coverage
            where linked_interaction_share is not null
        """,
        words="The interactions of each source are linked to parties as often as in the recent runs.",
        what_to_do="Look for a key that the source's interactions no longer carry, or write in another way.",
    ),
)

KEEP = sql.SQL("""
    insert into quality.run_measures (run_id, measure_code, subject_code, measured_value)
    select {run_id}, {measure_code}, measured.subject_code, measured.measured_value
    from ({query}) as measured
    on conflict (run_id, measure_code, subject_code) do update set measured_value = excluded.measured_value
""")
COMPARED = sql.SQL(
    """
    with recent as (
        select run_id
        from ops.pipeline_runs
        where status_code = 'published' and run_id <> {run_id} and as_of_date <= {as_of_date}
        order by started_at desc
        limit {run_count}
    ),
    known as (
        select measures.subject_code, measures.measured_value
        from quality.run_measures as measures
        inner join recent on measures.run_id = recent.run_id
        where measures.measure_code = {measure_code}
    ),
    medians as (
        select
            subject_code,
            count(*) as run_count,
            percentile_cont(0.5) within group (order by measured_value) as median
        from known
        group by subject_code
    ),
    spreads as (
        select
            known.subject_code,
            percentile_cont(0.5) within group (order by abs(known.measured_value - medians.median)) as spread
        from known inner join medians on known.subject_code = medians.subject_code
        group by known.subject_code
    )
    select
        current_run.subject_code,
        case
            when medians.run_count >= {fewest_runs} then
                abs(current_run.measured_value - medians.median)
                <= greatest({deviations} * spreads.spread, {tolerance} * {scale})
        end as is_as_before
    from quality.run_measures as current_run
    left join medians on current_run.subject_code = medians.subject_code
    left join spreads on current_run.subject_code = spreads.subject_code
    where current_run.run_id = {run_id} and current_run.measure_code = {measure_code}
    """
)


def keep_measures(connection: psycopg.Connection[tuple[object, ...]], gate_code: GateCode, run_id: str) -> None:
    """Measure a run at a gate, in place of what an earlier pass measured; what is not there is not measured."""
    for measure in MEASURES:
        if measure.gate_code != gate_code:
            continue
        query = sql.SQL(measure.query.replace("%(run_id)s", "{run_id}")).format(run_id=run_id)
        try:
            with connection.transaction():
                connection.execute(
                    "delete from quality.run_measures where run_id = %s and measure_code = %s",
                    (run_id, measure.measure_code),
                )
                connection.execute(KEEP.format(run_id=run_id, measure_code=measure.measure_code, query=query))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            continue  # the door's own controls say so


def drift_controls(gate_code: GateCode, context: RunContext, connection: Connection) -> Iterator[Control]:
    """One warning per measure of a gate: its subjects are compared with the recent published runs."""
    for measure in MEASURES:
        if measure.gate_code == gate_code:
            yield Control(
                control_id=f"{gate_code}-DRIFT-{measure.measure_code}".upper(),
                gate_code=gate_code,
                table=measure.table,
                expectation=partial(gxe.ExpectColumnValuesToBeInSet, column="is_as_before", value_set=[True]),
                dimension_code="consistency",
                severity="warning",
                critical_data_element=measure.measure_code.replace("_", " "),
                description=measure.words,
                rationale="What is unlike the runs before is more often a fault of a source than news of customers.",
                what_to_do=measure.what_to_do,
                owner=STEWARD,
                columns=measure.columns,
                query=_comparison(measure, context).as_string(connection),
            )


def _comparison(measure: Measure, context: RunContext) -> sql.Composed:
    """One row per subject: is_as_before, or nothing where too few runs knew it."""
    return COMPARED.format(
        run_id=context.run_id,
        as_of_date=context.as_of_date.isoformat(),
        measure_code=measure.measure_code,
        run_count=int(threshold("drift_recent_runs_maximum")),
        fewest_runs=int(threshold("drift_recent_runs_minimum")),
        deviations=threshold("drift_deviations_maximum") * NORMAL_DEVIATIONS,
        tolerance=threshold("drift_count_maximum") if measure.is_number else threshold("drift_share_maximum"),
        scale=sql.SQL("medians.median" if measure.is_number else "1"),
    )
