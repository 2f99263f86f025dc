-- Which published quarters a later run restated, from the chain; deliveries beside what the chain has of them; and in which
-- role somebody signs.

alter table audit.entries drop constraint entries_content_check;
alter table audit.entries add constraint entries_content_check check (
    jsonb_typeof(content) = case when event_code in ('inputs', 'controls', 'totals') then 'array' else 'object' end
    and (event_code not in ('exception', 'exception_end') or (content ->> 'exception_id') ~ '^[0-9]{1,18}$')
    and (
        event_code <> 'history'
        or not (
            jsonb_path_exists(content, '$.keyvalue() ? (!(@.key like_regex "^marts[.][a-z0-9_]+$"))')
            or jsonb_path_exists(content, '$.* ? (!(@.sha256 like_regex "^[0-9a-f]{64}$"))')
            or jsonb_path_exists(content, '$.*.quarters ? (@.type() != "object")')
        )
    )
);

create function audit.quarter_hashes(wanted_table regclass) returns jsonb
language plpgsql stable
set timezone = 'UTC'
as $$
declare
    found_hashes jsonb;
begin
    execute format(
        'select coalesce(jsonb_object_agg(quarter, quarter_hash), ''{}'')
        from (
            select
                quarter,
                encode(sha256(convert_to(string_agg(line, e''\n'' order by line collate "C"), ''UTF8'')), ''hex'') as quarter_hash
            from (
                select
                    coalesce(content ->> ''snapshot_date'', content ->> ''to_date'', content ->> ''as_of_date'') as quarter,
                    content::text as line
                from (select jsonb_strip_nulls(to_jsonb(published)) as content from %s as published) as contents
            ) as lines
            where quarter is not null
            group by quarter
        ) as hashes',
        wanted_table
    ) into found_hashes;
    return found_hashes;
end
$$;
comment on function audit.quarter_hashes is
    'SHA-256 over the rows of each quarter of a table of the snapshots, by the quarter''s end: snapshot_date, to_date or as_of_date.';

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
        when to_regclass(recorded.table_name) is null then 'it is gone'
        when recorded.recorded_hash <> audit.table_hash(to_regclass(recorded.table_name))
            then concat_ws(
                ' of ',
                'it is not what was published',
                (
                    select string_agg(coalesce(was.quarter, is_now.quarter), ', ' order by coalesce(was.quarter, is_now.quarter))
                    from jsonb_each_text(recorded.recorded_quarters) as was (quarter, quarter_hash)
                    full join jsonb_each_text(audit.quarter_hashes(to_regclass(recorded.table_name)))
                        as is_now (quarter, quarter_hash)
                        on was.quarter = is_now.quarter
                    where recorded.recorded_quarters is not null and was.quarter_hash is distinct from is_now.quarter_hash
                )
            )
    end as problem
from recorded;

-- All that the chain has of a run is compared with its row, not its end alone.
create or replace view audit.entry_check as
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
                not to_jsonb(runs) - times.names @> followed.content - times.names
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
left join audit.open_runs as open_runs on followed.run_id = open_runs.run_id
-- How a moment reads depends on the session that writes it.
cross join (values (array['as_of_at', 'started_at', 'first_started_at', 'ended_at'])) as times (names);

-- Each entry is compared with the one before it on the same table, so that what was restated is named whatever comes after.
create view audit.restatement_check as
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
cross join lateral jsonb_each_text(histories.quarters_before) as published (quarter, quarter_hash)
left join ops.pipeline_runs as runs on histories.run_id = runs.run_id
where histories.quarters ->> published.quarter is distinct from published.quarter_hash;

comment on view audit.restatement_check is
    'One row per table, published quarter and entry that says otherwise of it than the entry before: the quarter was restated.';
comment on column audit.restatement_check.entry_number is 'The entry that restated it.';
comment on column audit.restatement_check.run_id is 'The run that restated it.';
comment on column audit.restatement_check.recorded_at is 'When.';
comment on column audit.restatement_check.table_name is 'Table of the snapshots, with its schema.';
comment on column audit.restatement_check.quarter is 'The end of the quarter.';
comment on column audit.restatement_check.number_before is 'The entry that has what was published before.';
comment on column audit.restatement_check.is_gone is 'Whether the table has nothing more of the quarter.';
comment on column audit.restatement_check.problem is
    'Why nobody could expect it; null where a full run restated it, or one of the very day.';

