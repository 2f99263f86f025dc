-- Deliveries of runs that never were, or were not yet; quarters added to a run whose end was on record; and a shape for all that the
-- proofs read of an entry.

-- One value that is no object would stop every proof for good: in a path, an array would pass for what it holds.
create function audit.has_its_shape(event_code text, content jsonb) returns boolean
language sql immutable
begin atomic
    select
        case
            when event_code in ('inputs', 'controls', 'totals') then
                jsonb_typeof(content) = 'array'
                and (
                    select coalesce(bool_and(jsonb_typeof(parts.part) = 'object'), true)
                    from jsonb_array_elements(case when jsonb_typeof(content) = 'array' then content else '[]' end) as parts (part)
                )
            when jsonb_typeof(content) <> 'object' then false
            when event_code in ('exception', 'exception_end') then coalesce(content ->> 'exception_id', '') ~ '^[0-9]{1,18}$'
            when event_code = 'report' then num_nulls(content ->> 'folder', content ->> 'manifest_sha256') = 0
            when event_code = 'history' then (
                select
                    coalesce(
                        bool_and(
                            tables.table_name ~ '^marts[.][a-z0-9_]+$'
                            and jsonb_typeof(tables.said) = 'object'
                            and coalesce(tables.said ->> 'sha256', '') ~ '^[0-9a-f]{64}$'
                            and coalesce(jsonb_typeof(tables.said -> 'quarters'), 'object') = 'object'
                        ),
                        true
                    )
                from jsonb_each(content) as tables (table_name, said)
            )
            else true
        end;
end;
comment on function audit.has_its_shape is 'Whether what an entry says can be read as the proofs read it.';
alter table audit.entries drop constraint entries_content_check;
alter table audit.entries add constraint entries_content_check check (audit.has_its_shape(event_code, content)) not valid;

-- When a delivery was read is what the server says, and not who adds it.
create function audit.stamp() returns trigger
language plpgsql
as $$
begin
    if current_user <> (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid) then
        new.extracted_at := case tg_op when 'INSERT' then clock_timestamp() else old.extracted_at end;
    end if;
    return new;
end
$$;
create trigger stamp before insert or update on ops.extract_batches
for each row execute function audit.stamp();

-- What tells tampered rules from those that were loaded is not for those to write who write the rules.
create table ops.loaded_rules (
    seeds_sha256 text not null,
    rules_sha256 text not null,
    loaded_at timestamptz not null default clock_timestamp()
);
grant select, insert, delete on ops.loaded_rules to sevenfold_loader;

comment on table ops.loaded_rules is 'One row: the rules that were loaded and tested last.';
comment on column ops.loaded_rules.seeds_sha256 is 'SHA-256 of the seeds that they come from.';
comment on column ops.loaded_rules.rules_sha256 is 'SHA-256 of the tables that were made of them, as they then were.';
comment on column ops.loaded_rules.loaded_at is 'When.';

-- Whoever adds it, an exception ends; with a day to spare, wherever the deployment's day is.
alter table ops.control_exceptions add constraint control_exceptions_ends_on_check
check (ends_on <= (decided_at at time zone 'UTC')::date + 367) not valid;

create function audit.as_object(said jsonb) returns jsonb
language sql immutable
return case when jsonb_typeof(said) = 'object' then said else '{}' end;
comment on function audit.as_object is 'What is said, where it is an object; otherwise one that holds nothing.';

create or replace view audit.history_check as
with recorded as (
    select distinct on (tables.table_name)
        tables.table_name,
        entries.entry_number,
        entries.run_id,
        tables.content ->> 'sha256' as recorded_hash,
        tables.content -> 'quarters' as recorded_quarters
    from audit.entries
    cross join lateral jsonb_each(entries.content) as tables (table_name, content)
    where entries.event_code = 'history'
    order by tables.table_name, entries.entry_number desc
)

select
    recorded.table_name,
    recorded.entry_number,
    recorded.run_id,
    case
        when classes.oid is null then 'it is gone'
        when classes.relrowsecurity then 'row security hides some of it from its readers'
        when recorded.recorded_hash <> audit.table_hash(classes.oid::regclass)
            then concat_ws(
                ' of ',
                'it is not what was published',
                (
                    select string_agg(coalesce(was.quarter, is_now.quarter), ', ' order by coalesce(was.quarter, is_now.quarter))
                    from jsonb_each_text(audit.as_object(recorded.recorded_quarters)) as was (quarter, quarter_hash)
                    full join jsonb_each_text(audit.quarter_hashes(classes.oid::regclass))
                        as is_now (quarter, quarter_hash)
                        on was.quarter = is_now.quarter
                    where recorded.recorded_quarters is not null and was.quarter_hash is distinct from is_now.quarter_hash
                )
            )
    end as problem
