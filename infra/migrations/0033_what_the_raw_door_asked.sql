-- Migration 30 entered every batch that was there when a published run's raw door asked, of sources too that it did not ask.

delete from ops.published_batches as published
using ops.extract_batches as batches
where
    published.batch_id = batches.batch_id
    and not exists (
        select from quality.control_results as results
        where
            results.run_id = published.run_id
            and results.control_id = upper('RAW-' || batches.source_code || '-' || batches.entity_code || '-STATUS')
    );

-- A later run may have asked it, and published.
insert into ops.published_batches (batch_id, run_id, published_at)
select distinct on (batches.batch_id) batches.batch_id, users.run_id, coalesce(users.ended_at, users.started_at)
from ops.extract_batches as batches
left join ops.pipeline_runs as runs on batches.run_id = runs.run_id
inner join ops.pipeline_runs as users on users.status_code = 'published'
left join ops.run_stages as doors on users.run_id = doors.run_id and doors.stage_code = 'gate_raw'
where
    batches.status_code in ('landed', 'unchanged')
    and exists (
        select from quality.control_results as results
        where
            results.run_id = users.run_id
            and results.control_id = upper('RAW-' || batches.source_code || '-' || batches.entity_code || '-STATUS')
    )
    and (
        users.run_id = batches.run_id
        or doors.started_at >= batches.extracted_at
        or doors.started_at is null and coalesce(users.first_started_at, users.started_at) >= runs.started_at
    )
order by batches.batch_id, coalesce(users.ended_at, users.started_at)
on conflict (batch_id) do nothing;
