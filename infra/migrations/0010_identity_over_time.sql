-- The ledger over time: who was who on any date, why identity changed, and how much of it changed in each run.

alter table mdm.identity_ledger_members
    add column given_customer_id text,
    add column is_current boolean not null default true;
update mdm.identity_ledger_members set given_customer_id = customer_id;

comment on table mdm.identity_ledger_members is 'One row per record that ever belonged to a customer, with the customer it belonged to last.';
comment on column mdm.identity_ledger_members.given_customer_id is
    'Customer ID that the record was given, before mergers: one that is taken back gives it back. Null for a record that came
to a merged customer, as it was given to neither part.';
comment on column mdm.identity_ledger_members.is_current is 'False once the record belongs to no customer: it is gone, or a namesake.';

create table mdm.identity_ledger_member_history (
    history_id bigint generated always as identity primary key,
    source_record_id text not null,
    customer_id text,
    run_id text not null,
    as_of_date date not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create index on mdm.identity_ledger_member_history (source_record_id, history_id);
create index on mdm.identity_ledger_member_history (customer_id);

comment on table mdm.identity_ledger_member_history is 'One row per change of the customer that a record belongs to. Append-only.';
comment on column mdm.identity_ledger_member_history.history_id is 'Number of the change: the larger is the later.';
comment on column mdm.identity_ledger_member_history.source_record_id is 'Record.';
comment on column mdm.identity_ledger_member_history.customer_id is 'Customer it belongs to from then on; null when to none.';
comment on column mdm.identity_ledger_member_history.run_id is 'Run that changed it.';
comment on column mdm.identity_ledger_member_history.as_of_date is 'Date of that run: the change holds from this date on.';
comment on column mdm.identity_ledger_member_history.recorded_at is 'When the run was published.';

insert into mdm.identity_ledger_member_history (source_record_id, customer_id, run_id, as_of_date, recorded_at)
select
    members.source_record_id,
    members.customer_id,
    members.run_id,
    coalesce(runs.as_of_date, customers.first_as_of_date),
    coalesce(runs.ended_at, runs.started_at, clock_timestamp())
from mdm.identity_ledger_members as members
inner join mdm.identity_ledger_customers as customers on members.customer_id = customers.customer_id
left join ops.pipeline_runs as runs on members.run_id = runs.run_id
order by members.source_record_id collate "C";

create view mdm.identity_memberships as
with changes as (
    select
        source_record_id,
        customer_id,
        run_id,
        as_of_date as valid_from,
        lead(as_of_date) over (partition by source_record_id order by history_id) as valid_to
    from mdm.identity_ledger_member_history
)

select
    source_record_id,
    customer_id,
    run_id,
    valid_from,
    valid_to
from changes
where customer_id is not null and (valid_to is null or valid_to > valid_from);

comment on view mdm.identity_memberships is
    'One row per record and period in which it belonged to a customer: who was who on date D is valid_from <= D < valid_to.';
comment on column mdm.identity_memberships.source_record_id is 'Record.';
comment on column mdm.identity_memberships.customer_id is 'Customer it belonged to.';
comment on column mdm.identity_memberships.run_id is 'Run that put it there.';
comment on column mdm.identity_memberships.valid_from is 'First date on which this was published.';
comment on column mdm.identity_memberships.valid_to is 'Date from which on it was no more so; null while it is so.';

-- A function with its definer's rights, so that a reader of records needs no right on the ledger itself.
create function marts.customer_of(record_id text, on_date date) returns text
language sql stable strict security definer set search_path = ''
begin atomic
    select memberships.customer_id
    from mdm.identity_memberships as memberships
    where
        memberships.source_record_id = record_id
        and memberships.valid_from <= on_date
        and (memberships.valid_to is null or memberships.valid_to > on_date);
end;

comment on function marts.customer_of is
    'The customer that a record belonged to on a date, by the ID of that date (map_customer_ids gives today''s); null when to none.';
revoke execute on function marts.customer_of from public;
grant execute on function marts.customer_of
    to sevenfold_transformer, sevenfold_publisher, sevenfold_pii_reader, sevenfold_auditor;

alter table mdm.identity_ledger_events drop constraint identity_ledger_events_event_code_check;
alter table mdm.identity_ledger_events
    add constraint identity_ledger_events_event_code_check
    check (event_code in ('created', 'merged', 'split', 'restored', 'retired')),
    add column reason_code text,
    add column left_record_id text,
    add column right_record_id text,
    add column judgement_id bigint,
    add column match_probability double precision,
    add column model_version text,
    add column recorded_at timestamptz;
update mdm.identity_ledger_events as events
set recorded_at = coalesce(runs.ended_at, runs.started_at)
from ops.pipeline_runs as runs
where events.run_id = runs.run_id;
alter table mdm.identity_ledger_events alter column recorded_at set default clock_timestamp();

comment on column mdm.identity_ledger_events.event_code is
    'created, merged (its records went to another customer, and it redirects there), split (records left it for another customer),
restored (a redirected ID got its records back) or retired (no record is left).';
comment on column mdm.identity_ledger_events.other_customer_id is
    'Where the records went (merged, split), or who had them (restored).';
comment on column mdm.identity_ledger_events.reason_code is
    'What decided about the pair of records named: threshold, guard, judgement, reopened, conflict; no_pair when none was scored.';
comment on column mdm.identity_ledger_events.left_record_id is 'The pair that says most about it: the strongest that joins, or that keeps apart.';
comment on column mdm.identity_ledger_events.right_record_id is 'The other record of that pair.';
comment on column mdm.identity_ledger_events.judgement_id is 'The judgement on that pair, if there was one.';
comment on column mdm.identity_ledger_events.match_probability is 'Probability, by the model, that the pair is one person.';
comment on column mdm.identity_ledger_events.model_version is 'Version of the matching model that scored.';
comment on column mdm.identity_ledger_events.recorded_at is 'When the run was published.';

create table mdm.identity_ledger_runs (
    run_id text primary key,
    as_of_date date not null,
    model_version text,
    record_count bigint not null,
    known_record_count bigint not null,
    kept_record_count bigint not null,
    moved_record_count bigint not null,
    new_record_count bigint not null,
    released_record_count bigint not null,
    customer_count bigint not null,
    created_customer_count bigint not null,
    merged_customer_count bigint not null,
    split_customer_count bigint not null,
    restored_customer_count bigint not null,
    retired_customer_count bigint not null,
    recorded_at timestamptz not null default clock_timestamp()
);

comment on table mdm.identity_ledger_runs is 'One row per run that moved the ledger: how much identity changed. Append-only.';

create view marts.fct_identity_churn as
select
    run_id,
    as_of_date,
    model_version,
    record_count,
    known_record_count,
    kept_record_count,
    moved_record_count,
    new_record_count,
    released_record_count,
    customer_count,
    created_customer_count,
    merged_customer_count,
    split_customer_count,
    restored_customer_count,
    retired_customer_count,
    round(kept_record_count::numeric / nullif(known_record_count, 0), 6) as kept_record_share,
    recorded_at
from mdm.identity_ledger_runs;

comment on view marts.fct_identity_churn is 'One row per run that moved the ledger of identity: how many records kept their customer, and what happened to customer IDs.';

do $$
declare
    described record;
    relation text;
begin
    foreach relation in array array['mdm.identity_ledger_runs', 'marts.fct_identity_churn'] loop
        for described in
            select * from (values
                ('run_id', 'Run.'),
                ('as_of_date', 'Date of the run.'),
                ('model_version', 'Version of the matching model that scored.'),
                ('record_count', 'Records that belong to a customer after the run.'),
                ('known_record_count', 'Of these, records that belonged to a customer before.'),
                ('kept_record_count', 'Of the known records, those whose customer is the same.'),
                ('moved_record_count', 'Of the known records, those whose customer is another.'),
                ('new_record_count', 'Records that belonged to no customer before.'),
                ('released_record_count', 'Records that belong to no customer any more: gone, or a namesake.'),
                ('customer_count', 'Active customers after the run.'),
                ('created_customer_count', 'Customer IDs given for the first time.'),
                ('merged_customer_count', 'Customers that turned out to be another, and redirect there.'),
                ('split_customer_count', 'Customers of which records left while others stayed.'),
                ('restored_customer_count', 'Redirected customer IDs that got their records back.'),
                ('retired_customer_count', 'Customers of which no record is left.'),
                ('kept_record_share', 'Share (0-1) of the known records that kept their customer; null in the first run.'),
                ('recorded_at', 'When the run was published.')
            ) as columns (column_name, description)
        loop
            if described.column_name <> 'kept_record_share' or relation = 'marts.fct_identity_churn' then
                execute format('comment on column %s.%I is %L', relation, described.column_name, described.description);
            end if;
        end loop;
    end loop;
end
$$;

grant select on mdm.identity_ledger_member_history, mdm.identity_memberships, mdm.identity_ledger_runs
    to sevenfold_transformer;
grant select, insert on mdm.identity_ledger_member_history, mdm.identity_ledger_runs to sevenfold_publisher;
grant select on mdm.identity_memberships to sevenfold_publisher;
revoke delete on mdm.identity_ledger_members from sevenfold_publisher;
grant select on marts.fct_identity_churn
    to sevenfold_transformer, sevenfold_bi_reader, sevenfold_pii_reader, sevenfold_auditor;
grant select
    on mdm.identity_ledger_customers, mdm.identity_ledger_members, mdm.identity_ledger_events,
    mdm.identity_ledger_member_history, mdm.identity_memberships, mdm.identity_ledger_runs
    to sevenfold_auditor;

-- A model moves the ledger once somebody has seen what it would change and approved it; the first one by being the first.
create table ops.model_approvals (
    model text primary key,
    reason text not null check (btrim(reason) <> ''),
    approved_by text not null check (btrim(approved_by) <> ''),
    approved_at timestamptz not null default clock_timestamp()
);

comment on table ops.model_approvals is 'One row per matching model that somebody approved after a comparison. Append-only.';
comment on column ops.model_approvals.model is 'Name and fingerprint of the model: a model version without its size class.';
comment on column ops.model_approvals.reason is 'Why, in the person''s words.';
comment on column ops.model_approvals.approved_by is 'Who approved it.';
comment on column ops.model_approvals.approved_at is 'When.';

create function ops.is_model_approved(wanted_version text) returns boolean
language sql stable
begin atomic
    select
        not exists (select from mdm.identity_ledger_runs where model_version is not null)
        or exists (
            select
            from mdm.identity_ledger_runs as runs
            where regexp_replace(runs.model_version, '-[0-9]+$', '') = regexp_replace(wanted_version, '-[0-9]+$', '')
        )
        or exists (
            select
            from ops.model_approvals as approvals
            where approvals.model = regexp_replace(wanted_version, '-[0-9]+$', '')
        );
end;

comment on function ops.is_model_approved is
    'Whether a run may move the ledger under this model version: it did before, somebody approved it, or none has yet.';

grant select on ops.model_approvals to sevenfold_transformer, sevenfold_auditor;
grant select, insert on ops.model_approvals to sevenfold_publisher;
