-- What the tables of sources held when they were last compared with raw: while a table holds that still, raw misses nothing of it.

create table ops.source_versions (
    source_code text not null,
    entity_code text not null,
    content_sha256 text not null,
    compared_at timestamptz not null default now(),
    primary key (source_code, entity_code)
);
grant select, insert, update on ops.source_versions to sevenfold_loader;

comment on table ops.source_versions is
    'One row per entity of a source that is read by a cursor: of which versions of its rows raw is known to miss none.';
comment on column ops.source_versions.source_code is 'Source system.';
comment on column ops.source_versions.entity_code is 'What its rows are.';
comment on column ops.source_versions.content_sha256 is 'SHA-256 of key and cursor of all its rows, in the order in which the source gives them.';
comment on column ops.source_versions.compared_at is 'When that was found.';
