-- Schema intermediate: what the normaliser and the matching write.

create table intermediate.normalised_values (
    field_kind text,
    country_code text,
    value_format text,
    raw_value text not null,
    -- An index row holds 2.7 kB, and a value may be longer: the key has its hash.
    raw_value_hash text generated always as (md5(raw_value)) stored,
    normalised_value text,
    parts jsonb,
    failure_code text,
    normaliser_version text not null,
    primary key (field_kind, country_code, value_format, raw_value_hash)
);

comment on table intermediate.normalised_values is 'One row per distinct raw value of a kind, country and format: what the normaliser made of it.';
comment on column intermediate.normalised_values.field_kind is 'Kind of field, such as phone or birth_date.';
comment on column intermediate.normalised_values.country_code is 'Country whose rules were applied.';
comment on column intermediate.normalised_values.value_format is 'How the source writes the value; empty when the contract says nothing.';
comment on column intermediate.normalised_values.raw_value is 'The value as it came.';
comment on column intermediate.normalised_values.raw_value_hash is 'MD5 of the raw value, made by the database.';
comment on column intermediate.normalised_values.normalised_value is 'The value in its one form; null when it failed.';
comment on column intermediate.normalised_values.parts is 'What the value holds besides, such as the birthdate in an identifier.';
comment on column intermediate.normalised_values.failure_code is 'Why the value failed; null when it is valid.';
comment on column intermediate.normalised_values.normaliser_version is 'Hash of the code and the seeds that decided.';

create table intermediate.match_scores (
    model_version text,
    left_record_id text,
    right_record_id text,
    left_hash text not null,
    right_hash text not null,
    match_weight double precision not null,
    match_probability double precision not null,
    evidence jsonb not null,
    scored_run_id text,
    primary key (model_version, left_record_id, right_record_id),
    check (left_record_id collate "C" < right_record_id collate "C")
);
create index on intermediate.match_scores (right_record_id);

comment on table intermediate.match_scores is 'One row per model version and pair of records that Splink scored.';
comment on column intermediate.match_scores.model_version is 'Version of the matching model.';
comment on column intermediate.match_scores.left_record_id is 'The record of the pair whose identifier sorts first, byte by byte.';
comment on column intermediate.match_scores.right_record_id is 'The other record.';
comment on column intermediate.match_scores.left_hash is 'Hash of what the model read of the left record.';
comment on column intermediate.match_scores.right_hash is 'Hash of what the model read of the right record.';
comment on column intermediate.match_scores.match_weight is 'Base 2 logarithm of the odds that both are one person.';
comment on column intermediate.match_scores.match_probability is 'Probability that both are one person, 0 to 1.';
comment on column intermediate.match_scores.evidence is 'Match weight that each comparison added.';
comment on column intermediate.match_scores.scored_run_id is 'Run that scored the pair.';

create table intermediate.match_scored_records (
    model_version text,
    source_record_id text,
    match_hash text not null,
    primary key (model_version, source_record_id)
);

comment on table intermediate.match_scored_records is 'One row per model version and record that has been scored against all others.';
comment on column intermediate.match_scored_records.model_version is 'Version of the matching model.';
comment on column intermediate.match_scored_records.source_record_id is 'Record.';
comment on column intermediate.match_scored_records.match_hash is 'Hash of what the model read of it: another hash is scored anew.';

create table intermediate.match_components (
    source_record_id text primary key,
    component_id text not null
);

comment on table intermediate.match_components is 'One row per record: the group of records that joined pairs connect it to.';
comment on column intermediate.match_components.source_record_id is 'Record.';
comment on column intermediate.match_components.component_id is 'Smallest record identifier of the group. Not a customer ID.';

-- Whoever fills a table may also take its statistics: its owner.
alter table intermediate.normalised_values owner to sevenfold_transformer;
alter table intermediate.match_scores owner to sevenfold_transformer;
alter table intermediate.match_scored_records owner to sevenfold_transformer;
alter table intermediate.match_components owner to sevenfold_transformer;
