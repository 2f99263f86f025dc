-- Schema ops: runs, contracts and batches.

create table ops.pipeline_runs (
    run_id text primary key,
    dag_id text,
    as_of_date date,
    as_of_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    status_code text not null check (status_code in ('running', 'published', 'failed', 'nothing_new')),
    trigger_code text,
    git_commit text,
    is_dirty boolean,
    versions jsonb,
    parameters jsonb,
    input_fingerprint text,
    failed_task text,
    message text,
    rows_published bigint
);

comment on table ops.pipeline_runs is 'One row per run of the pipeline.';
comment on column ops.pipeline_runs.run_id is 'Identifier of the run, the one Airflow gives it.';
comment on column ops.pipeline_runs.dag_id is 'DAG that ran.';
comment on column ops.pipeline_runs.as_of_date is 'The run knows everything recorded strictly before midnight of this date.';
comment on column ops.pipeline_runs.as_of_at is 'That midnight in the deployment''s time zone.';
comment on column ops.pipeline_runs.started_at is 'When the run began.';
comment on column ops.pipeline_runs.ended_at is 'When it ended; null while it runs.';
comment on column ops.pipeline_runs.status_code is 'running, published, failed, or nothing_new: what it would make is published already.';
comment on column ops.pipeline_runs.trigger_code is 'What started the run: schedule, hand, backfill, demo.';
comment on column ops.pipeline_runs.git_commit is 'Commit of the code that ran.';
comment on column ops.pipeline_runs.is_dirty is 'Whether the code differed from that commit.';
comment on column ops.pipeline_runs.versions is 'Versions of Python, PostgreSQL and the main packages.';
comment on column ops.pipeline_runs.parameters is 'Parameters of the run.';
comment on column ops.pipeline_runs.input_fingerprint is
    'Hash of all that decides the result: batches, contracts, seeds, model, code and date.';
comment on column ops.pipeline_runs.failed_task is 'First task that failed.';
comment on column ops.pipeline_runs.message is 'Why the run ended as it did, and what to do; without personal data.';
comment on column ops.pipeline_runs.rows_published is 'Rows inserted, updated and deleted by the publication.';

create table ops.run_stages (
    run_id text,
    stage_code text,
    started_at timestamptz,
    seconds double precision,
    row_count bigint,
    primary key (run_id, stage_code)
);

comment on table ops.run_stages is 'One row per run and stage.';
comment on column ops.run_stages.run_id is 'Run.';
comment on column ops.run_stages.stage_code is 'Stage of the pipeline.';
comment on column ops.run_stages.started_at is 'When the stage began.';
comment on column ops.run_stages.seconds is 'How long it took, by the wall clock.';
comment on column ops.run_stages.row_count is 'Rows that it wrote.';

create table ops.source_contracts (
    source_code text,
    entity_code text check (entity_code in ('customer_records', 'interactions', 'consents')),
    label text,
    touchpoint_code text,
    mode_code text,
    strategy_code text,
    country_code text,
    time_zone text,
    owner text,
    raw_table text,
    format_code text,
    location text,
    key_columns text[],
    recorded_at_column text,
    cursor_column text,
    minimum_rows bigint,
    freshness interval,
    contract_hash text,
    is_active boolean not null,
    primary key (source_code, entity_code)
);