from recorded
left join pg_class as classes on to_regclass(recorded.table_name) = classes.oid and classes.relkind = 'r';

create or replace view audit.batch_check as
with said as (
    select
        batches.content ->> 'batch_id' as batch_id,
        entries.entry_number,
        entries.run_id,
        batches.content
    from audit.entries
    cross join lateral jsonb_array_elements(entries.content) as batches (content)
    where entries.event_code = 'inputs'
),

recorded as (
    select distinct on (said.batch_id)
        said.*,
        min(said.run_id) over same_batch <> max(said.run_id) over same_batch as is_of_several_runs
    from said
    window same_batch as (partition by said.batch_id)
    order by said.batch_id, said.entry_number
),

decided as (
    select distinct on (entries.content ->> 'batch_id')
        entries.content ->> 'batch_id' as batch_id,
        entries.content
    from audit.entries
    where entries.event_code = 'batch'
    order by entries.content ->> 'batch_id', entries.entry_number desc
),

ended as (
    select distinct entries.run_id
    from audit.entries
    where entries.event_code = 'run'
)

select
    coalesce(recorded.batch_id, batches.batch_id::text) as batch_id,
    coalesce(recorded.run_id, batches.run_id) as run_id,
    recorded.entry_number,
    case
        when open_runs.run_id is not null then null
        when recorded.batch_id is null and runs.run_id is null then 'no run read it'
        when batches.batch_id is null then 'it is on record, and not in ops.extract_batches any more'
        when recorded.batch_id is null and ended.run_id is not null then 'it is in ops.extract_batches, and not on record'
        when recorded.is_of_several_runs or recorded.run_id <> batches.run_id then 'several runs say that they read it'
        when batches.extracted_at < coalesce(runs.first_started_at, runs.started_at) then 'it is older than the run that read it'
        when
            not audit.content(batches) @> (recorded.content - array['status_code', 'message'])
            or not coalesce(decided.content, recorded.content) @> (recorded.content - array['status_code', 'message'])
            -- Who supersedes it adds the reason.
            or not starts_with(coalesce(batches.message, ''), coalesce(recorded.content ->> 'message', ''))
            or (
                decided.content is null
                and recorded.content ? 'message'
                and batches.message is distinct from recorded.content ->> 'message'
            )
            or batches.status_code <> coalesce(decided.content ->> 'status_code', recorded.content ->> 'status_code')
            then 'it is not what was recorded'
        when decided.content ->> 'status_code' not in ('superseded', recorded.content ->> 'status_code')
            then 'it was neither superseded nor put back'
    end as problem
from recorded
full join ops.extract_batches as batches on recorded.batch_id = batches.batch_id::text
left join decided on recorded.batch_id = decided.batch_id
left join ended on batches.run_id = ended.run_id
left join ops.pipeline_runs as runs on batches.run_id = runs.run_id
left join audit.open_runs as open_runs on coalesce(recorded.run_id, batches.run_id) = open_runs.run_id;

create or replace view audit.entry_check as
with endings as (
    select
        entries.*,
        count(*) filter (where entries.event_code = 'run')
            over (partition by entries.run_id order by entries.entry_number) as ending_number,
        row_number() over (
            partition by entries.run_id, entries.event_code, entries.content ->> 'ended_at' order by entries.entry_number
        ) as said_number,
        lag(entries.run_id) over (order by entries.entry_number) as run_id_before,
        lag(entries.event_code) over (order by entries.entry_number) as event_before
    from audit.entries
),

-- An end that is said once more, as by a task that is tried again.
said_again as (
    select
        endings.run_id,
        endings.ending_number
    from endings
    where endings.event_code = 'run' and endings.said_number > 1
),

