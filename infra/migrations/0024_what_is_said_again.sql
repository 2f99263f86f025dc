-- Evidence that contradicts itself: an entry that says anew what was on record is found, whoever wrote it. And a sign-off is
-- written by a function, so that an auditor signs with a login of his own.

-- What the checks read must have the shape that they read, whoever writes it.
alter table audit.entries add constraint entries_content_check check (
    jsonb_typeof(content) = case when event_code in ('inputs', 'controls', 'totals') then 'array' else 'object' end
    and (event_code not in ('exception', 'exception_end') or (content ->> 'exception_id') ~ '^[0-9]+$')
    and (
        event_code <> 'history'
        or not jsonb_path_exists(content, '$.* ? (!(@.sha256 like_regex "^[0-9a-f]{64}$"))')
    )
);

-- The run that goes on is the one that began last: of all others what they found is compared, whatever their row says.
create view audit.open_runs as
select runs.run_id
from ops.pipeline_runs as runs
where
    runs.status_code = 'running'
    and runs.ended_at is null
    and runs.started_at <= clock_timestamp()
    and runs.started_at = (select max(latest.started_at) from ops.pipeline_runs as latest);

comment on view audit.open_runs is 'The run that goes on, if any: the last that began, where it has not ended.';
comment on column audit.open_runs.run_id is 'Run.';

create view audit.entry_check as
with endings as (
    select
        entries.*,
        count(*) filter (where entries.event_code = 'run')
            over (partition by entries.run_id order by entries.entry_number) as ending_number
    from audit.entries
),

-- A folder holds one report; of all else a run says one thing each time that it ends.
followed as (
    select
        endings.*,
        lag(endings.content) over same as content_before,
        lag(endings.entry_number) over same as number_before,
        lag(endings.ending_number) over same as ending_before,
        max(endings.ending_number) over (partition by endings.run_id) as ending_count
    from endings
    window same as (
        partition by
            endings.event_code,
            case when endings.event_code = 'report' then endings.content ->> 'folder' else endings.run_id end
        order by endings.entry_number
    )
)

select
    followed.entry_number,
    followed.run_id,
    followed.event_code,
    case
        when followed.event_code = 'report' and followed.content <> followed.content_before
            then 'another manifest of this report was on record before, in entry ' || followed.number_before
        when followed.event_code in ('run', 'history') and runs.run_id is null
            then 'there is no such run'
        when
            followed.event_code = 'history'
            and followed.ending_number = followed.ending_count
            and open_runs.run_id is null
            then 'its run did not end after it'
        when
            followed.event_code = 'run'
            and followed.ending_number = followed.ending_count
            and open_runs.run_id is null
            and (
                followed.content ->> 'status_code' is distinct from runs.status_code
                or followed.content ->> 'failed_task' is distinct from runs.failed_task
                or (followed.content ->> 'ended_at')::timestamptz is distinct from runs.ended_at
            )
            then 'the run stands otherwise in ops.pipeline_runs'
        when
            followed.event_code = 'sign_off'
            and not exists (
                select from audit.entries as reports
                where
                    reports.event_code = 'report'
                    and reports.run_id = followed.run_id
                    and reports.entry_number < followed.entry_number
                    and reports.content ->> 'manifest_sha256' = followed.content ->> 'manifest_sha256'
            )
            then 'it signs no report that was on record'
        when
            followed.event_code in ('run', 'inputs', 'controls', 'results', 'totals', 'publication')
            and followed.content <> followed.content_before
            and (
                followed.ending_number = followed.ending_before
                or followed.content ->> 'ended_at' = followed.content_before ->> 'ended_at'
            )
            then 'of the same end of its run something else was on record before, in entry ' || followed.number_before
    end as problem
from followed
left join ops.pipeline_runs as runs on followed.run_id = runs.run_id
left join audit.open_runs as open_runs on followed.run_id = open_runs.run_id;

comment on view audit.entry_check is
    'One row per entry: whether it contradicts an earlier one, or what it speaks of. A run may end more than once: one that failed goes on, and any can be cleared and run again.';
comment on column audit.entry_check.entry_number is 'The entry.';
comment on column audit.entry_check.run_id is 'Run.';
comment on column audit.entry_check.event_code is 'What it says of the run.';
comment on column audit.entry_check.problem is 'What it contradicts; null when nothing.';

create or replace view audit.result_check as
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
        when open_runs.run_id is not null then null
        when recorded.recorded_hash is distinct from audit.results_hash(recorded.run_id) and recorded.entry_number is not null
            then 'they are not what was recorded'
        when recorded.entry_number is null and runs.ended_at > migrations.applied_at then 'they are not on record'
    end as problem
from recorded
full join found on recorded.run_id = found.run_id
left join audit.open_runs as open_runs on coalesce(recorded.run_id, found.run_id) = open_runs.run_id
left join ops.pipeline_runs as runs on coalesce(recorded.run_id, found.run_id) = runs.run_id
left join ops.schema_migrations as migrations on migrations.migration_number = 20;

-- Who may not write as the pipeline signs by his own name alone.
create function audit.sign_off(
    signed_run_id text, signed_sha256 text, verdict text, comment text, decided_by text default session_user
) returns text
language plpgsql security definer
set search_path = pg_catalog, audit
as $$
declare
    signed jsonb;
begin
    if not pg_has_role(session_user, 'sevenfold_publisher', 'member') then
        decided_by := session_user;
    end if;
    if verdict is null or verdict not in ('accepted', 'refused') then
        raise exception 'A sign-off is accepted or refused.' using errcode = 'invalid_parameter_value';
    end if;
    if coalesce(btrim(comment), '') = '' or coalesce(btrim(decided_by), '') = '' then
        raise exception 'A sign-off needs a name and a comment: auditors read both.'
            using errcode = 'invalid_parameter_value';
    end if;
    if comment ~ '\S@\S' then
        raise exception 'The comment holds an e-mail address, and what is on record stays for ever: leave it out.'
            using errcode = 'invalid_parameter_value';
    end if;
    select entries.content into signed
    from audit.entries
    where
        entries.run_id = signed_run_id
        and entries.event_code = 'report'
        and entries.content ->> 'manifest_sha256' = signed_sha256
    order by entries.entry_number desc
    limit 1;
    if signed is null then
        raise exception 'No report of run % whose manifest has SHA-256 % is on record.', signed_run_id, signed_sha256
            using errcode = 'no_data_found';
    end if;
    insert into audit.entries (run_id, event_code, content)
    values (
        signed_run_id,
        'sign_off',
        signed
        || jsonb_build_object('verdict', verdict, 'decided_by', btrim(decided_by), 'comment', btrim(comment))
    );
    return signed ->> 'manifest_sha256';
end
$$;
comment on function audit.sign_off is
    'Puts on record what a person says of the report of a run whose manifest has a SHA-256, with the login; gives that hash.';

revoke all on function audit.sign_off from public;
grant execute on function audit.sign_off to sevenfold_publisher, sevenfold_auditor;
grant select on audit.entry_check, audit.open_runs to sevenfold_publisher, sevenfold_auditor;
