-- Which published quarters a later run restated, from the chain; deliveries, the catalogue of controls, measures and runs beside what
-- the chain has of them; and in which role somebody signs.

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

-- Of earlier entries nobody asks: what was taken then stays.
alter table audit.entries add constraint entries_sign_off_check check (
    event_code <> 'sign_off'
    or (
        coalesce(content ->> 'verdict' in ('accepted', 'refused'), false)
        and coalesce(content ->> 'signed_as', 'reviewer') in ('preparer', 'reviewer')
        and coalesce(content ->> 'decided_by' = btrim(content ->> 'decided_by') and content ->> 'decided_by' <> '', false)
        and coalesce(btrim(content ->> 'comment') <> '', false)
        and concat_ws(' ', content ->> 'decided_by', content ->> 'comment') !~ '\S@\S'
    )
) not valid;

-- What is no moment stops no check.
create function audit.moment(said text) returns timestamptz
language plpgsql stable
as $$
begin
    return said::timestamptz;
exception when data_exception then
    return null;
end
$$;
comment on function audit.moment is 'The moment that an entry names; null where it names none.';

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
        when classes.oid is null then 'it is gone'
        when classes.relrowsecurity then 'row security hides some of it from its readers'
        when recorded.recorded_hash <> audit.table_hash(classes.oid::regclass)
            then concat_ws(
                ' of ',
                'it is not what was published',
                (
                    select string_agg(coalesce(was.quarter, is_now.quarter), ', ' order by coalesce(was.quarter, is_now.quarter))
                    from jsonb_each_text(recorded.recorded_quarters) as was (quarter, quarter_hash)
                    full join jsonb_each_text(audit.quarter_hashes(classes.oid::regclass))
                        as is_now (quarter, quarter_hash)
                        on was.quarter = is_now.quarter
                    where recorded.recorded_quarters is not null and was.quarter_hash is distinct from is_now.quarter_hash
                )
            )
    end as problem
from recorded
left join pg_class as classes on to_regclass(recorded.table_name) = classes.oid and classes.relkind = 'r';

-- All that the chain has of a run is compared with its row, not its end alone.
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
            as is_said_again
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

-- What a run said first of its deliveries counts; what a person decides later changes their status alone.
create view audit.batch_check as
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
        when recorded.batch_id is null and batches.run_id is null then 'no run read it'
        when batches.batch_id is null then 'it is on record, and not in ops.extract_batches any more'
        when recorded.batch_id is null and ended.run_id is not null then 'it is in ops.extract_batches, and not on record'
        when recorded.is_of_several_runs or recorded.run_id <> batches.run_id then 'several runs say that they read it'
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
left join audit.open_runs as open_runs on coalesce(recorded.run_id, batches.run_id) = open_runs.run_id;

comment on view audit.batch_check is
    'One row per delivery, with what is wrong with it; compared are ops.extract_batches and what the chain has of each.';
comment on column audit.batch_check.batch_id is 'Number of the batch.';
comment on column audit.batch_check.run_id is 'Run that read it.';
comment on column audit.batch_check.entry_number is 'The entry that has it; null: there is none.';
comment on column audit.batch_check.problem is 'What is wrong with it; null when nothing is.';

create function audit.definition_hash(kept quality.controls) returns text
language sql stable
return encode(
    sha256(
        convert_to(
            jsonb_build_array(
                kept.control_id,
                kept.definition_hash,
                kept.engine_code,
                kept.gate_code,
                kept.table_name,
                to_jsonb(kept.column_names),
                kept.dimension_code,
                kept.severity_code,
                kept.critical_data_element,
                kept.description,
                kept.rule_sql,
                kept.minimum_met_share,
                kept.owner,
                kept.rationale,
                kept.what_to_do,
                kept.first_run_id,
                kept.effective_date
            )::text,
            'UTF8'
        )
    ),
    'hex'
);
comment on function audit.definition_hash is 'SHA-256 over a definition of a control as it is kept.';

create view audit.control_check as
with said as (
    select
        entries.entry_number,
        entries.run_id,
        controls.content ->> 'control_id' as control_id,
        controls.content ->> 'definition_hash' as definition_hash,
        controls.content ->> 'definition_sha256' as recorded_hash
    from audit.entries
    cross join lateral jsonb_array_elements(entries.content) as controls (content)
    where entries.event_code = 'controls'
),

