-- Schema mdm: the ledger that customer IDs and contact IDs come from.

create table mdm.identity_ledger_customers (
    customer_id text primary key,
    sequence_number bigint not null unique,
    first_run_id text not null,
    first_as_of_date date not null,
    status_code text not null check (status_code in ('active', 'retired')),
    redirected_to text
);

comment on table mdm.identity_ledger_customers is 'One row per customer ID ever given. No row is ever deleted.';
comment on column mdm.identity_ledger_customers.customer_id is 'Customer ID: given once, never reused, never another person''s.';
comment on column mdm.identity_ledger_customers.sequence_number is 'Order in which IDs were given: the smaller is the older.';
comment on column mdm.identity_ledger_customers.first_run_id is 'Run that gave the ID.';
comment on column mdm.identity_ledger_customers.first_as_of_date is 'Date of that run.';
comment on column mdm.identity_ledger_customers.status_code is 'active or retired.';
comment on column mdm.identity_ledger_customers.redirected_to is 'For a retired ID, the customer it turned out to be.';

create table mdm.identity_ledger_members (
    source_record_id text primary key,
    customer_id text not null,
    run_id text not null
);
create index on mdm.identity_ledger_members (customer_id);

comment on table mdm.identity_ledger_members is 'One row per record that belongs to a customer.';
comment on column mdm.identity_ledger_members.source_record_id is 'Record.';
comment on column mdm.identity_ledger_members.customer_id is 'Customer it belongs to.';
comment on column mdm.identity_ledger_members.run_id is 'Run that put it there.';

create table mdm.identity_ledger_events (
    event_id bigint generated always as identity primary key,
    run_id text not null,
    as_of_date date not null,
    event_code text not null check (event_code in ('created', 'merged', 'split', 'retired')),
    customer_id text not null,
    other_customer_id text,
    record_count integer
);
create index on mdm.identity_ledger_events (customer_id);

comment on table mdm.identity_ledger_events is 'One row per change of a customer ID. Append-only.';
comment on column mdm.identity_ledger_events.event_id is 'Number of the event.';
comment on column mdm.identity_ledger_events.run_id is 'Run that changed it.';
comment on column mdm.identity_ledger_events.as_of_date is 'Date of that run.';
comment on column mdm.identity_ledger_events.event_code is 'created, merged (another customer joined it), split (a part left it) or retired.';
comment on column mdm.identity_ledger_events.customer_id is 'Customer that changed.';
comment on column mdm.identity_ledger_events.other_customer_id is 'The other customer of a merge, a split or a redirect.';
comment on column mdm.identity_ledger_events.record_count is 'Records that moved.';

create table mdm.contact_ledger (
    contact_key text primary key,
    contact_id text not null,
    run_id text not null
);

comment on table mdm.contact_ledger is 'One row per contact point that a contact was ever known by. No row is ever deleted.';
comment on column mdm.contact_ledger.contact_key is 'Contact point: its kind and its value.';
comment on column mdm.contact_ledger.contact_id is 'Contact that the point belongs to: an ID given once, never reused.';
comment on column mdm.contact_ledger.run_id is 'Run that gave the ID.';

grant select on mdm.identity_ledger_customers, mdm.identity_ledger_members, mdm.identity_ledger_events, mdm.contact_ledger
    to sevenfold_transformer;
-- The ledger remembers: the publisher may add to it and amend it; only a record may leave its customer.
grant select, insert, update on mdm.identity_ledger_customers, mdm.contact_ledger to sevenfold_publisher;
grant select, insert, update, delete on mdm.identity_ledger_members to sevenfold_publisher;
grant select, insert on mdm.identity_ledger_events to sevenfold_publisher;
