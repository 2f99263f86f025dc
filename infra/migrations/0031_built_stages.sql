-- Under what the tables were built that a run adds to, apart from the runs, whose rows change when they are opened again.

create table ops.built_stages (
    stage_code text primary key,
    built_under text not null,
    built_at timestamptz not null default clock_timestamp()
);
grant select, insert, delete on ops.built_stages to sevenfold_loader;

comment on table ops.built_stages is 'One row per stage whose tables a run adds to where it may; none while they are written, or after that failed: the next run makes them anew.';
comment on column ops.built_stages.stage_code is 'Stage.';
comment on column ops.built_stages.built_under is 'SHA-256 of all that decides a row besides the row it comes from: code, rules, contracts, the matching model.';
comment on column ops.built_stages.built_at is 'When.';