definitions as (
    select distinct on (said.control_id, said.definition_hash) said.*
    from said
    where said.recorded_hash is not null
    order by said.control_id, said.definition_hash, said.entry_number
),

in_force as (
    select
        said.run_id,
        said.entry_number,
        array_agg(said.control_id || ' ' || said.definition_hash order by said.control_id collate "C") as controls
    from said
    where
        (said.run_id, said.entry_number) in (
            select latest.run_id, max(latest.entry_number) from said as latest group by latest.run_id
        )
    group by said.run_id, said.entry_number
),

kept as (
    select
        run_controls.run_id,
        array_agg(
            run_controls.control_id || ' ' || run_controls.definition_hash order by run_controls.control_id collate "C"
        ) as controls
    from quality.run_controls
    group by run_controls.run_id
)

select
    definitions.control_id,
    definitions.run_id,
    definitions.entry_number,
    case
        when controls.control_id is null then 'its definition is on record, and not in quality.controls any more'
        when audit.definition_hash(controls) <> definitions.recorded_hash then 'its definition is not what was recorded'
    end as problem
from definitions
left join quality.controls as controls
    on definitions.control_id = controls.control_id and definitions.definition_hash = controls.definition_hash
union all
select
    null as control_id,
    coalesce(in_force.run_id, kept.run_id) as run_id,
    in_force.entry_number,
    case
        when open_runs.run_id is not null then null
        when in_force.run_id is null and runs.run_id is null then 'controls in force of a run that never was'
        when in_force.run_id is not null and in_force.controls is distinct from kept.controls
            then 'the controls in force are not those that were recorded'
    end as problem
from in_force
full join kept on in_force.run_id = kept.run_id
left join ops.pipeline_runs as runs on coalesce(in_force.run_id, kept.run_id) = runs.run_id
left join audit.open_runs as open_runs on coalesce(in_force.run_id, kept.run_id) = open_runs.run_id;

comment on view audit.control_check is
    'One row per definition of a control, and one per run (control_id null): whether the catalogue, and which of it was in force, are as the chain has them. Of definitions that no run since migration 25 had, it has no hash.';
comment on column audit.control_check.control_id is 'Control; null: all of a run.';
comment on column audit.control_check.run_id is 'The run that put it on record first; of all controls of a run, that run.';
comment on column audit.control_check.entry_number is 'The entry that has it.';
comment on column audit.control_check.problem is 'What is wrong with it; null when nothing is.';

create view audit.run_check as
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
    end as problem
from ops.pipeline_runs as runs
inner join ops.schema_migrations as migrations on migrations.migration_number = 25
inner join ops.schema_migrations as first_migration on first_migration.migration_number = 1;

comment on view audit.run_check is
    'One row per run: whether one that ended is on record. The last may have died; it goes on record when the next begins.';
comment on column audit.run_check.run_id is 'Run.';
comment on column audit.run_check.problem is 'What is wrong with it; null when nothing is.';

-- What is compared with later runs is evidence too.
create function audit.measures_hash(wanted_run_id text) returns text
language sql stable
begin atomic
    select
        encode(
            sha256(
                convert_to(
                    coalesce(
                        string_agg(
                            jsonb_build_array(measures.measure_code, measures.subject_code, measures.measured_value)::text,
                            e'\n' order by measures.measure_code collate "C", measures.subject_code collate "C"
                        ),
                        ''
                    ),
                    'UTF8'
                )
            ),
            'hex'
        )
    from quality.run_measures as measures
    where measures.run_id = wanted_run_id;
end;
comment on function audit.measures_hash is 'SHA-256 over all that was measured in a run (quality.run_measures).';

create or replace view audit.result_check as
with recorded as (
    select distinct on (entries.run_id)
        entries.run_id,
        entries.entry_number,
        entries.content ->> 'sha256' as recorded_hash,
        entries.content ->> 'measures_sha256' as recorded_measures
    from audit.entries
    where entries.event_code = 'results'
    order by entries.run_id, entries.entry_number desc
),

found as (
    select distinct results.run_id
    from quality.control_results as results
),

