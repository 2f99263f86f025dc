-- Judgements: what a person said of two records. Append-only: a later row on the same pair replaces an earlier one.

create table mdm.match_judgements (
    judgement_id bigint generated always as identity primary key,
    left_record_id text not null,
    right_record_id text not null,
    judgement_code text not null check (judgement_code in ('same', 'not_same', 'cannot_tell', 'withdrawn')),
    left_hash text not null,
    right_hash text not null,
    reason text not null check (btrim(reason) <> ''),
    decided_by text not null check (btrim(decided_by) <> ''),
    decided_at timestamptz not null default clock_timestamp(),
    undone_event_id bigint,
    check (left_record_id collate "C" < right_record_id collate "C")
);
create index on mdm.match_judgements (left_record_id, right_record_id);

comment on table mdm.match_judgements is 'One row per decision of a person on a pair of records. Append-only; the latest row of a pair counts.';
comment on column mdm.match_judgements.judgement_id is 'Number of the judgement: the larger is the later.';
comment on column mdm.match_judgements.left_record_id is 'The record of the pair whose identifier sorts first, byte by byte.';
comment on column mdm.match_judgements.right_record_id is 'The other record.';
comment on column mdm.match_judgements.judgement_code is 'same, not_same, cannot_tell, or withdrawn: as if nobody had judged (seed match_judgement_codes).';
comment on column mdm.match_judgements.left_hash is 'Hash of what was known of the left record at the time (match_hash): the judgement holds for this evidence.';
comment on column mdm.match_judgements.right_hash is 'Hash of what was known of the right record at the time.';
comment on column mdm.match_judgements.reason is 'Why, in the person''s words. Auditors read it: no personal data.';
comment on column mdm.match_judgements.decided_by is 'Who decided.';
comment on column mdm.match_judgements.decided_at is 'When.';
comment on column mdm.match_judgements.undone_event_id is 'The event of the identity ledger that the judgement undoes, if it does.';

grant select on mdm.match_judgements to sevenfold_transformer;
grant select, insert on mdm.match_judgements to sevenfold_publisher;

-- Who asks why two records are one customer reads the judgements; nothing else of the schema is an auditor's.
grant usage on schema mdm to sevenfold_auditor;
grant select on mdm.match_judgements to sevenfold_auditor;