create view audit.batch_check as
with said as (
    select entries.entry_number, entries.run_id, batches.content
    from audit.entries
    cross join lateral jsonb_array_elements(entries.content) as batches (content)
    where entries.event_code = 'inputs'
    union all
    select entries.entry_number, entries.run_id, entries.content
    from audit.entries
    where entries.event_code = 'batch'
),

recorded as (
    select distinct on (said.content ->> 'batch_id')
        said.content ->> 'batch_id' as batch_id,
        said.entry_number,
        said.run_id,
        said.content
    from said
    order by said.content ->> 'batch_id', said.entry_number desc
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
        when batches.batch_id is null then 'it is on record, and not in ops.extract_batches any more'
        when recorded.batch_id is null and ended.run_id is not null then 'it is in ops.extract_batches, and not on record'
        when not audit.content(batches) @> recorded.content then 'it is not what was recorded'
    end as problem
from recorded
full join ops.extract_batches as batches on recorded.batch_id = batches.batch_id::text
left join ended on batches.run_id = ended.run_id
left join audit.open_runs as open_runs on coalesce(recorded.run_id, batches.run_id) = open_runs.run_id;

comment on view audit.batch_check is
    'One row per delivery, with what is wrong with it; compared are ops.extract_batches and what the chain has of each.';
comment on column audit.batch_check.batch_id is 'Number of the batch.';
comment on column audit.batch_check.run_id is 'Run that read it.';
comment on column audit.batch_check.entry_number is 'The entry that has it; null: there is none.';
comment on column audit.batch_check.problem is 'What is wrong with it; null when nothing is.';

-- Who may read the chain cannot make its writers wait: a table on which nobody has a right, in place of an advisory lock.
create table audit.writers_turn ();
comment on table audit.writers_turn is 'Without rows: who adds an entry locks it, so that the chain does not fork.';

create or replace function audit.chain() returns trigger
language plpgsql security definer
set search_path = pg_catalog, audit
as $$
begin
    lock table audit.writers_turn in exclusive mode;
    select coalesce(max(entries.entry_number), 0) + 1 into new.entry_number from audit.entries;
    select coalesce(
        (select entries.entry_hash from audit.entries where entries.entry_number = new.entry_number - 1), repeat('0', 64)
    ) into new.previous_hash;
    new.recorded_by := session_user;
    new.recorded_at := clock_timestamp();
    new.entry_hash := audit.entry_hash(new);
    return new;
end
$$;

-- Who prepares and who reviews are two people.
drop function audit.sign_off;
create function audit.sign_off(
    signed_run_id text,
    signed_sha256 text,
    verdict text,
    comment text,
    decided_by text default session_user,
    signed_as text default 'reviewer'
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
    if signed_as is null or signed_as not in ('preparer', 'reviewer') then
        raise exception 'Who signs is preparer or reviewer.' using errcode = 'invalid_parameter_value';
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
    if exists (
        select from audit.entries
        where
            entries.event_code = 'sign_off'
            and entries.content ->> 'manifest_sha256' = signed_sha256
            and coalesce(entries.content ->> 'signed_as', 'reviewer') <> signed_as
            and lower(entries.content ->> 'decided_by') = lower(btrim(decided_by))
    ) then
        raise exception '% has signed this report in the other role: who prepares and who reviews are two people.',
            btrim(decided_by)
            using errcode = 'invalid_parameter_value';
    end if;
    insert into audit.entries (run_id, event_code, content)
    values (
        signed_run_id,
        'sign_off',
        signed
        || jsonb_build_object(
            'verdict', verdict, 'signed_as', signed_as, 'decided_by', btrim(decided_by), 'comment', btrim(comment)
        )
    );
    return signed ->> 'manifest_sha256';
end
$$;
comment on function audit.sign_off is
    'Puts on record what a person says, as preparer or reviewer, of the report of a run whose manifest has a SHA-256, with the login; gives that hash.';

revoke all on function audit.quarter_hashes, audit.sign_off from public;
grant execute on function audit.quarter_hashes, audit.sign_off to sevenfold_publisher, sevenfold_auditor;
grant select on audit.restatement_check, audit.batch_check to sevenfold_publisher, sevenfold_auditor;
