-- Exceptions as evidence: added and never changed, each on record in the chain. One that is ended early is a row of its own.

create table ops.control_exception_ends (
    exception_id bigint primary key references ops.control_exceptions (exception_id),
    ended_by text not null check (btrim(ended_by) <> ''),
    ended_at timestamptz not null default clock_timestamp()
);

comment on table ops.control_exception_ends is 'One row per exception that somebody ended before its day. Append-only.';
comment on column ops.control_exception_ends.exception_id is 'The exception.';
comment on column ops.control_exception_ends.ended_by is 'Who ended it.';
comment on column ops.control_exception_ends.ended_at is 'When.';

insert into ops.control_exception_ends (exception_id, ended_by, ended_at)
select exception_id, ended_by, ended_at
from ops.control_exceptions
where ended_by is not null
order by exception_id;

alter table ops.control_exceptions drop column ended_by, drop column ended_at;
comment on table ops.control_exceptions is
    'One row per exception that somebody decided. Append-only: that one was ended stands in ops.control_exception_ends.';

grant select on ops.control_exception_ends to sevenfold_transformer, sevenfold_publisher, sevenfold_auditor;
grant insert (exception_id, ended_by) on ops.control_exception_ends to sevenfold_publisher;

-- What people decide is no part of one run: an entry may name none.
alter table audit.entries
    alter column run_id drop not null,
    drop constraint entries_event_code_check,
    add constraint entries_event_code_check check (
        event_code in (
            'run', 'inputs', 'controls', 'totals', 'publication', 'report', 'exception', 'exception_end', 'batch'
        )
    );
comment on table audit.entries is
    'One row per thing that a run is on record for, or that somebody decided. Append-only, and without personal data.';
comment on column audit.entries.run_id is 'Run; null: of no single run, as an exception until a day.';
comment on column audit.entries.event_code is
    'run (who, what code, how it ended), inputs (deliveries and their hashes), controls (definitions and results), totals (reconciliation), publication (rows and content), report (hash of its manifest), exception (a failure that somebody accepts), exception_end (one that somebody ended), batch (a delivery that somebody took out of judgement, or put back).';

create or replace function audit.refuse() returns trigger
language plpgsql
as $$
begin
    raise exception 'Rows of %.% are never changed or removed. Add one that corrects.', tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

-- A moment is written the same wherever a session says it is.
create function audit.content(kept anyelement) returns jsonb
language sql stable
set timezone = 'UTC'
as 'select to_jsonb(kept)';
comment on function audit.content is 'A row as it goes on record.';

-- The database itself puts on record what people decide, by whatever program they do it.
create function audit.record() returns trigger
language plpgsql security definer
set search_path = pg_catalog, audit
as $$
declare
    content jsonb := audit.content(new);
begin
    insert into audit.entries (run_id, event_code, content) values (content ->> 'run_id', tg_argv[0], content);
    return null;
end
$$;

-- Those of earlier versions go on record as they are now.
insert into audit.entries (run_id, event_code, content)
select run_id, 'exception', audit.content(exceptions)
from ops.control_exceptions as exceptions
order by exception_id;

insert into audit.entries (event_code, content)
select 'exception_end', audit.content(ends)
from ops.control_exception_ends as ends
order by exception_id;

create trigger record after insert on ops.control_exceptions
for each row execute function audit.record('exception');
create trigger refuse before update or delete or truncate on ops.control_exceptions
for each statement execute function audit.refuse();

create trigger record after insert on ops.control_exception_ends
for each row execute function audit.record('exception_end');
create trigger refuse before update or delete or truncate on ops.control_exception_ends
for each statement execute function audit.refuse();

create trigger record after update on ops.extract_batches
for each row
when (old.status_code is distinct from new.status_code and 'superseded' in (old.status_code, new.status_code))
execute function audit.record('batch');

create view audit.exception_check as
with recorded as (
    select (entries.content ->> 'exception_id')::bigint as exception_id, entries.event_code, entries.content
    from audit.entries
    where entries.event_code in ('exception', 'exception_end')
),

kept as (
    select exceptions.exception_id, 'exception' as event_code, audit.content(exceptions) as content
    from ops.control_exceptions as exceptions
    union all
    select ends.exception_id, 'exception_end', audit.content(ends)
    from ops.control_exception_ends as ends
)

select
    exception_id,
    event_code,
    case
        when kept.content is null then 'it is on record, and not in its table any more'
        when recorded.content is null then 'it is in its table, and not on record'
        when not kept.content @> recorded.content then 'it is not what was recorded'
    end as problem
from recorded
full join kept using (exception_id, event_code);

comment on view audit.exception_check is
    'One row per exception and per end of one, with what is wrong with it; compared are its table and the chain of evidence.';
comment on column audit.exception_check.exception_id is 'Number of the exception.';
comment on column audit.exception_check.event_code is 'exception, or exception_end.';
comment on column audit.exception_check.problem is 'What is wrong with it; null when nothing is.';

revoke all on function audit.content, audit.record from public;
grant execute on function audit.content to sevenfold_publisher, sevenfold_auditor;
grant select on audit.exception_check to sevenfold_publisher, sevenfold_auditor;

-- By which exception a failure was accepted belongs to what came of a control.
create or replace view quality.control_outcomes as
select
    run_controls.run_id,
    controls.control_id,
    controls.engine_code,
    controls.gate_code,
    controls.table_name,
    controls.column_names,
    controls.dimension_code,
    controls.severity_code,
    controls.critical_data_element,
    controls.description,
    controls.rule_sql,
    controls.minimum_met_share,
    controls.owner,
    controls.rationale,
    controls.what_to_do,
    controls.effective_date,
    controls.definition_hash,
    coalesce(results.status_code, 'not_run') as status_code,
    results.tested_count,
    results.failed_count,
    results.observed_value,
    results.expected_value,
    results.checked_at,
    results.exception_id
from quality.run_controls
inner join quality.controls
    on
        run_controls.control_id = controls.control_id
        and run_controls.definition_hash = controls.definition_hash
left join quality.control_results as results
    on
        run_controls.run_id = results.run_id
        and run_controls.control_id = results.control_id;