ended as (
    select
        entries.run_id,
        max(entries.entry_number) as entry_number
    from audit.entries
    where entries.event_code = 'run'
    group by entries.run_id
)

select
    coalesce(recorded.run_id, found.run_id) as run_id,
    coalesce(recorded.entry_number, ended.entry_number) as entry_number,
    case
        when open_runs.run_id is not null then null
        when recorded.recorded_hash is distinct from audit.results_hash(recorded.run_id) and recorded.entry_number is not null
            then 'they are not what was recorded'
        when recorded.recorded_measures <> audit.measures_hash(recorded.run_id)
            then 'what was measured with them is not what was recorded'
        when recorded.entry_number is null and runs.ended_at > migrations.applied_at
            then case when ended.run_id is null then 'they are not on record' else 'its end is on record without them' end
    end as problem
from recorded
full join found on recorded.run_id = found.run_id
left join ended on coalesce(recorded.run_id, found.run_id) = ended.run_id
left join audit.open_runs as open_runs on coalesce(recorded.run_id, found.run_id) = open_runs.run_id
left join ops.pipeline_runs as runs on coalesce(recorded.run_id, found.run_id) = runs.run_id
left join ops.schema_migrations as migrations on migrations.migration_number = 20;

-- What stewards decide about pairs of records goes on record by itself, as other decisions do.
alter table audit.entries
    drop constraint entries_event_code_check,
    add constraint entries_event_code_check check (
        event_code in (
            'run', 'inputs', 'controls', 'results', 'totals', 'publication', 'history', 'report', 'exception',
            'exception_end', 'batch', 'judgement', 'sign_off'
        )
    );
comment on column audit.entries.event_code is
    'run (who, what code, how it ended), inputs (deliveries and their hashes), controls (definitions and results), results (hash of all that the controls found, and of what was measured), totals (reconciliation), publication (rows and content), history (hash of each table of the snapshots and of each quarter in it, in a run that published them), report (hash of its manifest), exception (a failure that somebody accepts), exception_end (one that somebody ended), batch (a delivery that somebody took out of judgement, or put back), judgement (what a person says of two records), sign_off (what a person says of a report).';

insert into audit.entries (event_code, content)
select 'judgement', audit.content(judgements)
from mdm.match_judgements as judgements
order by judgement_id;

create trigger record after insert on mdm.match_judgements
for each row execute function audit.record('judgement');

create view audit.judgement_check as
with recorded as (
    select distinct on (entries.content ->> 'judgement_id')
        entries.content ->> 'judgement_id' as judgement_id,
        entries.entry_number,
        entries.content
    from audit.entries
    where entries.event_code = 'judgement'
    order by entries.content ->> 'judgement_id', entries.entry_number
)

select
    coalesce(recorded.judgement_id, judgements.judgement_id::text) as judgement_id,
    recorded.entry_number,
    case
        when judgements.judgement_id is null then 'it is on record, and not in its table any more'
        when recorded.judgement_id is null then 'it is in its table, and not on record'
        when not audit.content(judgements) @> recorded.content then 'it is not what was recorded'
    end as problem
from recorded
full join mdm.match_judgements as judgements on recorded.judgement_id = judgements.judgement_id::text;

comment on view audit.judgement_check is
    'One row per judgement on two records, with what is wrong with it; compared are its table and the chain of evidence.';
comment on column audit.judgement_check.judgement_id is 'Number of the judgement.';
comment on column audit.judgement_check.entry_number is 'The entry that has it; null: there is none.';
comment on column audit.judgement_check.problem is 'What is wrong with it; null when nothing is.';

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
    if comment ~ '\S@\S' or decided_by ~ '\S@\S' then
        raise exception 'The name or the comment holds an e-mail address, and what is on record stays for ever: leave it out.'
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

revoke all on function
    audit.quarter_hashes, audit.definition_hash, audit.measures_hash, audit.moment, audit.sign_off
    from public;
grant execute on function
    audit.quarter_hashes, audit.definition_hash, audit.measures_hash, audit.moment, audit.sign_off
    to sevenfold_publisher, sevenfold_auditor;
grant select on audit.restatement_check, audit.batch_check, audit.control_check, audit.judgement_check, audit.run_check
    to sevenfold_publisher, sevenfold_auditor;