comment on table ops.source_contracts is 'One row per source and entity: the contract in force, copied from its YAML file.';
comment on column ops.source_contracts.source_code is 'Source system.';
comment on column ops.source_contracts.entity_code is 'What its rows are: customer_records, interactions or consents.';
comment on column ops.source_contracts.label is 'Name of the source for people.';
comment on column ops.source_contracts.touchpoint_code is 'Touchpoint that the source system stands behind.';
comment on column ops.source_contracts.mode_code is 'real_time or batch.';
comment on column ops.source_contracts.strategy_code is 'Migration strategy whose records the source brings, if any.';
comment on column ops.source_contracts.country_code is 'Country whose rules apply to a record that names none (ISO 3166-1 alpha-2).';
comment on column ops.source_contracts.time_zone is 'IANA time zone of the source''s local times.';
comment on column ops.source_contracts.owner is 'Who answers for the source.';
comment on column ops.source_contracts.raw_table is 'Table in raw that holds its rows.';
comment on column ops.source_contracts.format_code is 'sql, csv, json_lines or parquet.';
comment on column ops.source_contracts.location is 'Where the source lives, variables not replaced and passwords hidden.';
comment on column ops.source_contracts.key_columns is 'Columns that together are the native key; empty when the source has none.';
comment on column ops.source_contracts.recorded_at_column is 'Column that says when the source recorded the row.';
comment on column ops.source_contracts.cursor_column is 'Column by which new and changed rows are found; null reads everything.';
comment on column ops.source_contracts.minimum_rows is 'Fewest rows a delivery is expected to have.';
comment on column ops.source_contracts.freshness is 'Longest expected time between deliveries.';
comment on column ops.source_contracts.contract_hash is 'Hash of the contract''s content.';
comment on column ops.source_contracts.is_active is 'False once the contract''s file is gone: its rows stay.';

create table ops.source_contract_fields (
    source_code text,
    entity_code text,
    field_name text,
    source_columns text[] not null,
    value_format text,
    primary key (source_code, entity_code, field_name)
);

comment on table ops.source_contract_fields is 'One row per source, entity and canonical field that the contract maps.';
comment on column ops.source_contract_fields.source_code is 'Source system.';
comment on column ops.source_contract_fields.entity_code is 'What its rows are.';
comment on column ops.source_contract_fields.field_name is 'Canonical field.';
comment on column ops.source_contract_fields.source_columns is 'Columns of the source that fill it, in order.';
comment on column ops.source_contract_fields.value_format is 'How its values are written, such as the order of a date''s parts.';

create table ops.extract_batches (
    batch_id bigint generated by default as identity primary key,
    run_id text,
    source_code text not null,
    entity_code text not null,
    location text,
    status_code text not null check (status_code in ('landed', 'unchanged', 'duplicate_file', 'refused', 'superseded')),
    content_sha256 text,
    size_bytes bigint,
    rows_read bigint,
    rows_landed bigint,
    cursor_from text,
    cursor_to text,
    extracted_at timestamptz,
    message text
);
create index on ops.extract_batches (source_code, entity_code);

comment on table ops.extract_batches is 'One row per delivery read from a source, landed or not.';
comment on column ops.extract_batches.batch_id is 'Number of the batch.';
comment on column ops.extract_batches.run_id is 'Run that read it.';
comment on column ops.extract_batches.source_code is 'Source system.';
comment on column ops.extract_batches.entity_code is 'What its rows are.';
comment on column ops.extract_batches.location is 'File or table that was read, without passwords.';
comment on column ops.extract_batches.status_code is
    'landed, unchanged (nothing new in it), duplicate_file (this content landed before), refused (nothing landed),
or superseded (its source replaced it; its rows stay in raw).';
comment on column ops.extract_batches.content_sha256 is 'SHA-256 of the file; null for a database.';
comment on column ops.extract_batches.size_bytes is 'Size of the file.';
comment on column ops.extract_batches.rows_read is 'Rows that the delivery holds.';
comment on column ops.extract_batches.rows_landed is 'Rows that were new and are now in raw.';
comment on column ops.extract_batches.cursor_from is 'Cursor value the read began at; null for a full read.';
comment on column ops.extract_batches.cursor_to is 'Largest cursor value read.';
comment on column ops.extract_batches.extracted_at is 'When it was read.';
comment on column ops.extract_batches.message is 'What was remarkable, or why it was refused and what to do.';

grant select, insert, update on ops.pipeline_runs, ops.run_stages
    to sevenfold_loader, sevenfold_transformer, sevenfold_publisher;
grant select, insert, update, delete on ops.source_contracts, ops.source_contract_fields to sevenfold_loader;
grant select, insert, update on ops.extract_batches to sevenfold_loader;
grant select on ops.source_contracts, ops.source_contract_fields, ops.extract_batches
    to sevenfold_transformer, sevenfold_publisher;
grant select on ops.pipeline_runs, ops.run_stages, ops.source_contracts, ops.source_contract_fields, ops.extract_batches
    to sevenfold_auditor;
