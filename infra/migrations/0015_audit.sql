-- Schema audit: what each run did, as evidence. Rows are added and never changed, and each holds the hash of the one before.

create schema audit;
comment on schema audit is 'Evidence of what each run did: append-only, each entry chained to the one before by its hash.';

create table audit.entries (
    entry_number bigint primary key,
    run_id text not null,
    event_code text not null check (event_code in ('run', 'inputs', 'controls', 'totals', 'publication', 'report')),
    content jsonb not null,
    recorded_by text not null,
    recorded_at timestamptz not null,
    previous_hash text not null,
    entry_hash text not null unique
);

comment on table audit.entries is 'One row per thing that a run is on record for. Append-only, and without personal data.';
comment on column audit.entries.entry_number is '1, 2, 3, ... without a gap.';
comment on column audit.entries.run_id is 'Run.';
comment on column audit.entries.event_code is
    'run (who, what code, how it ended), inputs (deliveries and their hashes), controls (definitions and results), totals (reconciliation), publication (rows and content), report (hash of its manifest).';
comment on column audit.entries.content is 'What is on record.';
comment on column audit.entries.recorded_by is 'The login that wrote it, whatever role it had taken.';
comment on column audit.entries.recorded_at is 'When.';
comment on column audit.entries.previous_hash is 'entry_hash of the entry before; 64 zeros in the first.';
comment on column audit.entries.entry_hash is 'SHA-256 over all of the entry and previous_hash (audit.entry_hash).';

-- The text that is hashed is the one of a JSON array, so no two different entries have the same; jsonb has one text for one value.
create function audit.entry_hash(entry audit.entries) returns text
language sql stable
set timezone = 'UTC'
return encode(
    sha256(
        convert_to(
            jsonb_build_array(
                entry.previous_hash,
                entry.entry_number,
                entry.run_id,
                entry.event_code,
                entry.content,
                entry.recorded_by,
                to_char(entry.recorded_at, 'YYYY-MM-DD HH24:MI:SS.US')
            )::text,
            'UTF8'
        )
    ),
    'hex'
);
comment on function audit.entry_hash is 'The hash that an entry must have.';

-- One writer at a time, so that the chain does not fork. What the writer says of number, hash, time and himself does not count.
create function audit.chain() returns trigger
language plpgsql security definer
set search_path = pg_catalog, audit
as $$
begin
    perform pg_advisory_xact_lock(7000015);
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

create function audit.refuse() returns trigger
language plpgsql
as $$
begin
    raise exception 'Entries of audit.entries are never changed or removed. Add an entry that corrects.'
        using errcode = 'insufficient_privilege';
end
$$;

create trigger chain before insert on audit.entries for each row execute function audit.chain();
create trigger refuse before update or delete or truncate on audit.entries
for each statement execute function audit.refuse();

create view audit.chain_check as
with linked as (
    select
        entries.*,
        lag(entries.entry_hash, 1, repeat('0', 64)) over (order by entries.entry_number) as hash_before,
        row_number() over (order by entries.entry_number) as place
    from audit.entries
)

select
    linked.entry_number,
    linked.run_id,
    linked.event_code,
    linked.entry_hash,
    case
        when linked.entry_number <> linked.place then 'an entry before it is missing'
        when linked.previous_hash <> linked.hash_before then 'it does not follow the entry before it'
        when linked.entry_hash <> audit.entry_hash(entries) then 'its content is not what was recorded'
    end as problem
from linked
inner join audit.entries as entries on linked.entry_number = entries.entry_number;

comment on view audit.chain_check is
    'One row per entry, with what is wrong with it. The chain is whole when no row has a problem; the first that has one is where it breaks.';
comment on column audit.chain_check.problem is 'What is wrong with the entry; null when nothing is.';

revoke all on all functions in schema audit from public;
grant usage on schema audit to sevenfold_publisher, sevenfold_auditor;
grant insert (run_id, event_code, content) on audit.entries to sevenfold_publisher;
grant select on audit.entries, audit.chain_check to sevenfold_publisher, sevenfold_auditor;
grant execute on function audit.entry_hash to sevenfold_publisher, sevenfold_auditor;
