-- The history of the snapshots as evidence: the chain keeps a hash of what each quarter's publication left, and a view says
-- where tables differ from it. Who has reviewed a report goes on record too.

alter table audit.entries
    drop constraint entries_event_code_check,
    add constraint entries_event_code_check check (
        event_code in (
            'run', 'inputs', 'controls', 'results', 'totals', 'publication', 'history', 'report', 'exception',
            'exception_end', 'batch', 'sign_off'
        )
    );
comment on column audit.entries.event_code is
    'run (who, what code, how it ended), inputs (deliveries and their hashes), controls (definitions and results), results (hash of all that the controls found), totals (reconciliation), publication (rows and content), history (hash of each table of the snapshots, in a run that published them), report (hash of its manifest), exception (a failure that somebody accepts), exception_end (one that somebody ended), batch (a delivery that somebody took out of judgement, or put back), sign_off (what a person says of a report).';

-- A column that a later version adds is null in the rows of before, and changes nothing.
create function audit.table_hash(wanted_table regclass) returns text
language plpgsql stable
set timezone = 'UTC'
as $$
declare
    found_hash text;
begin
    execute format(
        'select encode(sha256(convert_to(coalesce(string_agg(line, e''\n'' order by line collate "C"), ''''), ''UTF8'')), ''hex'')
        from (select jsonb_strip_nulls(to_jsonb(published))::text as line from %s as published) as lines',
        wanted_table
    ) into found_hash;
    return found_hash;
end
$$;
comment on function audit.table_hash is 'SHA-256 over all rows of a table, whatever their order.';

create view audit.history_check as
with recorded as (
    select distinct on (tables.table_name)
        tables.table_name,
        entries.entry_number,
        entries.run_id,
        tables.content ->> 'sha256' as recorded_hash
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
        when recorded.recorded_hash <> audit.table_hash(to_regclass(recorded.table_name)) then 'it is not what was published'
    end as problem
from recorded;

comment on view audit.history_check is
    'One row per table of the snapshots: whether its rows are those that the run left which published it last.';
comment on column audit.history_check.table_name is 'Table, with its schema.';
comment on column audit.history_check.entry_number is 'The entry that has its hash.';
comment on column audit.history_check.run_id is 'The run that published it last.';
comment on column audit.history_check.problem is 'What is wrong with it; null when nothing is.';

revoke all on function audit.table_hash from public;
grant execute on function audit.table_hash to sevenfold_publisher, sevenfold_auditor;
grant select on audit.history_check to sevenfold_publisher, sevenfold_auditor;
