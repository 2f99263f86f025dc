-- Schema mdm: what stewards say of a golden record, against all sources.

create table mdm.steward_corrections (
    correction_id bigint generated always as identity primary key,
    source_record_id text not null,
    corrected_values jsonb not null check (jsonb_typeof(corrected_values) = 'object' and corrected_values <> '{}'),
    reason text not null check (btrim(reason) <> ''),
    decided_by text not null check (btrim(decided_by) <> ''),
    decided_at timestamptz not null default now(),
    withdrawn_by text check (btrim(withdrawn_by) <> ''),
    withdrawn_at timestamptz,
    check ((withdrawn_by is null) = (withdrawn_at is null))
);

comment on table mdm.steward_corrections is 'One row per steward''s correction. Append-only: a withdrawal is noted beside it. Personal data.';
comment on column mdm.steward_corrections.correction_id is 'Number of the correction.';
comment on column mdm.steward_corrections.source_record_id is 'Record that is corrected: the correction goes with it through merges and splits.';
comment on column mdm.steward_corrections.corrected_values is 'What is right, by attribute, as the steward wrote it; an attribute of the same group that is not named is blank.';
comment on column mdm.steward_corrections.reason is 'Why.';
comment on column mdm.steward_corrections.decided_by is 'Who decided.';
comment on column mdm.steward_corrections.decided_at is 'When; of several corrections in force the latest wins.';
comment on column mdm.steward_corrections.withdrawn_by is 'Who withdrew it; null while it is in force.';
comment on column mdm.steward_corrections.withdrawn_at is 'When it was withdrawn; null while it is in force.';

grant select on mdm.steward_corrections to sevenfold_transformer, sevenfold_publisher;
grant insert (source_record_id, corrected_values, reason, decided_by) on mdm.steward_corrections to sevenfold_publisher;
grant update (withdrawn_by, withdrawn_at) on mdm.steward_corrections to sevenfold_publisher;
