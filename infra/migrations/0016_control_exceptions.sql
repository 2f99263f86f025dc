-- Exceptions: a failed control that somebody accepts, for a reason and until a day. An expired one fails again.

create table ops.control_exceptions (
    exception_id bigint generated always as identity primary key,
    control_id text not null,
    run_id text,
    maximum_failed_count bigint check (maximum_failed_count > 0),
    reason text not null check (btrim(reason) <> ''),
    decided_by text not null check (btrim(decided_by) <> ''),
    decided_at timestamptz not null default clock_timestamp(),
    ends_on date not null,
    ended_by text check (btrim(ended_by) <> ''),
    ended_at timestamptz,
    check ((ended_by is null) = (ended_at is null))
);
create index on ops.control_exceptions (control_id);

comment on table ops.control_exceptions is 'One row per exception that somebody decided. Append-only: that one was ended is noted beside it.';
comment on column ops.control_exceptions.exception_id is 'Number of the exception.';
comment on column ops.control_exceptions.control_id is 'Control whose failure is accepted; its ID names source and kind of row.';
comment on column ops.control_exceptions.run_id is 'The only run it holds for; null: every run until the end date.';
comment on column ops.control_exceptions.maximum_failed_count is 'Most failures that are accepted; null: any number.';
comment on column ops.control_exceptions.reason is 'Why, in the person''s words. Auditors read it: no personal data.';
comment on column ops.control_exceptions.decided_by is 'Who decided.';
comment on column ops.control_exceptions.decided_at is 'When.';
comment on column ops.control_exceptions.ends_on is 'Last day, in the deployment''s time zone, on which a run may begin with it.';
comment on column ops.control_exceptions.ended_by is 'Who ended it before that day; null when nobody did.';
comment on column ops.control_exceptions.ended_at is 'When.';

grant select on ops.control_exceptions to sevenfold_transformer, sevenfold_publisher, sevenfold_auditor;
grant insert (control_id, run_id, maximum_failed_count, reason, decided_by, ends_on) on ops.control_exceptions
    to sevenfold_publisher;
grant update (ended_by, ended_at) on ops.control_exceptions to sevenfold_publisher;

alter table quality.control_results add column exception_id bigint;
comment on column quality.control_results.exception_id is 'Exception by which the failure was accepted (ops.control_exceptions); null: it was not.';
