-- What the decisions and components have yet to follow, and scores that are found by their record.

create table intermediate.match_touched_records (source_record_id text not null);
alter table intermediate.match_touched_records owner to sevenfold_transformer;

comment on table intermediate.match_touched_records is
    'Records whose pairs may be decided otherwise than when the components were last resolved: scored anew, vanished, judged, or joined to one of these. Resolving empties it.';
comment on column intermediate.match_touched_records.source_record_id is 'Record; may be there more than once.';

create table intermediate.match_crowded_keys (
    rule_number smallint,
    key bigint,
    primary key (rule_number, key)
);
alter table intermediate.match_crowded_keys owner to sevenfold_transformer;

comment on table intermediate.match_crowded_keys is
    'One row per blocking key that too many records shared when the scores were stored, so that it made no pair.';
comment on column intermediate.match_crowded_keys.rule_number is 'Place of the blocking rule in the model.';
comment on column intermediate.match_crowded_keys.key is 'Hash of the key.';

-- The table holds one model version, so its name leads to nothing.
alter table intermediate.match_scores
    drop constraint match_scores_pkey,
    add primary key (left_record_id, right_record_id, model_version);
