-- What a run has published stays published, however often that run, or an older one, is opened again.

create table ops.published_batches (
    batch_id bigint primary key references ops.extract_batches,
    run_id text not null,
    published_at timestamptz not null default clock_timestamp()
);
comment on table ops.published_batches is 'One row per batch whose rows a published run has used: no door judges them again.';
comment on column ops.published_batches.batch_id is 'Batch, as in ops.extract_batches.';
comment on column ops.published_batches.run_id is 'The first run that was published with it.';
comment on column ops.published_batches.published_at is 'When that was; the server''s clock, which nobody states.';

-- As the raw door has taken it until now: a published run has used what was there when its raw door asked.
insert into ops.published_batches (batch_id, run_id, published_at)
select distinct on (batches.batch_id) batches.batch_id, users.run_id, coalesce(users.ended_at, users.started_at)
from ops.extract_batches as batches
left join ops.pipeline_runs as runs on batches.run_id = runs.run_id
inner join ops.pipeline_runs as users on users.status_code = 'published'
left join ops.run_stages as doors on users.run_id = doors.run_id and doors.stage_code = 'gate_raw'
where
    batches.status_code in ('landed', 'unchanged')
    and (
        users.run_id = batches.run_id
        or doors.started_at >= batches.extracted_at
        or doors.started_at is null and coalesce(users.first_started_at, users.started_at) >= runs.started_at
    )
order by batches.batch_id, coalesce(users.ended_at, users.started_at);

grant insert (batch_id, run_id) on ops.published_batches to sevenfold_publisher;
grant select on ops.published_batches to sevenfold_publisher, sevenfold_auditor;
