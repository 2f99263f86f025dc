"""The figures of a run, read from the warehouse.

Each is one query, shown beside its figures so that anybody can repeat it: of the run (`run_id`), of its date
(`as_of_date`), or of what is there now, and then the page says how long it gives these figures (`query_notes`). What is
not there yet (a run may have failed at its first task) is an empty list, and the report says so.
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
select
    runs.*,
    extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at) as seconds,
    (
        select entries.recorded_by from audit.entries
        where entries.run_id = runs.run_id and entries.event_code = 'run'
        order by entries.entry_number desc
        limit 1
    ) as login
from ops.pipeline_runs as runs
where run_id = %(run_id)s
"""

QUERIES: dict[str, LiteralString] = {
    "published_run": """
select published.run_id, published.as_of_date, published.ended_at, published.rows_published
from ops.pipeline_runs as published
inner join ops.pipeline_runs as this_run on this_run.run_id = %(run_id)s
where
    -- What a run has published stays when it is opened again, and fails.
    (
        published.status_code = 'published'
        or exists (select from ops.published_batches as used where used.run_id = published.run_id)
    )
    and published.ended_at <= coalesce(this_run.ended_at, clock_timestamp())
order by published.as_of_date desc, published.ended_at desc
limit 1""",
    "next_run": """
select later.run_id, later.started_at
from ops.pipeline_runs as later
inner join ops.pipeline_runs as this_run on this_run.run_id = %(run_id)s
where later.started_at > this_run.started_at
order by later.started_at
limit 1""",
    "batches": """
select
    batches.batch_id, batches.source_code, batches.entity_code, batches.status_code, batches.rows_read,
    batches.rows_landed, batches.size_bytes, batches.content_sha256, batches.location, batches.cursor_from,
    batches.cursor_to, batches.extracted_at, batches.message
from ops.extract_batches as batches
where batches.run_id = %(run_id)s
order by batches.source_code collate "C", batches.entity_code collate "C", batches.batch_id""",
    "earlier_batches": """
select
    batches.batch_id, batches.source_code, batches.entity_code, batches.run_id, batches.rows_landed,
    batches.content_sha256, batches.location, batches.extracted_at, batches.message
from ops.extract_batches as batches
inner join ops.pipeline_runs as this_run on this_run.run_id = %(run_id)s
inner join ops.pipeline_runs as runs on batches.run_id = runs.run_id
left join ops.run_stages as door on door.run_id = this_run.run_id and door.stage_code = 'gate_raw'
left join ops.published_batches as published on batches.batch_id = published.batch_id
where
    batches.status_code = 'landed'
    and runs.started_at < this_run.started_at
    and coalesce(published.published_at, 'infinity') >= coalesce(door.started_at, this_run.started_at)
order by batches.batch_id""",
    "superseded_batches": """
select
    entries.entry_number, entries.content ->> 'source_code' as source_code,
    entries.content ->> 'entity_code' as entity_code, entries.content ->> 'batch_id' as batch_id,
    entries.content ->> 'status_code' as status_code, entries.content ->> 'message' as message,
    entries.recorded_by, entries.recorded_at
from audit.entries as entries
inner join ops.pipeline_runs as runs on runs.run_id = %(run_id)s
where
    entries.event_code = 'batch'
    and entries.recorded_at <= coalesce(runs.ended_at, clock_timestamp())
    and entries.recorded_at > coalesce(
        (
            select max(earlier.ended_at) from ops.pipeline_runs as earlier
            where earlier.status_code = 'published' and earlier.started_at < runs.started_at
        ),
        '-infinity'
    )
order by entries.entry_number""",
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
    exceptions.decided_by as exception_by, entries.recorded_by as exception_recorded_by,
    exceptions.run_id as exception_run_id, exceptions.ends_on as exception_ends_on
from quality.control_results as results
left join ops.control_exceptions as exceptions on results.exception_id = exceptions.exception_id
left join audit.entries as entries
    on entries.event_code = 'exception' and (entries.content ->> 'exception_id')::bigint = exceptions.exception_id
where results.run_id = %(run_id)s
order by
    array_position(array['raw', 'quality_levels', 'marts', 'publication', 'snapshot', 'dbt'], results.gate_code),
    array_position(array['error', 'failed', 'passed'], results.status_code),
    array_position(array['critical', 'warning', 'info'], results.severity_code),
    results.control_id collate "C\"""",
    "control_catalogue": """
select
    control_id, engine_code, gate_code, table_name, array_to_string(column_names, ', ') as column_names, dimension_code,
    severity_code, critical_data_element, description, rule_sql, minimum_met_share, owner, rationale, what_to_do,
    effective_date, status_code, tested_count, failed_count, exception_id, definition_hash
from quality.control_outcomes
where run_id = %(run_id)s
order by control_id collate "C\"""",
    "control_dimensions": """
select
    dimension_code,
    count(*) as control_count,
    count(*) filter (where status_code = 'passed') as passed_count,
    count(*) filter (where status_code = 'failed') as failed_count,
    count(*) filter (where status_code = 'error') as error_count,
    count(*) filter (where status_code = 'not_run') as not_run_count
from quality.control_outcomes
where run_id = %(run_id)s
group by dimension_code
order by dimension_code collate "C\"""",
    "exceptions": """
select
    exceptions.exception_id, exceptions.control_id, exceptions.run_id, exceptions.maximum_failed_count,
    exceptions.reason, exceptions.decided_by, entries.recorded_by, exceptions.decided_at, exceptions.ends_on,
    ends.ended_by, ends.ended_at, results.failed_count as accepted_count
from ops.control_exceptions as exceptions
inner join ops.pipeline_runs as runs on runs.run_id = %(run_id)s
left join audit.entries as entries
    on entries.event_code = 'exception' and (entries.content ->> 'exception_id')::bigint = exceptions.exception_id
left join ops.control_exception_ends as ends
    on exceptions.exception_id = ends.exception_id and ends.ended_at <= coalesce(runs.ended_at, clock_timestamp())
left join quality.control_results as results
    on runs.run_id = results.run_id and exceptions.exception_id = results.exception_id
where
    results.exception_id is not null
    or (
        coalesce(exceptions.run_id, runs.run_id) = runs.run_id
        and exceptions.decided_at <= coalesce(runs.ended_at, clock_timestamp())
        and exceptions.ends_on >= (runs.started_at at time zone coalesce(runs.parameters ->> 'time_zone', 'UTC'))::date
    )
order by exceptions.exception_id""",
    "earlier_controls": """
select earlier.run_id, earlier.git_commit
from ops.pipeline_runs as earlier
inner join ops.pipeline_runs as this_run on this_run.run_id = %(run_id)s
where
    earlier.started_at < this_run.started_at
    and exists (select from quality.run_controls where run_controls.run_id = earlier.run_id)
order by earlier.started_at desc
limit 1""",
    "control_changes": """
with before as (
    select earlier.run_id
    from ops.pipeline_runs as earlier
    inner join ops.pipeline_runs as this_run on this_run.run_id = %(run_id)s
    where
        earlier.started_at < this_run.started_at
        and exists (select from quality.run_controls where run_controls.run_id = earlier.run_id)
    order by earlier.started_at desc
    limit 1
),

earlier as (
    select controls.*
    from before
    inner join quality.run_controls on before.run_id = run_controls.run_id
    inner join quality.controls
        on run_controls.control_id = controls.control_id and run_controls.definition_hash = controls.definition_hash
),

now as (
    select controls.*
    from quality.run_controls
    inner join quality.controls
        on run_controls.control_id = controls.control_id and run_controls.definition_hash = controls.definition_hash
    where run_controls.run_id = %(run_id)s
)

select
    coalesce(now.control_id, earlier.control_id) as control_id,
    case
        when earlier.control_id is null then 'added'
        when now.control_id is null then 'removed'
        else 'changed'
    end as change_code,
    (
        select string_agg(fields.key, ', ' order by fields.key)
        from jsonb_each(to_jsonb(now)) as fields
        where
            earlier.control_id is not null
            and fields.key not in ('definition_hash', 'first_run_id', 'effective_date')
            and fields.value <> to_jsonb(earlier) -> fields.key
    ) as changed_fields
from now
full join earlier on now.control_id = earlier.control_id
where
    now.definition_hash is distinct from earlier.definition_hash
    and exists (select from before)
    and exists (select from quality.run_controls where run_id = %(run_id)s)
order by 2, 1""",
    "failures": """
with runs as (
    select
        run_id, started_at, coalesce(first_started_at, started_at) as first_started_at,
        row_number() over (order by started_at desc) as runs_ago
    from ops.pipeline_runs
    where started_at <= (select this_run.started_at from ops.pipeline_runs as this_run where run_id = %(run_id)s)
),

results as (
    select
        results.control_id, results.status_code, results.failed_count,
        runs.run_id, runs.started_at, runs.first_started_at, runs.runs_ago
    from quality.control_results as results
    inner join runs on results.run_id = runs.run_id
),

last_passed as (
    select control_id, min(runs_ago) as runs_ago
    from results
    where status_code = 'passed'
    group by control_id
)

select
    this_run.control_id,
    count(*) as failed_run_count,
    min(results.first_started_at) as failing_since,
    (array_agg(results.run_id order by results.started_at))[1] as first_failed_run_id,
    max(results.failed_count) filter (where results.run_id = %(run_id)s) as failed_count,
    (array_agg(results.failed_count order by results.started_at desc))[2] as failed_count_before
from results as this_run
inner join results on this_run.control_id = results.control_id
left join last_passed on this_run.control_id = last_passed.control_id
where
    this_run.run_id = %(run_id)s
    and this_run.status_code <> 'passed'
    and (last_passed.runs_ago is null or results.runs_ago < last_passed.runs_ago)
group by this_run.control_id
order by this_run.control_id collate "C\"""",
    "issues": """
with runs as (
    select
        earlier.run_id, earlier.started_at, coalesce(earlier.first_started_at, earlier.started_at) as first_started_at,
        this_run.started_at as looked_at
    from ops.pipeline_runs as earlier
    inner join ops.pipeline_runs as this_run on this_run.run_id = %(run_id)s
    where earlier.started_at <= this_run.started_at
),

results as (
    select
        results.*, runs.started_at, runs.first_started_at, runs.looked_at,
        count(*) filter (where results.status_code = 'passed') over (
            partition by results.control_id order by runs.started_at, runs.run_id collate "C"
        ) as passed_count
    from quality.control_results as results
    inner join runs on results.run_id = runs.run_id
),

opened as (
    select
        control_id, passed_count,
        min(first_started_at) as opened_at,
        max(looked_at) as looked_at,
        count(*) as failed_run_count,
        (array_agg(run_id order by started_at, run_id collate "C"))[1] as opened_run_id,
        (array_agg(severity_code order by started_at desc, run_id collate "C" desc))[1] as severity_code,
        (array_agg(owner order by started_at desc, run_id collate "C" desc))[1] as owner,
        (array_agg(failed_count order by started_at desc, run_id collate "C" desc))[1] as failed_count,
        (array_agg(exception_id order by started_at desc, run_id collate "C" desc))[1] as exception_id
    from results
    where status_code <> 'passed'
    group by control_id, passed_count
),

issues as (
    select
        opened.*, closed.run_id as closed_run_id, closed.started_at as closed_at,
        (coalesce(closed.started_at, opened.looked_at) at time zone 'UTC')::date
        - (opened.opened_at at time zone 'UTC')::date as age_days
    from opened
    left join lateral (
        select results.run_id, results.started_at
        from results
        where results.control_id = opened.control_id and results.passed_count = opened.passed_count + 1
        order by results.started_at, results.run_id collate "C"
        limit 1
    ) as closed on true
)

select
    issues.control_id, issues.severity_code, issues.owner, issues.opened_at, issues.opened_run_id, issues.age_days,
    case when issues.age_days > 90 then 91 when issues.age_days > 30 then 31 when issues.age_days > 7 then 8 else 0 end
        as age_from_days,
    issues.failed_run_count, issues.failed_count, issues.exception_id,
    case when exceptions.run_id is null then exceptions.ends_on end as accepted_until, issues.closed_at,
    issues.closed_run_id
from issues
left join ops.control_exceptions as exceptions on issues.exception_id = exceptions.exception_id
order by issues.closed_at desc nulls first, issues.opened_at, issues.control_id collate "C"
limit 500""",
    "recent_runs": """
select
    runs.run_id, runs.as_of_date, runs.started_at, runs.status_code, runs.failed_task, runs.rows_published,
    count(results.control_id) as control_count,
    count(*) filter (where results.status_code = 'passed') as passed_count,
    count(*) filter (
        where results.status_code = 'failed' and results.severity_code = 'critical' and results.exception_id is null
    ) as failed_critical_count,
    count(*) filter (
        where results.status_code = 'failed' and results.severity_code <> 'critical' and results.exception_id is null
    ) as failed_warning_count,
    count(*) filter (where results.status_code = 'failed' and results.exception_id is not null) as accepted_count,
    count(*) filter (where results.status_code = 'error') as error_count,
    (
        select measured_value from quality.run_measures as measures
        where measures.run_id = runs.run_id and measures.measure_code = 'customer_count'
    ) as customer_count,
    (
        select measured_value from quality.run_measures as measures
        where measures.run_id = runs.run_id and measures.measure_code = 'state_share' and measures.subject_code = 'A'
    ) as state_a_share
from (
    select * from ops.pipeline_runs
    where started_at <= (select this_run.started_at from ops.pipeline_runs as this_run where run_id = %(run_id)s)
    order by started_at desc
    limit 10
) as runs
left join quality.control_results as results on runs.run_id = results.run_id
group by runs.run_id, runs.as_of_date, runs.started_at, runs.status_code, runs.failed_task, runs.rows_published
order by runs.started_at""",
    "reconciliation": """
with recorded as (
    select content
    from audit.entries
    where run_id = %(run_id)s and event_code = 'totals'
    order by entry_number desc
    limit 1
)

select totals.*
from recorded
cross join lateral jsonb_to_recordset(recorded.content) as totals (
    check_code text, left_label text, left_count bigint, right_label text, right_count bigint, difference bigint
)
order by check_code like 'raw%%', check_code collate "C\"""",
    "quarantined": """
select
    source_code, entity_code, reason_code, count(*) as row_count, count(*) filter (where is_open) as open_count,
    count(released_by_batch_id) as released_count
from quality.quarantined_rows
group by source_code, entity_code, reason_code
order by source_code collate "C", entity_code collate "C", reason_code collate "C\"""",
    "contradictions": """
select source_code, entity_code, reason_code, count(*) as row_count, count(*) filter (where is_open) as open_count
from (
    select source_code, entity_code, reason_code, is_open from quality.conflicting_duplicates
    union all
    select source_code, entity_code, reason_code, is_open from quality.contradicting_consents
) as contradicted
group by source_code, entity_code, reason_code
order by source_code collate "C", entity_code collate "C", reason_code collate "C\"""",
    "late_rows": """
with published as (
    select max(earlier.as_of_date) as as_of_date, max(this_run.parameters ->> 'time_zone') as time_zone
    from ops.pipeline_runs as this_run
    inner join ops.pipeline_runs as earlier
        on earlier.status_code = 'published' and earlier.started_at < this_run.started_at
    where this_run.run_id = %(run_id)s
),

quarter as (
    select
        max(shares.snapshot_date) as snapshot_date,
        max(shares.snapshot_date)::timestamp at time zone coalesce(max(published.time_zone), 'UTC') as snapshot_at
    from marts.fct_customer_state_shares as shares
    inner join published on shares.snapshot_date <= published.as_of_date
),

news as (
    select batch_id, recorded_at as known_at from staging.stg_customer_records
    union all
    select batch_id, occurred_at as known_at from staging.stg_interactions
)

select
    batches.source_code, batches.entity_code, quarter.snapshot_date, count(*) as row_count,
    min(news.known_at) as oldest_at
from ops.extract_batches as batches
inner join news on batches.batch_id = news.batch_id
inner join quarter on news.known_at < quarter.snapshot_at
where batches.run_id = %(run_id)s
group by batches.source_code, batches.entity_code, quarter.snapshot_date
order by batches.source_code collate "C", batches.entity_code collate "C\"""",
    "consents": """
with latest as (
    select
        source_code, channel, subject_id,
        bool_and(is_granted) as is_given,
        bool_or(is_contradicted) as is_contradicted
    from mdm.mdm_consent_statements
    where is_latest
    group by source_code, channel, subject_id
)

select
    source_code, channel,
    count(*) as person_count,
    count(*) filter (where is_given and not is_contradicted) as given_count,
    count(*) filter (where not is_given) as withdrawn_count,
    count(*) filter (where is_contradicted) as contradicted_count
from latest
group by source_code, channel
order by source_code collate "C", channel collate "C\"""",
    "consent_standing": """
with said as (
    select distinct customer_id from mdm.mdm_consent_statements
)

select
    case
        when customers.has_consent then 'given'
        when said.customer_id is not null then 'withdrawn'
        else 'never asked'
    end as standing_code,
    count(*) as customer_count,
    count(*)::double precision / sum(count(*)) over () as customer_share
from marts.dim_customers as customers
inner join marts.dim_customer_states as states on customers.state_code = states.state_code
left join said on customers.customer_id = said.customer_id
where states.action_mode_code = 'active'
group by 1
order by 1""",
    "consent_withdrawals": """
with latest as (
    select
        customer_id, channel, bool_and(is_granted) as is_given, max(recorded_at) as said_at, max(batch_id) as batch_id
    from mdm.mdm_consent_statements
    where is_latest and customer_id is not null
    group by customer_id, channel
),

-- How long a withdrawal waited: from when its source knew it to the date of the run that read it.
withdrawals as (
    select
        latest.channel, latest.customer_id, runs.run_id,
        extract(epoch from runs.as_of_at - latest.said_at)::double precision / 86400 as days_waited
    from latest
    inner join ops.extract_batches as batches on latest.batch_id = batches.batch_id
    inner join ops.pipeline_runs as runs on batches.run_id = runs.run_id
    where not latest.is_given
),

given as (
    select distinct customer_id from latest
    where is_given
)

select
    withdrawals.channel,
    count(*) as withdrawal_count,
    count(*) filter (where withdrawals.run_id = %(run_id)s) as new_count,
    count(*) filter (where customers.has_consent and given.customer_id is null) as ignored_count,
    percentile_cont(0.5) within group (order by withdrawals.days_waited) as median_days,
    max(withdrawals.days_waited) as longest_days
from withdrawals
left join marts.dim_customers as customers on withdrawals.customer_id = customers.customer_id
left join given on withdrawals.customer_id = given.customer_id
group by withdrawals.channel
order by withdrawals.channel collate "C\"""",
    "state_shares": """
select snapshot_date, population_code, state_code, months_since_month_zero, party_count, party_share
from marts.fct_customer_state_shares
where snapshot_date <= %(as_of_date)s
order by population_code collate "C", snapshot_date, state_code collate "C\"""",
    "state_rules": """
select state_code, is_identified, is_contactable, is_traceable, action_mode_code, communication_effort
from marts.dim_customer_states
order by state_rank, state_code collate "C\"""",
    "snapshot_totals": """
select snapshot_date, placed_count, unplaced_count, namesake_count, customer_count
from marts.fct_snapshot_totals
where snapshot_date <= %(as_of_date)s
order by snapshot_date""",
    "state_flows": """
select from_date, to_date, population_code, from_state_code, to_state_code, party_count, from_share
from marts.fct_customer_state_flows
where
    to_date = (
        select max(latest.to_date) from marts.fct_customer_state_flows as latest where latest.to_date <= %(as_of_date)s
    )
order by population_code collate "C", from_state_code collate "C", to_state_code collate "C\"""",
    "saturation_fits": """
select
    population_code, as_of_date, fit_code, status_code, saturation_share, saturation_low, saturation_high,
    amplitude_share, amplitude_low, amplitude_high, time_constant_months,
    time_constant_low, time_constant_high, r_squared, point_count
from marts.fct_saturation_fits
where
    as_of_date = (
        select max(latest.as_of_date) from marts.fct_saturation_fits as latest where latest.as_of_date <= %(as_of_date)s
    )
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
    where
        bucket_code = 'all'
        and recorded_at <= coalesce(
            (select ended_at from ops.pipeline_runs where pipeline_runs.run_id = %(run_id)s), clock_timestamp()
        )
)

select
    metrics.metric_code, metrics.label, metrics.description,
    max(numbered.metric_value) filter (where numbered.run_number = 1) as metric_value,
    max(numbered.metric_value) filter (where numbered.run_number = 2) as value_before
from numbered
inner join rules.match_metrics as metrics using (metric_code)
group by metrics.metric_code, metrics.label, metrics.description
order by metrics.metric_code collate "C\"""",
    "match_judgements": """
with this_run as (
    select
        coalesce(runs.ended_at, clock_timestamp()) as ended_at,
        (
            select max(earlier.ended_at) from ops.pipeline_runs as earlier
            where earlier.status_code = 'published' and earlier.started_at < runs.started_at
        ) as last_published_at
    from ops.pipeline_runs as runs
    where runs.run_id = %(run_id)s
)

select
    judgements.judgement_code, judgements.decided_by, count(*) as judgement_count,
    count(*) filter (where judgements.decided_at > coalesce(this_run.last_published_at, '-infinity')) as new_count
from mdm.match_judgements as judgements
inner join this_run on judgements.decided_at <= this_run.ended_at
group by judgements.judgement_code, judgements.decided_by
order by judgements.judgement_code collate "C", judgements.decided_by collate "C\"""",
    "match_judgement_reasons": """
select
    judgements.judgement_id, judgements.judgement_code, judgements.decided_by, judgements.decided_at, judgements.reason,
    judgements.undone_event_id
from mdm.match_judgements as judgements
inner join ops.pipeline_runs as runs on runs.run_id = %(run_id)s
where judgements.decided_at <= coalesce(runs.ended_at, clock_timestamp())
order by judgements.judgement_id""",
    "namesake_resolutions": """
select attribute_code, resolution_code, count(*) as party_count
from marts.fct_namesake_resolutions
group by attribute_code, resolution_code
order by party_count desc, attribute_code collate "C", resolution_code collate "C\"""",
    "demoted_values": """
select value_kind_code, reason_code, value_count, carrier_count, largest_record_count, largest_given_name_count
from marts.fct_demoted_values
order by value_kind_code collate "C", reason_code collate "C\"""",
    "identity_churn": """
select *
from marts.fct_identity_churn
where run_id = %(run_id)s""",
    "match_weights": """
select
    decision_code, least(greatest(floor(match_weight / 4) * 4, -20), 40) as weight_from, count(*) as pair_count
from intermediate.int_match_decisions
where match_weight is not null
group by decision_code, least(greatest(floor(match_weight / 4) * 4, -20), 40)
order by weight_from, decision_code collate "C\"""",
    "survivorship": """
select
    attribute_name,
    case when correction_id is null then split_part(source_record_id, ':', 1) else 'steward' end as source_code,
    count(*) as value_count,
    count(*)::double precision / sum(count(*)) over (partition by attribute_name) as value_share
from restricted.golden_record_provenance
where attribute_value is not null
group by
    attribute_name, case when correction_id is null then split_part(source_record_id, ':', 1) else 'steward' end
order by 1, 3 desc, 2""",
    "survivorship_criteria": """
select criterion_code, count(*) as value_count
from restricted.golden_record_provenance
where attribute_value is not null
group by criterion_code
order by value_count desc, criterion_code collate "C\"""",
    "grants": """
with schemas as (
    select oid, nspname as schema_name, nspowner as owner_id, nspacl as acl
    from pg_namespace
    where nspname in (
        'raw', 'rules', 'staging', 'intermediate', 'mdm', 'candidate', 'marts', 'restricted', 'quality', 'ops', 'audit'
    )
),

relations as (
    select schemas.schema_name, schemas.owner_id, pg_class.oid, relname as object_name, relkind, relowner, relacl
    from pg_class
    inner join schemas on relnamespace = schemas.oid
),

functions as (
    select
        schemas.schema_name, schemas.owner_id, proname || '()' as object_name, proowner,
        coalesce(proacl, acldefault('f', proowner)) as acl
    from pg_proc
    inner join schemas on pronamespace = schemas.oid
),

rights as (
    select schema_name, owner_id, '(schema)' as object_name, owner_id as object_owner_id, null as column_name, acl
    from schemas
    union all
    select schema_name, owner_id, object_name, relowner, null, relacl
    from relations
    union all
    select schema_name, owner_id, object_name, relowner, attname, attacl
    from relations
    inner join pg_attribute on attrelid = relations.oid
    where attacl is not null and not attisdropped
    union all
    select schema_name, owner_id, object_name, proowner, null, acl
    from functions
),

held as (
    select
        granted.grantee as role_id, schema_name, object_name, column_name,
        lower(granted.privilege_type) || case when granted.is_grantable then ', and may grant it' else '' end
            as privilege_code
    from rights
    cross join lateral aclexplode(rights.acl) as granted
    where granted.grantee not in (object_owner_id, owner_id)
    union all
    select relowner, schema_name, object_name, null, 'owner'
    from relations
    where relkind in ('r', 'p', 'v', 'm', 'f') and relowner <> owner_id
    union all
    select proowner, schema_name, object_name, null, 'owner'
    from functions
    where proowner <> owner_id
    union all
    select to_regrole(quote_ident(login_name)), '(role)', role_name, null, 'member'
    from audit.pipeline_members
)

select
    case role_id when 0 then 'everybody' else pg_get_userbyid(role_id) end as role_name,
    schema_name, object_name, privilege_code,
    coalesce(string_agg(column_name, ', ' order by column_name), '') as column_names
from held
group by role_id, schema_name, object_name, privilege_code, column_name is null
order by 1, 2, 3, 4, 5""",
    "readers": """
select
    groups.rolname as group_name,
    count(distinct members.oid) filter (where members.rolcanlogin) as login_count,
    string_agg(distinct members.rolname, ', ') filter (where not members.rolcanlogin) as member_groups
from pg_roles as groups
inner join pg_auth_members as memberships on groups.oid = memberships.roleid
inner join pg_roles as members on memberships.member = members.oid
where
    starts_with(groups.rolname, 'sevenfold_')
    and members.oid <> (select nspowner from pg_namespace where nspname = 'ops')
group by groups.rolname
union all
select 'superuser', count(*), null
from pg_roles
where rolsuper and rolcanlogin and oid <> (select nspowner from pg_namespace where nspname = 'ops')
having count(*) > 0
order by 1""",
    "recipients": """
select
    schemas.nspname || '.' || relations.relname as table_name,
    string_agg(
        distinct case rights.grantee when 0 then 'everybody' else pg_get_userbyid(rights.grantee)::text end collate "C",
        ', '
    ) filter (where rights.privilege_type = 'SELECT' and rights.grantee <> relations.relowner) as recipients
from pg_class as relations
inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
left join lateral (
    select granted.grantee, granted.privilege_type from aclexplode(relations.relacl) as granted
    union all
    select granted.grantee, granted.privilege_type
    from pg_attribute as columns
    cross join lateral aclexplode(columns.attacl) as granted
    where columns.attrelid = relations.oid
) as rights on true
where schemas.nspname in ('marts', 'restricted') and relations.relkind in ('r', 'v', 'm', 'p')
group by schemas.nspname, relations.relname
order by 1""",
    "evidence": """
select entry_number, event_code, recorded_by, recorded_at, entry_hash
from audit.entries
where run_id = %(run_id)s and event_code not in ('report', 'sign_off')
order by entry_number""",
    "evidence_problems": """
select 'chain' as check_code, entry_number::text as subject, problem from audit.chain_check where problem is not null
union all
select 'entry', entry_number::text, problem from audit.entry_check where problem is not null
union all
select 'run', run_id, problem from audit.run_check where problem is not null
union all
select 'result', run_id, problem from audit.result_check where problem is not null and entry_number is not null
union all
select 'control', coalesce(control_id, run_id), problem from audit.control_check where problem is not null
union all
select 'batch', batch_id, problem from audit.batch_check where problem is not null
union all
select 'exception', exception_id::text, problem from audit.exception_check where problem is not null
union all
select 'judgement', judgement_id, problem from audit.judgement_check where problem is not null
union all
select 'history', table_name, problem from audit.history_check where problem is not null
union all
select 'restatement', quarter || ', entry ' || entry_number || ', ' || table_name, problem
from audit.restatement_check
where problem is not null
order by check_code, subject""",
    "restatements": """
select
    restated.quarter, restated.run_id, restated.recorded_at, restated.number_before, restated.entry_number,
    string_agg(restated.table_name, ', ' order by restated.table_name collate "C") as table_names,
    min(restated.problem) as problem
from audit.restatement_check as restated
inner join ops.pipeline_runs as runs on runs.run_id = %(run_id)s
where restated.recorded_at <= coalesce(runs.ended_at, clock_timestamp())
group by restated.quarter, restated.run_id, restated.recorded_at, restated.number_before, restated.entry_number
order by restated.entry_number, restated.quarter""",
    "sign_offs": """
select
    entry_number, run_id, content ->> 'verdict' as verdict, content ->> 'decided_by' as decided_by,
    coalesce(content ->> 'signed_as', 'reviewer') as signed_as, recorded_by,
    recorded_at, content ->> 'comment' as comment, content ->> 'manifest_sha256' as manifest_sha256
from audit.entries
where event_code = 'sign_off'
order by entry_number desc
limit 10""",
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
        asked = {"run_id": run_id, "as_of_date": run["as_of_date"]}
        tables: dict[str, list[Row]] = {}
        unread: dict[str, str] = {}
        for name, query in QUERIES.items():
            try:
                with connection.transaction():
                    tables[name] = [_plain_row(row) for row in cursor.execute(query, asked).fetchall()]
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
