-- A task that somebody marks as successful in Airflow has not worked: a run that published has been asked by each door.
create or replace view audit.run_check as
select
    runs.run_id,
    case
        when
            (runs.ended_at > migrations.applied_at or runs.ended_at < first_migration.applied_at)
            and exists (select from ops.pipeline_runs as later where later.started_at > runs.started_at)
            and not exists (
                select from audit.entries where entries.run_id = runs.run_id and entries.event_code = 'run'
            )
            then 'it ended and is not on record'
        when runs.ended_at is null then null
        when
            recorded.recorded_at >= this_migration.applied_at
            and (runs.as_of_at, runs.started_at, runs.first_started_at)
            is distinct from (
                audit.moment(recorded.content ->> 'as_of_at'),
                audit.moment(recorded.content ->> 'started_at'),
                audit.moment(recorded.content ->> 'first_started_at')
            )
            then 'its times are not those that were recorded'
        -- Since when it is asked is what the chain says, where it says anything.
        when
            runs.status_code <> 'published'
            or coalesce(audit.moment(recorded.content ->> 'started_at'), runs.started_at) < this_migration.applied_at
            then null
        when
            exists (
                select from quality.control_results as results
                where
                    results.run_id = runs.run_id
                    and results.gate_code in ('raw', 'quality_levels', 'marts')
                    and results.severity_code = 'critical'
                    and results.status_code <> 'passed'
                    and results.exception_id is null
            )
            then 'it says that it published, and a door had stopped it'
        when not exists (select from ops.run_stages as stages where stages.run_id = runs.run_id and stages.stage_code = 'publish')
            then 'it says that it published, and its stage publish did not end'
        when coalesce(audit.moment(recorded.content ->> 'started_at'), runs.started_at) < doors_migration.applied_at then null
        when
            exists (
                select from unnest(array['gate_raw', 'gate_quality_levels', 'gate_marts']) as door (stage_code)
                where not exists (
                    select from ops.run_stages as stages
                    where stages.run_id = runs.run_id and stages.stage_code = door.stage_code
                )
            )
            then 'it says that it published, and a door was not asked'
    end as problem
from ops.pipeline_runs as runs
inner join ops.schema_migrations as migrations on migrations.migration_number = 25
inner join ops.schema_migrations as first_migration on first_migration.migration_number = 1
inner join ops.schema_migrations as this_migration on this_migration.migration_number = 28
inner join ops.schema_migrations as doors_migration on doors_migration.migration_number = 29
left join lateral (
    select entries.content, entries.recorded_at from audit.entries
    where
        entries.run_id = runs.run_id
        and entries.event_code = 'run'
        and audit.moment(entries.content ->> 'ended_at') = runs.ended_at
    order by entries.entry_number
    limit 1
) as recorded on true;
comment on view audit.run_check is
    'One row per run: whether one that ended is on record with its times, and one that published came so far. The last may have died; it goes on record when the next begins.';
