-- Control results as evidence: the chain keeps a hash of what each run found, and a view says where the two differ.

alter table audit.entries
    drop constraint entries_event_code_check,
    add constraint entries_event_code_check check (
        event_code in (
            'run', 'inputs', 'controls', 'results', 'totals', 'publication', 'report', 'exception', 'exception_end',
            'batch'
        )
    );
comment on column audit.entries.event_code is
    'run (who, what code, how it ended), inputs (deliveries and their hashes), controls (definitions and results), results (hash of all that the controls found), totals (reconciliation), publication (rows and content), report (hash of its manifest), exception (a failure that somebody accepts), exception_end (one that somebody ended), batch (a delivery that somebody took out of judgement, or put back).';

-- Named are the columns there are today: one that is added later does not change the hash of past runs.
create function audit.results_hash(wanted_run_id text) returns text
language sql stable
set timezone = 'UTC'
begin atomic
    select
        encode(
            sha256(
                convert_to(
                    coalesce(
                        string_agg(
                            jsonb_build_array(
                                results.control_id,
                                results.gate_code,
                                results.table_name,
                                results.dimension_code,
                                results.severity_code,
                                results.description,
                                results.is_met,
                                results.status_code,
                                results.tested_count,
                                results.failed_count,
                                results.observed_value,
                                results.expected_value,
                                results.critical_data_element,
                                results.rationale,
                                results.what_to_do,
                                results.owner,
                                to_char(results.checked_at, 'YYYY-MM-DD HH24:MI:SS.US'),
                                results.exception_id
                            )::text,
                            e'\n' order by results.control_id collate "C"
                        ),
                        ''
                    ),
                    'UTF8'
                )
            ),
            'hex'
        )
    from quality.control_results as results
    where results.run_id = wanted_run_id;
end;
comment on function audit.results_hash is 'SHA-256 over all that the controls of a run found (quality.control_results).';

create view audit.result_check as
with recorded as (
    select distinct on (entries.run_id)
        entries.run_id,
        entries.entry_number,
        entries.content ->> 'sha256' as recorded_hash
    from audit.entries
    where entries.event_code = 'results'
    order by entries.run_id, entries.entry_number desc
),

found as (
    select distinct results.run_id
    from quality.control_results as results
)

select
    coalesce(recorded.run_id, found.run_id) as run_id,
    recorded.entry_number,
    case
        when runs.status_code = 'running' then null
        when recorded.recorded_hash <> audit.results_hash(recorded.run_id) then 'they are not what was recorded'
        when recorded.entry_number is null and runs.ended_at > migrations.applied_at then 'they are not on record'
    end as problem
from recorded
full join found on recorded.run_id = found.run_id
left join ops.pipeline_runs as runs on coalesce(recorded.run_id, found.run_id) = runs.run_id
left join ops.schema_migrations as migrations on migrations.migration_number = 20;

comment on view audit.result_check is
    'One row per run with control results: whether they are as the chain has them. A run that goes on may still change its own; of those that ended before migration 20 the chain has no hash.';
comment on column audit.result_check.run_id is 'Run.';
comment on column audit.result_check.entry_number is 'The entry that has their hash; null: there is none.';
comment on column audit.result_check.problem is 'What is wrong with the results; null when nothing is.';

revoke all on function audit.results_hash from public;
grant execute on function audit.results_hash to sevenfold_publisher, sevenfold_auditor;
grant select on audit.result_check to sevenfold_publisher, sevenfold_auditor;