-- A folder holds one report; of all else a run says one thing each time that it ends.
followed as (
    select
        endings.*,
        lag(endings.content) over same as content_before,
        lag(endings.entry_number) over same as number_before,
        lag(endings.ending_number) over same as ending_before,
        max(endings.ending_number) over (partition by endings.run_id) as ending_count,
        (endings.run_id, endings.ending_number) in (select said_again.run_id, said_again.ending_number from said_again)
            as is_said_again,
        (endings.run_id, endings.ending_number + 1) in (select said_again.run_id, said_again.ending_number from said_again)
            as is_before_said_again
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
        when
            followed.event_code in ('run', 'inputs', 'controls', 'results', 'totals', 'publication', 'history')
            and runs.run_id is null
            then 'there is no such run'
        when
            followed.event_code = 'history'
            and followed.ending_number = followed.ending_count
            and open_runs.run_id is null
            then 'its run did not end after it'
        when followed.event_code = 'history' and followed.is_before_said_again
            then 'it came after the end of its run was on record'
        when
            followed.event_code = 'run'
            and followed.ending_number = followed.ending_count
            and open_runs.run_id is null
            and (
                not to_jsonb(runs) - times.names @> followed.content - times.names
                or audit.moment(followed.content ->> 'ended_at') is distinct from runs.ended_at
                or (followed.content ->> 'ended_at' is null) <> (runs.ended_at is null)
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
            followed.event_code = 'sign_off'
            and exists (
                select from audit.entries as others
                where
                    others.event_code = 'sign_off'
                    and others.entry_number < followed.entry_number
                    and others.content ->> 'manifest_sha256' = followed.content ->> 'manifest_sha256'
                    and lower(btrim(others.content ->> 'decided_by')) = lower(btrim(followed.content ->> 'decided_by'))
                    and coalesce(others.content ->> 'signed_as', 'reviewer')
                    <> coalesce(followed.content ->> 'signed_as', 'reviewer')
            )
            then 'one name signs as preparer and as reviewer'
        when
            followed.event_code in ('run', 'inputs', 'controls', 'results', 'totals', 'publication')
            and followed.content <> followed.content_before
            and (
                followed.ending_number = followed.ending_before
                or followed.content ->> 'ended_at' = followed.content_before ->> 'ended_at'
            )
            then 'of the same end of its run something else was on record before, in entry ' || followed.number_before
        when
            followed.event_code in ('inputs', 'controls', 'results', 'totals', 'publication')
            and followed.recorded_at > migrations.applied_at
            and (
                followed.run_id is distinct from followed.run_id_before
                or followed.event_before not in ('run', 'inputs', 'controls', 'results', 'totals', 'publication')
                or (followed.content_before is null and followed.is_said_again)
            )
            then 'it came after the end of its run was on record'
    end as problem
from followed
left join ops.pipeline_runs as runs on followed.run_id = runs.run_id
left join audit.open_runs as open_runs on followed.run_id = open_runs.run_id
left join ops.schema_migrations as migrations on migrations.migration_number = 25
-- How a moment reads depends on the session that writes it.
cross join (values (array['as_of_at', 'started_at', 'first_started_at', 'ended_at'])) as times (names);

create or replace view audit.restatement_check as
with histories as (
    select
        entries.entry_number,
        entries.run_id,
        entries.recorded_at,
        tables.table_name,
        tables.content -> 'quarters' as quarters,
        lag(entries.entry_number) over by_table as number_before,
        lag(tables.content -> 'quarters') over by_table as quarters_before
    from audit.entries
    cross join lateral jsonb_each(entries.content) as tables (table_name, content)
    where entries.event_code = 'history'
    window by_table as (partition by tables.table_name order by entries.entry_number)
)

select
    histories.entry_number,
    histories.run_id,
    histories.recorded_at,
    histories.table_name,
    published.quarter,
    histories.number_before,
    histories.quarters -> published.quarter is null as is_gone,
    case
        when histories.quarters -> published.quarter is null then 'the quarter is gone'
        when not coalesce(runs.parameters ->> 'full_refresh' = 'true' or runs.as_of_date::text = published.quarter, false)
            then 'its run was neither a full run nor that of the quarter'
    end as problem
from histories
cross join lateral jsonb_each_text(audit.as_object(histories.quarters_before)) as published (quarter, quarter_hash)
left join ops.pipeline_runs as runs on histories.run_id = runs.run_id
where histories.quarters ->> published.quarter is distinct from published.quarter_hash;

revoke all on function audit.has_its_shape, audit.stamp, audit.as_object from public;
grant execute on function audit.has_its_shape to sevenfold_publisher;
grant execute on function audit.as_object to sevenfold_publisher, sevenfold_auditor;
