"""The figures of a run, read from the warehouse.

Each is one query, shown beside its figures so that anybody can repeat it. What is not there yet (a run may have failed
at its first task) is an empty list, and the report says so.
"""

import datetime as dt
import decimal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from sevenfold.errors import SevenfoldError

Row = dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """All that a report shows. ``unread`` says why a figure is empty, by the name of its query."""

    run: Row
    tables: Mapping[str, list[Row]]
    unread: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[Row]:
        return self.tables[name]

    def shares_of(self, population: str) -> list[Row]:
        """The state shares of one population, in the order of the quarters."""
        return [row for row in self["state_shares"] if row["population_code"] == population]


RUN: LiteralString = """
select runs.*, extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at) as seconds
from ops.pipeline_runs as runs
where run_id = %(run_id)s
"""

QUERIES: dict[str, LiteralString] = {
    "published_run": """
select run_id, as_of_date, ended_at, rows_published
from ops.pipeline_runs
where status_code = 'published'
order by as_of_date desc, ended_at desc
limit 1""",
    "batches": """
select
    batches.batch_id, batches.source_code, batches.entity_code, batches.status_code, batches.rows_read,
    batches.rows_landed, batches.size_bytes, batches.content_sha256, batches.location, batches.cursor_from,
    batches.cursor_to, batches.extracted_at, batches.message
from ops.extract_batches as batches
where batches.run_id = %(run_id)s
order by batches.source_code collate "C", batches.entity_code collate "C", batches.batch_id""",
    "contracts": """
select
    source_code, entity_code, label, touchpoint_code, mode_code, owner, format_code, location, key_columns,
    minimum_rows, justify_hours(freshness)::text as freshness, contract_hash
from ops.source_contracts
where is_active
order by source_code collate "C", entity_code collate "C\"""",
    "stages": """
select stage_code, started_at, seconds, row_count
from ops.run_stages
where run_id = %(run_id)s
order by started_at, stage_code collate "C\"""",
    "controls": """
select
    results.gate_code, results.control_id, results.table_name, results.dimension_code, results.severity_code,
    results.description, results.status_code, results.tested_count, results.failed_count, results.observed_value,
    results.expected_value, results.critical_data_element, results.rationale, results.what_to_do, results.owner,
    results.checked_at, results.exception_id, exceptions.reason as exception_reason,
    exceptions.decided_by as exception_by, exceptions.ends_on as exception_ends_on
from quality.control_results as results
left join ops.control_exceptions as exceptions on results.exception_id = exceptions.exception_id
where results.run_id = %(run_id)s
order by
    array_position(array['raw', 'quality_levels', 'marts'], results.gate_code),
    array_position(array['error', 'failed', 'passed'], results.status_code),
    array_position(array['critical', 'warning', 'info'], results.severity_code),
    results.control_id collate "C\"""",
    "reconciliation": """
select check_code, left_label, left_count, right_label, right_count, difference
from quality.reconciliation
order by check_code like 'raw%%', check_code collate "C\"""",
    "quarantined": """
select source_code, entity_code, reason_code, count(*) as row_count
from quality.quarantined_rows
group by source_code, entity_code, reason_code
order by source_code collate "C", entity_code collate "C", reason_code collate "C\"""",
    "state_shares": """
select snapshot_date, population_code, state_code, months_since_month_zero, party_count, party_share
from marts.fct_customer_state_shares
order by population_code collate "C", snapshot_date, state_code collate "C\"""",
    "snapshot_totals": """
select snapshot_date, placed_count, unplaced_count, namesake_count, customer_count
from marts.fct_snapshot_totals
order by snapshot_date""",
    "state_flows": """
select from_date, to_date, population_code, from_state_code, to_state_code, party_count, from_share
from marts.fct_customer_state_flows
where to_date = (select max(latest.to_date) from marts.fct_customer_state_flows as latest)
order by population_code collate "C", from_state_code collate "C", to_state_code collate "C\"""",
    "saturation_fits": """
select
    population_code, as_of_date, fit_code, status_code, saturation_share, saturation_low, saturation_high,
    amplitude_share, amplitude_low, amplitude_high, time_constant_months,
    time_constant_low, time_constant_high, r_squared, point_count
from marts.fct_saturation_fits
where as_of_date = (select max(latest.as_of_date) from marts.fct_saturation_fits as latest)
order by population_code collate "C", fit_code collate "C\"""",
    "source_coverage": """
select *
from marts.fct_source_coverage
order by record_count desc, source_code collate "C\"""",
    "strategy_needs": """
select
    state_code, strategy_set_codes, action_mode_code, communication_effort, missing_information,
    count(*) as party_count, count(*)::double precision / sum(count(*)) over () as party_share
from marts.fct_strategy_needs
group by state_code, strategy_set_codes, action_mode_code, communication_effort, missing_information
order by state_code collate "C", missing_information collate "C\"""",
    "identity_gaps": """
select missing_identity_fields, count(*) as party_count
from marts.fct_strategy_needs
where is_identity_missing
group by missing_identity_fields
order by party_count desc, missing_identity_fields collate "C"
limit 10""",
    "match_decisions": """
select decision_code, guard_code, count(*) as pair_count
from intermediate.int_match_decisions
group by decision_code, guard_code
order by decision_code collate "C", pair_count desc""",
    "cluster_sizes": """
select least(record_count, 10) as records_per_customer, count(*) as customer_count, sum(record_count) as record_count
from marts.dim_customers
group by least(record_count, 10)
order by 1""",
    "match_metrics": """
with numbered as (
    select metric_code, metric_value, dense_rank() over (order by recorded_at desc) as run_number
    from marts.fct_match_metrics
    where bucket_code = 'all'
)

select
    metrics.metric_code, metrics.label, metrics.description,
    max(numbered.metric_value) filter (where numbered.run_number = 1) as metric_value,
    max(numbered.metric_value) filter (where numbered.run_number = 2) as value_before
from numbered
inner join rules.match_metrics as metrics using (metric_code)
group by metrics.metric_code, metrics.label, metrics.description
order by metrics.metric_code collate "C\"""",
    "namesake_resolutions": """
select attribute_code, resolution_code, count(*) as party_count
from marts.fct_namesake_resolutions
group by attribute_code, resolution_code
order by party_count desc, attribute_code collate "C", resolution_code collate "C\"""",
    "demoted_values": """
select value_kind_code, reason_code, value_count, carrier_count, largest_record_count, largest_given_name_count
from marts.fct_demoted_values
order by value_kind_code collate "C", reason_code collate "C\"""",
    "entity_levels": """
select party_type_code, entity_level, is_namesake, count(*) as party_count
from marts.dim_parties
group by party_type_code, entity_level, is_namesake
order by party_type_code collate "C", entity_level, is_namesake""",
}


def read_figures(connection: psycopg.Connection[Any], run_id: str) -> Figures:
    """Read everything a report shows about a run.

    Raises:
        SevenfoldError: There is no such run.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        run = cursor.execute(RUN, {"run_id": run_id}).fetchone()
        if run is None:
            raise SevenfoldError(f"There is no run {run_id} in this warehouse. `sevenfold status` lists the last ones.")
        tables: dict[str, list[Row]] = {}
        unread: dict[str, str] = {}
        for name, query in QUERIES.items():
            try:
                with connection.transaction():
                    tables[name] = [_plain_row(row) for row in cursor.execute(query, {"run_id": run_id}).fetchall()]
            except psycopg.Error as error:
                tables[name], unread[name] = [], _why(error)
        return Figures(_plain_row(run), tables, unread)


def _why(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "its table does not exist yet"
    return f"the warehouse refused the query ({type(error).__name__})"


def _plain_row(row: Row) -> Row:
    return {name: float(value) if isinstance(value, decimal.Decimal) else value for name, value in row.items()}


def as_json(value: object) -> str | float:
    """What JSON has no type for."""
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    return str(value)
