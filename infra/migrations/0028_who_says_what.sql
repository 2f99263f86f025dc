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
    end as problem
from ops.pipeline_runs as runs
inner join ops.schema_migrations as migrations on migrations.migration_number = 25
inner join ops.schema_migrations as first_migration on first_migration.migration_number = 1
inner join ops.schema_migrations as this_migration on this_migration.migration_number = 28
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

-- When somebody decided is what the server says, whoever adds it.
create function audit.stamp_decision() returns trigger
language plpgsql
as $$
begin
    if tg_table_name = 'control_exception_ends' then
        new.ended_at := clock_timestamp();
    else
        new.decided_at := clock_timestamp();
    end if;
    return new;
end
$$;
revoke execute on function audit.stamp_decision() from public;
create trigger stamp_decision before insert on ops.control_exceptions for each row execute function audit.stamp_decision();
create trigger stamp_decision before insert on ops.control_exception_ends for each row execute function audit.stamp_decision();
create trigger stamp_decision before insert on mdm.match_judgements for each row execute function audit.stamp_decision();

-- Who calls what runs as its owner may have a type or a table of his own, which would be found first.
alter function audit.chain set search_path = pg_catalog, audit, pg_temp;
alter function audit.record set search_path = pg_catalog, audit, pg_temp;
alter function audit.sign_off set search_path = pg_catalog, audit, pg_temp;
alter function marts.customer_of set search_path = pg_catalog, pg_temp;

create view audit.pipeline_members as
with logins as (
    select roles.*
    from pg_roles as roles
    where
        roles.rolcanlogin
        and not roles.rolsuper
        and roles.oid <> (select nspowner from pg_namespace where nspname = 'ops')
)

select
    logins.rolname::text as login_name,
    held.rolname::text as role_name
from logins
inner join pg_roles as held on logins.oid <> held.oid and pg_has_role(logins.oid, held.oid, 'member')
where
    held.rolsuper
    or held.oid = (select nspowner from pg_namespace where nspname = 'ops')
    or held.rolname in (
        'sevenfold_loader', 'sevenfold_transformer', 'sevenfold_publisher', 'pg_read_all_data', 'pg_write_all_data',
        'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'
    )
union all
select
    logins.rolname::text,
    attributes.attribute_name
from logins
cross join lateral (
    values ('replication', logins.rolreplication), ('bypassrls', logins.rolbypassrls)
) as attributes (attribute_name, is_held)
where attributes.is_held;
comment on view audit.pipeline_members is
    'One row per login, but for superusers and the one that runs the pipeline, and role or attribute that makes it the pipeline, a superuser, or lets it past all rights.';
comment on column audit.pipeline_members.login_name is 'Login.';
comment on column audit.pipeline_members.role_name is 'Role that it has, through whichever others; or attribute.';
grant select on audit.pipeline_members to sevenfold_publisher, sevenfold_auditor;
