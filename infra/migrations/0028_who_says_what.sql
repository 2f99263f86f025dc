-- What a run did and found is for the login to write that runs it: no role of a step needs to, and one could unsay what a door found.
revoke insert, update, delete on quality.control_results from sevenfold_transformer;
revoke insert, update on ops.pipeline_runs, ops.run_stages from sevenfold_loader, sevenfold_transformer, sevenfold_publisher;
grant update (status_code, rows_published) on ops.pipeline_runs to sevenfold_publisher;

-- Who publishes says that a run is published; what its doors found and how far it came says whether it can be.
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
        when runs.status_code <> 'published' or runs.ended_at is null or runs.started_at < this_migration.applied_at then null
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
    end as problem
from ops.pipeline_runs as runs
inner join ops.schema_migrations as migrations on migrations.migration_number = 25
inner join ops.schema_migrations as first_migration on first_migration.migration_number = 1
inner join ops.schema_migrations as this_migration on this_migration.migration_number = 28;
comment on view audit.run_check is
    'One row per run: whether one that ended is on record, and one that published came so far. The last may have died; it goes on record when the next begins.';
